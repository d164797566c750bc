"""README and manuals speak of what is there, and of all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.reference import README, REFERENCES, ROOT, current

DOCUMENTS = [
    path.relative_to(ROOT)
    for path in (README, *REFERENCES, ROOT / "CHANGELOG.md", *ROOT.glob("examples/*/README.md"))
]
BY_NAME = pytest.mark.parametrize("document", sorted(DOCUMENTS), ids=str)

_FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("manual", REFERENCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_reference_is_what_the_code_says(manual: Path) -> None:
    """Every option, variable, default, exit code and metric is in its manual, as it is."""
    assert current(manual) == manual.read_text("utf-8"), "run: make docs"


def test_the_front_door_is_short() -> None:
    """README.md is read in one sitting: at most 250 lines."""
    assert len(README.read_text("utf-8").splitlines()) <= 250


@BY_NAME
def test_every_path_that_it_names_is_there(document: Path) -> None:
    """A file or folder of the repository that a document names exists."""
    text = (ROOT / document).read_text("utf-8")
    named = set(re.findall(r"`((?:examples|generator|proxy|templates)/[^`* ]*)`", text))
    assert not {path for path in named if not (ROOT / path).exists()}


@BY_NAME
def test_every_link_leads_somewhere(document: Path) -> None:
    """A relative link leads to a file or folder that is there, and to a heading in it."""
    path = ROOT / document
    text = _FENCED.sub("", path.read_text("utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


@BY_NAME
def test_no_secret_that_everybody_may_read(document: Path) -> None:
    """A command that makes the file of a secret lets a group read it at most, and says which: one
    that root makes would be for root's.
    """
    for line in (ROOT / document).read_text("utf-8").splitlines():
        if re.search(r"openssl rand(?!.*> secrets/)", line):  # the bundle's is there, as 0600
            assert "| sudo install --mode 0640 --group prometheus /dev/stdin" in line


def test_every_schema_of_the_examples_is_there() -> None:
    """Editors find the JSON Schema that an example of runscrape.yaml names."""
    named = [
        path.parent / schema
        for path in (ROOT / "examples").rglob("*.yaml")
        for schema in re.findall(r"\$schema=(\S+)", path.read_text("utf-8"))
    ]
    assert len(named) >= 3
    assert [path for path in named if not path.exists()] == []


def headings(path: Path) -> set[str]:
    """Give the anchors of a document's headings as GitHub makes them."""
    text = _FENCED.sub("", path.read_text("utf-8"))
    lines = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """Headings are read as GitHub reads them, and none from within a code block."""
    page = tmp_path / "page.md"
    page.write_text("# `a b`: c (`--d-e`)\n```sh\n# no heading\n```\n")
    assert headings(page) == {"a-b-c---d-e"}


@BY_NAME
def test_it_reads_on_any_screen(document: Path) -> None:
    """Documents are plain UTF-8 without tabs or trailing blanks."""
    text = (ROOT / document).read_text("utf-8")
    assert "\t" not in text
    assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_pictures_are_small() -> None:
    """A picture of the documents is there for each state of the page, and under 150 KB."""
    pictures = sorted((ROOT / "examples/screenshots").glob("*.png"))
    names = [path.stem.removeprefix("proxy-") for path in pictures]
    assert names == ["failing", "missing", "refused", "well"]
    assert all(path.stat().st_size < 150_000 for path in pictures)


def test_every_example_is_told_of() -> None:
    """Each folder of examples has a README or a docstring that says what it is, and is linked."""
    front = "".join((ROOT / path).read_text("utf-8") for path in DOCUMENTS[:3])
    for folder in (ROOT / "examples").iterdir():
        if folder.is_dir() and folder.name != "__pycache__":
            assert (folder / "README.md").exists() or (folder / "__init__.py").exists(), folder
            assert f"examples/{folder.name}" in front or folder.name == "demo", folder
