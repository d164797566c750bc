"""The table of options: complete, consistent, and true to Settings."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from runscrape_generator.config.options import COMMANDS, OPTIONS, Option
from runscrape_generator.config.settings import Settings
from runscrape_generator.config.values import Mistakes, Value


def test_every_setting_is_an_option() -> None:
    """Settings has no field that nobody can set, and the table none that nobody reads."""
    assert sorted(option.name for option in OPTIONS) == sorted(f.name for f in fields(Settings))


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
    assert option.kind.metavar or option.kind.switch or option.file_only


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.key)
def test_a_default_is_a_value_that_one_may_write(option: Option) -> None:
    """The default that help and schema show is read to the default of Settings."""
    default = getattr(Settings(), option.name)
    if option.default in (None, ()):
        assert not default
        return
    mistakes = Mistakes()
    assert option.kind.read(Value(option.default, "default"), mistakes) == default
    assert mistakes.lines == []
