"""Which file of a bundle is whose: ours are updated, what the user edited is left alone.

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

import yaml

from runscrape_generator.bootstrap.changes import Changes
from runscrape_generator.bootstrap.folder import Folder
from runscrape_generator.bootstrap.platforms import MANIFEST
from runscrape_generator.errors import ConfigError
from runscrape_generator.publish import diff
from runscrape_generator.text import from_json

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
    KEEP = "kept, it is yours"
    BESIDE = "kept, it is yours; ours is beside it"
    REMOVE = "removed, no longer needed"


@dataclass(frozen=True, slots=True)
class FileStep:
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


def load(folder: Folder) -> Manifest | None:
    """Read the manifest; None where there is none. Raises ConfigError for a broken one."""
    data = folder.read(MANIFEST)
    if data is None:
        return None
    try:
        content = from_json(data)
        digests = {str(name): tuple(map(str, each)) for name, each in content["files"].items()}
        return Manifest(str(content["platform"]), digests, dict(content["choices"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(
            f"{folder.path / MANIFEST}: is broken, so nobody knows which files you edited; remove"
            " it, and every file that differs from a new one is kept"
        ) from None


def steps(folder: Folder, plan: Mapping[str, Planned], manifest: Manifest) -> tuple[FileStep, ...]:
    """Decide on each file, sorted by path; writes nothing. Raises as ``Folder.read`` does."""
    decided = [_step(folder, path, planned, manifest) for path, planned in plan.items()]
    gone = manifest.digests.keys() - plan.keys()
    decided += [step for path in gone for step in _leftover(folder, path, manifest)]
    return tuple(sorted(decided, key=lambda step: step.path))


def _step(folder: Folder, path: str, planned: Planned, manifest: Manifest) -> FileStep:
    there = folder.read(path)
    ours = manifest.digests.get(path, ())
    if there is None:
        return FileStep(path, Fate.CREATE, planned)
    if there == planned.data:
        return FileStep(path, Fate.SAME, planned)
    if _digest(there) in ours:
        return FileStep(path, Fate.UPDATE, planned)
    nothing_new = _digest(planned.data) in ours or planned.is_as_good(there)
    return FileStep(path, Fate.KEEP if nothing_new else Fate.BESIDE, planned)


def _leftover(folder: Folder, path: str, manifest: Manifest) -> Iterator[FileStep]:
    there = folder.read(path)
    if there is None:
        return
    is_ours = _digest(there) in manifest.digests[path]
    yield FileStep(path, Fate.REMOVE if is_ours else Fate.KEEP, None)


def is_edited(folder: Folder, path: str, manifest: Manifest) -> bool:
    """Whether the file is there and not as we wrote it."""
    there = folder.read(path)
    return there is not None and _digest(there) not in manifest.digests.get(path, ())


def differences(folder: Folder, decided: Sequence[FileStep]) -> str:
    """Render what :func:`apply` would change, as one unified diff."""
    return "".join(_difference(folder, step) for step in decided)


def _difference(folder: Folder, step: FileStep) -> str:
    if step.fate in {Fate.SAME, Fate.KEEP}:
        return ""
    name = step.path + (NEW if step.fate is Fate.BESIDE else "")
    new = step.planned.data if step.planned else b""
    return diff.unified(folder.path / name, folder.read(name), new)


def apply(changes: Changes, decided: Sequence[FileStep], manifest: Manifest) -> None:
    """Add what is to be written to ``changes``.

    The manifest goes first, with the old digests and the new ones, and last, with the new ones
    alone: killed between any two files, a run leaves none of ours that the next takes for edited.
    """
    new = {
        step.path: (_digest(step.planned.data),)
        for step in decided
        if step.planned and step.fate not in {Fate.KEEP, Fate.BESIDE}
    }
    old = {step.path: manifest.digests.get(step.path, ()) for step in decided}
    before = _document(manifest, {path: (*old[path], *new.get(path, ())) for path in old})
    left = {step.path for step in decided if step.planned}
    after = _document(manifest, {path: new.get(path, old[path]) for path in left})
    outdated = changes.folder.read(MANIFEST) != after
    if outdated:
        changes.write(MANIFEST, before)
    for step in decided:
        _apply(changes, step)
    if outdated:
        changes.write(MANIFEST, after)


def _apply(changes: Changes, step: FileStep) -> None:
    if step.fate is Fate.REMOVE:
        changes.remove(step.path)
    elif step.fate in {Fate.CREATE, Fate.UPDATE, Fate.BESIDE} and step.planned:
        name = step.path + (NEW if step.fate is Fate.BESIDE else "")
        changes.write(name, step.planned.data, 0o755 if step.planned.executable else 0o644)


def _document(manifest: Manifest, digests: Mapping[str, Sequence[str]]) -> bytes:
    known = {path: list(dict.fromkeys(each)) for path, each in sorted(digests.items()) if each}
    content = {
        "version": 1,
        "platform": manifest.platform,
        "choices": dict(manifest.choices),
        "files": known,
    }
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
