"""Each Prometheus and vmagent that runs here: the installed one, and those that were fetched."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FETCHED = Path(sys.prefix) / "consumers"
"""Where ``make consumers`` unpacks them: a folder for each of Debian's releases."""
_PACKAGES = {"prometheus": "prometheus", "promtool": "prometheus", "vmagent": "victoria-metrics"}
_VERSION = re.compile(r"(\d+\.\d+)\.")


@dataclass(frozen=True)
class Program:
    """A program of a release."""

    path: Path
    version: str
    """Such as 3.5, without the patch."""

    @property
    def release(self) -> tuple[int, int]:
        """The version as numbers, which compare."""
        major, minor = self.version.split(".")
        return int(major), int(minor)

    def __str__(self) -> str:
        return self.version


def why_missing() -> str:
    """Say why some were not fetched, as the script said it."""
    try:
        return (FETCHED / "missing").read_text().strip()
    except FileNotFoundError:
        return "" if FETCHED.exists() else "make consumers was not run"


def installed(name: str) -> Program:
    """Find the program that a shell finds; it has to be there."""
    path = shutil.which(name)
    assert path is not None
    return Program(Path(path), _installed(path, name))


@cache
def releases_of(name: str) -> tuple[Program, ...]:
    """Find a program (prometheus, promtool, vmagent) in each release that is here, oldest first."""
    found = [Program(path, _fetched(path)) for path in FETCHED.glob(f"*/{name}")]
    if (installed := shutil.which(name)) and (version := _installed(installed, name)):
        found.append(Program(Path(installed), version))
    by_version = {program.version: program for program in found}
    return tuple(sorted(by_version.values(), key=lambda program: program.release))


def _fetched(path: Path) -> str:
    return _short(path.with_name(f"{path.name}.version").read_text())


def _installed(path: str, name: str) -> str:
    """Ask the program; and the package where it does not tell, as vmagent."""
    if not (version := _short(_said(path, "--version").partition("version ")[2])):
        version = _short(_said("dpkg-query", "-W", "-f", "${Version}", _PACKAGES[name]))
    return version


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return ""
    return done.stdout + done.stderr


def _short(text: str) -> str:
    match = _VERSION.match(text)
    return match[1] if match else ""
