"""What the fork server alone imports: it ends with the tests, however these end."""

from tests.kit.forks import end_with_parent

end_with_parent()
