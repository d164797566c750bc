"""What is installed: floors without known holes, and a lock file that is current."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
DEPENDENCIES = [Requirement(each) for each in PROJECT["project"]["dependencies"]]
BUILD = [Requirement(each) for each in PROJECT["build-system"]["requires"]]
IMAGE = {"python_version": "3.13", "python_full_version": "3.13.0", "sys_platform": "linux"}


def locked() -> dict[NormalizedName, tuple[str, list[str]]]:
    """Give the version and the hashes of each package in the lock file."""
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    found: dict[NormalizedName, tuple[str, list[str]]] = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            match = re.match(r"([a-z0-9._-]+)==(\S+)", line)
            assert match is not None, line
            hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})", line)
            found[canonicalize_name(match[1])] = match[2], hashes
    return found


def test_the_lock_file_has_what_the_project_asks_for() -> None:
    """Each dependency is pinned to a version that it allows (after a change of them: make lock)."""
    pins = locked()
    for requirement in (*DEPENDENCIES, *BUILD):
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name}: not in requirements.lock; make lock"
        assert requirement.specifier.contains(pins[name][0]), f"{requirement}: make lock"


def test_the_lock_file_is_whole() -> None:
    """What the dependencies themselves need in the image is in it too, all of it with hashes."""
    pins, queue = locked(), [*DEPENDENCIES]
    seen: set[NormalizedName] = set()
    environment = {key: str(value) for key, value in default_environment().items()} | IMAGE
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        if name in seen:
            continue
        seen.add(name)
        assert name in pins, f"{name}: not in requirements.lock; make lock"
        for text in metadata.requires(name) or []:
            needed = Requirement(text)
            extras = requirement.extras or {""}
            if needed.marker is None or any(
                needed.marker.evaluate(environment | {"extra": extra}) for extra in extras
            ):
                queue.append(needed)
    assert len(seen) > 20
    for name, (_, hashes) in pins.items():
        assert hashes, name


def test_binaries_for_both_machines() -> None:
    """A package with code for one kind of machine has a hash for many files, not for ours alone."""
    pins = locked()
    for name in ("grpcio", "pyyaml", "markupsafe"):
        assert len(pins[canonicalize_name(name)][1]) > 20, name


@pytest.mark.parametrize(
    ("name", "floor"),
    [
        ("flask", "3.1.3"),
        ("jinja2", "3.1.6"),
        ("requests", "2.33"),
        ("urllib3", "2.8"),
        ("werkzeug", "3.1.6"),
    ],
)
def test_no_version_with_a_known_hole(name: str, floor: str) -> None:
    """No version below the first without a known hole can be installed with ours."""
    (requirement,) = (each for each in DEPENDENCIES if each.name == name)
    floors = [Version(each.version) for each in requirement.specifier if each.operator == ">="]
    assert floors == [Version(floor)]


@pytest.mark.parametrize("name", ["gunicorn", "urllib3"])
def test_what_we_subclass_is_capped(name: str) -> None:
    """Where classes of ours build on another package's, its next major version is not taken."""
    (requirement,) = (each for each in DEPENDENCIES if each.name == name)
    installed = Version(metadata.version(name))
    assert not requirement.specifier.contains(f"{installed.major + 1}.0")


def test_whatever_is_imported_is_asked_for() -> None:
    """Each package that our code imports is a dependency of its own, and not another one's."""
    modules = {
        match[1]
        for folder in ("generator", "proxy")
        for path in (ROOT / folder).rglob("*.py")
        for match in re.finditer(
            r"^\s*(?:from|import) ([a-z0-9_]+)", path.read_text(), re.MULTILINE
        )
    }
    known = metadata.packages_distributions()
    asked = {canonicalize_name(each.name) for each in DEPENDENCIES}
    # google.* is one folder of many packages; api-core and grpc come with google-cloud-run alone,
    # and pydantic names the very version of its core.
    for module in modules - {"google", "grpc", "pydantic_core"}:
        owners = {canonicalize_name(each) for each in known.get(module, [])} - {"runscrape"}
        assert not owners or owners & asked, module
