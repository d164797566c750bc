"""The bundle's files on disk: what is ours is updated, what the user edited is left alone.

``.runscrape-bundle.json`` remembers the digest of each file as we wrote it. A file that is still
as we wrote it is ours; any other was edited, or was there before us: it stays, and where we would
write something new, that goes beside it as ``NAME.new``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import yaml

from runscrape_generator.bootstrap.model import MANIFEST
from runscrape_generator.errors import ConfigError
from runscrape_generator.publish import diff, files

NEW = ".new"


@dataclass(frozen=True, slots=True)
class Planned:
    """A file of the bundle as it should be."""

    text: str
    executable: bool = False
    yaml: bool = False
    """Another text with the same content is as good: comments and order are the user's."""

    @property
    def data(self) -> bytes:
        """What is written."""
        return self.text.encode()

    def is_as_good(self, there: bytes) -> bool:
        """Whether the file says what we would write."""
        if not self.yaml:
            return False
        try:
            return bool(yaml.safe_load(there) == yaml.safe_load(self.text))
        except yaml.YAMLError:
            return False


class Fate(StrEnum):
    """What becomes of a file."""

    CREATE = "written"
    UPDATE = "updated"
    SAME = "unchanged"
    KEEP = "kept, you edited it"
    BESIDE = "kept, you edited it; the new version is beside it"
    REMOVE = "removed, no longer needed"


@dataclass(frozen=True, slots=True)
class Step:
    """One file, and what becomes of it."""

    path: str
    """Relative to the bundle."""
    fate: Fate
    planned: Planned | None
    """None where it is to go."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What we wrote, when we wrote last."""

    platform: str
    digests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Path → digests that are ours; two while a run is between the old and the new."""
    choices: Mapping[str, object] = field(default_factory=dict)
    """The options of bootstrap that were ever given."""


def load(directory: Path) -> Manifest | None:
    """Read the manifest; None where there is none. Raises ConfigError for a broken one."""
    path = directory / MANIFEST
    data = files.read(path)
    if data is None:
        return None
    try:
        content = json.loads(data)
        digests = {str(name): tuple(map(str, each)) for name, each in content["files"].items()}
        return Manifest(str(content["platform"]), digests, dict(content["choices"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(
            f"{path}: is broken, so nobody knows which files you edited; remove it, and every"
            " file that differs from a new one is kept"
        ) from None


def steps(directory: Path, plan: Mapping[str, Planned], manifest: Manifest) -> tuple[Step, ...]:
    """Decide on each file, sorted by path; writes nothing. Raises WriteError."""
    decided = [_step(directory, path, planned, manifest) for path, planned in plan.items()]
    gone = manifest.digests.keys() - plan.keys()
    decided += [step for path in gone for step in _leftover(directory, path, manifest)]
    return tuple(sorted(decided, key=lambda step: step.path))


def _step(directory: Path, path: str, planned: Planned, manifest: Manifest) -> Step:
    there = files.read(directory / path)
    ours = manifest.digests.get(path, ())
    if there is None:
        return Step(path, Fate.CREATE, planned)
    if there == planned.data:
        return Step(path, Fate.SAME, planned)
    if _digest(there) in ours:
        return Step(path, Fate.UPDATE, planned)
    nothing_new = _digest(planned.data) in ours or planned.is_as_good(there)
    return Step(path, Fate.KEEP if nothing_new else Fate.BESIDE, planned)


def _leftover(directory: Path, path: str, manifest: Manifest) -> Iterator[Step]:
    there = files.read(directory / path)
    if there is None:
        return
    is_ours = _digest(there) in manifest.digests[path]
    yield Step(path, Fate.REMOVE if is_ours else Fate.KEEP, None)


def differences(directory: Path, decided: Sequence[Step]) -> str:
    """Render what :func:`apply` would change, as one unified diff."""
    return "".join(_difference(directory, step) for step in decided)


def _difference(directory: Path, step: Step) -> str:
    if step.fate in {Fate.SAME, Fate.KEEP}:
        return ""
    path = directory / (step.path + (NEW if step.fate is Fate.BESIDE else ""))
    return diff.unified(path, files.read(path), step.planned.data if step.planned else b"")


def apply(directory: Path, decided: Sequence[Step], manifest: Manifest) -> None:
    """Write, in an order that a kill at any moment leaves no file of ours taken for an edited one.

    Raises WriteError.
    """
    new = {
        step.path: (_digest(step.planned.data),)
        for step in decided
        if step.planned and step.fate not in {Fate.KEEP, Fate.BESIDE}
    }
    old = {step.path: manifest.digests.get(step.path, ()) for step in decided}
    _save(directory, manifest, {path: (*old[path], *new.get(path, ())) for path in old})
    for step in decided:
        _apply(directory, step)
    left = {step.path for step in decided if step.planned}
    _save(directory, manifest, {path: new.get(path, old[path]) for path in left})


def _apply(directory: Path, step: Step) -> None:
    path = directory / step.path
    if step.fate is Fate.REMOVE:
        files.discard(path)
    elif step.fate in {Fate.CREATE, Fate.UPDATE, Fate.BESIDE} and step.planned:
        target = path if step.fate is not Fate.BESIDE else path.with_name(path.name + NEW)
        folder(target.parent)
        files.replace(files.resolve(target), step.planned.data)
        if step.planned.executable:
            target.chmod(0o755)


def folder(path: Path, mode: int = 0o755) -> None:
    """Make the folder and those above it; raises WriteError."""
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise files.failure(path, error) from error


def _save(directory: Path, manifest: Manifest, digests: Mapping[str, Sequence[str]]) -> None:
    known = {path: list(dict.fromkeys(each)) for path, each in sorted(digests.items()) if each}
    content = {
        "version": 1,
        "platform": manifest.platform,
        "choices": dict(manifest.choices),
        "files": known,
    }
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    if files.read(directory / MANIFEST) != text.encode():
        files.replace(directory / MANIFEST, text.encode())


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
