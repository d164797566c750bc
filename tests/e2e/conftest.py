"""The programs of these tests run unmeasured."""

from tests.kit.measuring import unmeasured_programs

__all__ = ["unmeasured_programs"]
