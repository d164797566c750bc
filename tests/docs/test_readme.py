"""The README speaks of what is there, and of all of it."""

from __future__ import annotations

import re

import pytest

from tests.docs.reference import README, replaced

ROOT = README.parent
TEXT = README.read_text("utf-8")


def test_the_reference_is_what_the_code_says() -> None:
    """Every option, variable, default, exit code and metric is in the README, as it is."""
    assert replaced(TEXT) == TEXT, "run: make docs"


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:examples|generator|proxy|templates)/[^`* ]*)`", TEXT)))
)
def test_every_path_that_it_names_is_there(path: str) -> None:
    """A file or folder that the README names exists."""
    assert (ROOT / path).exists()


def test_every_link_within_it_leads_somewhere() -> None:
    """A link to a heading names one that is there."""
    headings = {_anchor(line) for line in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)}
    links = set(re.findall(r"\]\(#([^)]+)\)", TEXT))
    assert links <= headings


def _anchor(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return kept.replace(" ", "-")


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_it_reads_on_any_screen(name: str) -> None:
    """Documents are plain UTF-8 without tabs or trailing blanks."""
    text = (ROOT / name).read_text("utf-8")
    assert "\t" not in text
    assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_every_example_is_told_of() -> None:
    """Each folder of examples has a README, or a docstring that says what it is."""
    for folder in (ROOT / "examples").iterdir():
        if folder.is_dir() and folder.name != "__pycache__":
            assert (folder / "README.md").exists() or (folder / "__init__.py").exists(), folder
