"""What should be an ordinary file and is none: never waited for, never held in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from google.auth.exceptions import DefaultCredentialsError

from runscrape_generator.cloudrun.credentials import find_default
from runscrape_generator.doctor.targets import SecretSource
from runscrape_generator.errors import WriteError
from runscrape_generator.publish import files
from runscrape_generator.publish.journal import Journal
from runscrape_generator.regular_file import read_regular

KINDS = {"pipe": "not a regular file", "folder": "not a regular file", "gigabyte": "larger than"}


@pytest.fixture(params=KINDS)
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """Make one of each kind; gives the path, and what a message says of it."""
    path = tmp_path / request.param
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(1 << 30)
    return path, KINDS[request.param]


READERS: dict[str, Callable[[Path], object]] = {
    "any file": lambda path: read_regular(path, 10),
    "a secret that doctor needs": lambda path: SecretSource(file=path).read(),
    "an output to compare with": files.read,
}


def test_a_note_about_the_last_reload(odd: tuple[Path, str]) -> None:
    """In the place of what is remembered of the last reload it counts as nothing remembered."""
    path, _ = odd
    path.rename(path.with_name(".out.yml.runscrape-reloaded"))
    assert not Journal(path.with_name("out.yml"), path.parent).confirmed("x")


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_each_reader_refuses_it(odd: tuple[Path, str], read: Callable[[Path], object]) -> None:
    """A pipe, a folder and a gigabyte are told at once, whoever reads them."""
    path, said = odd
    with pytest.raises((OSError, WriteError), match=said):
        read(path)


def test_credentials(odd: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A credentials file that is none is named, and google-auth does not wait for it."""
    path, said = odd
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(DefaultCredentialsError, match=f"credentials file {path}: {said}"):
        find_default(None)


def test_an_ordinary_file(tmp_path: Path) -> None:
    """A file is read whole up to its limit, by a link too."""
    (tmp_path / "file").write_bytes(b"x" * 10)
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link", 10) == b"x" * 10
    with pytest.raises(OSError, match="larger than 9 bytes"):
        read_regular(tmp_path / "file", 9)
