"""The settings as options: complete and consistent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from runscrape_generator.config import load as configuration
from runscrape_generator.config.settings import COMMANDS, OPTIONS, Option, Settings


def test_names_are_unique() -> None:
    """No two options share a key, a variable or a short flag."""
    for names in (
        [option.key for option in OPTIONS],
        [option.variable for option in OPTIONS],
        [option.short for option in OPTIONS if option.short],
    ):
        assert len(names) == len(set(names))


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.key)
def test_an_option_is_described(option: Option) -> None:
    """Each has a sentence of help, a group, a command and, unless a switch, a metavar."""
    assert re.fullmatch(r"\S.*\.|\S.*\)\.", option.help)
    assert option.group
    assert option.commands
    assert set(option.commands) <= set(COMMANDS)
    assert option.metavar or option.switch or option.file_only


@pytest.mark.parametrize(
    "option", [each for each in OPTIONS if each.default], ids=lambda option: option.key
)
def test_a_default_is_a_value_that_one_may_write(option: Option, tmp_path: Path) -> None:
    """The default that help and schema show, written into a file, is the default of Settings."""
    path = tmp_path / "runscrape.yaml"
    path.write_text(yaml.safe_dump({option.key: option.default}))
    settings = configuration.load("explain", {"config": str(path)}, {}).settings
    assert settings == Settings()
