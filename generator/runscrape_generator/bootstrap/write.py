"""``runscrape bootstrap DIR``: a folder with everything that Prometheus and runscrape run from.

Everything is made in a private scratch folder first: copies of the bundle's files as they will be,
and there the generator runs. Only then is the bundle written, all of it or nothing. So a run that
fails leaves no half bundle, and one that was there as it was.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from runscrape_generator.bootstrap import bundle, secrets, warnings
from runscrape_generator.bootstrap import scratch as scratch_copy
from runscrape_generator.bootstrap import settings as bootstrap_settings
from runscrape_generator.bootstrap.bundle import Fate, FileStep, Manifest
from runscrape_generator.bootstrap.changes import Changes
from runscrape_generator.bootstrap.command import Load
from runscrape_generator.bootstrap.folder import Folder, Owner
from runscrape_generator.bootstrap.layout import Asked, plan, prometheus_version
from runscrape_generator.bootstrap.options import Choices
from runscrape_generator.bootstrap.platforms import MANIFEST, Platform
from runscrape_generator.bootstrap.settings import BundleConfig
from runscrape_generator.config.load import Loaded
from runscrape_generator.errors import ConfigError, LockedError
from runscrape_generator.log import NOTICE
from runscrape_generator.publish import diff, files, lock

log = logging.getLogger(__name__)

_EDITED = frozenset({Fate.KEEP, Fate.BESIDE})


def write(
    choices: Choices,
    folder: Folder,
    earlier: Manifest | None,
    load: Load,
    *,
    stdout: TextIO,
    show: bool,
    max_removed: float | None,
) -> int:
    """Write the bundle, or with ``show`` only print what would change; give the exit code.

    ``max_removed`` is for this run: a percentage of the jobs; None: as the bundle's settings say.

    Raises a RunscrapeError where that fails.
    """
    manifest = _manifest(choices, earlier)
    with scratch_copy.scratch_folder() as scratch:
        with scratch_copy.shown_as(scratch, choices.directory):
            own = scratch_copy.copy_config(choices, folder, scratch)
            loaded, progress = load(str(own) if manifest.digests and own.exists() else None)
        with scratch_copy.shown_as(scratch, choices.directory):  # load() has set up the log anew
            decided = _decide(choices, folder, earlier or manifest, loaded, scratch)
            summaries = scratch_copy.generate(choices, progress, scratch, max_removed)
            made = dict(scratch_copy.made(choices, folder, decided, scratch))
    if show:
        stdout.write(bundle.differences(folder, decided))
        stdout.writelines(
            diff.unified(folder.path / path, folder.read(path), data) for path, data in made.items()
        )
    else:
        _apply(choices, folder, earlier, decided, made)
    for summary in summaries:
        log.log(NOTICE, replace(summary, dry_run=show).line())
    if not show:
        _tell(choices, decided)
    return max(summary.exit_code for summary in summaries)


def _manifest(choices: Choices, earlier: Manifest | None) -> Manifest:
    if earlier is None:
        return Manifest(choices.platform.value, choices=choices.remembered)
    if earlier.platform != choices.platform.value:
        raise ConfigError(
            f"{choices.directory} holds a bundle for {earlier.platform}: choose another folder"
            f" for {choices.platform}"
        )
    return replace(earlier, choices=choices.remembered)


def _decide(
    choices: Choices,
    folder: Folder,
    before: Manifest,
    loaded: Loaded,
    scratch: Path,
) -> tuple[FileStep, ...]:
    """Decide on each file, and have the scratch folder hold each as it will be.

    ``before`` is the manifest as it was read, or a new one.
    """
    config = _config(choices, folder, before, scratch)
    loaded = bootstrap_settings.without_outdated_version(loaded, choices, config, before.choices)
    for line in (*warnings.of(choices, loaded), *bootstrap_settings.unused(loaded, choices)):
        log.warning(line)
    decided = bundle.steps(folder, plan(_asked(choices, loaded, config)), before)
    for step in decided:
        if step.planned and step.fate not in _EDITED:
            scratch_copy.put(scratch / step.path, step.planned.data)
    for name in _secrets(choices):
        secrets.check(folder, name)
    return decided


def _config(choices: Choices, folder: Folder, manifest: Manifest, scratch: Path) -> BundleConfig:
    containers = choices.platform is not Platform.SYSTEMD
    name = f"{choices.places.bundle_config}/runscrape.yaml"
    return BundleConfig(
        path=scratch / name,
        edited=bundle.is_edited(folder, name, manifest),
        version=prometheus_version(choices.prometheus_image) if containers else None,
    )


def _asked(choices: Choices, loaded: Loaded, config: BundleConfig) -> Asked:
    return Asked(
        choices=choices,
        settings=loaded.settings,
        projects=bootstrap_settings.resolved(loaded),
        runscrape_yaml=bootstrap_settings.document(loaded, choices, config, operator=False),
        operator_yaml=bootstrap_settings.document(loaded, choices, config, operator=True),
    )


def _secrets(choices: Choices) -> list[str]:
    client = choices.places.bundle_secret
    return [client, "secrets/grafana-password"] if choices.grafana else [client]


def _apply(
    choices: Choices,
    folder: Folder,
    earlier: Manifest | None,
    decided: Sequence[FileStep],
    made: Mapping[str, bytes],
) -> None:
    """Write the bundle under its lock; ``earlier`` is the manifest as it was read."""
    path = folder.path.resolve() / MANIFEST
    lock_file = files.hidden(path, ".runscrape-lock").name
    with folder.created(lock_file):
        folder.status(lock_file)  # raises for a pipe, which would never open
        with lock.held(path), Changes(folder) as changes:
            if bundle.load(folder) != earlier:
                raise LockedError(
                    f"{folder.path}: another run of bootstrap has changed it meanwhile; try again"
                )
            owner, state = _containers_user(choices), f"{choices.places.bundle_state}/"
            _make_folders(choices, changes, owner)
            for name in _secrets(choices):
                if not secrets.check(folder, name):
                    secrets.write(changes, name, owner)
                elif choices.platform is Platform.KUBERNETES:
                    secrets.drop_newline(changes, name)
            for name, data in made.items():
                changes.write(name, data, owner=owner if name.startswith(state) else None)
            bundle.apply(changes, decided, _manifest(choices, earlier))
            changes.commit()


def _containers_user(choices: Choices) -> Owner | None:
    """Give the owner of what the containers read and write, if another than whoever runs this."""
    if choices.platform is Platform.COMPOSE and os.geteuid() == 0:
        return choices.user, choices.group
    return None


def _make_folders(choices: Choices, changes: Changes, owner: Owner | None) -> None:
    for name in scratch_copy.generated(choices):
        changes.make_folder(name, owner=owner)
    if choices.platform is not Platform.SYSTEMD:
        changes.make_folder("secrets", 0o700, owner)
    if choices.platform is Platform.COMPOSE:
        changes.make_folder("state/metrics", owner=owner)
        for name in ("prometheus", "grafana") if choices.grafana else ("prometheus",):
            changes.make_folder(f"data/{name}", owner=owner)


def _tell(choices: Choices, decided: Sequence[FileStep]) -> None:
    for step in decided:
        if step.fate is Fate.BESIDE:
            log.warning(f"{choices.directory / step.path}: {step.fate}, {step.path}{bundle.NEW}")
        elif step.fate is not Fate.SAME:
            log.info(f"{step.path}: {step.fate}")
    counts = {fate: sum(step.fate is fate for step in decided) for fate in Fate}
    kept = [step.path for step in decided if step.fate in _EDITED]
    parts = [
        f"{counts[fate]} {fate}"
        for fate in (Fate.CREATE, Fate.UPDATE, Fate.SAME, Fate.REMOVE)
        if counts[fate]
    ]
    if kept:
        parts.append(f"{len(kept)} kept, which are yours ({', '.join(kept)})")
    beside = {step.path for step in decided if step.fate is Fate.BESIDE}
    readme = choices.directory / ("README.md" + (bundle.NEW if "README.md" in beside else ""))
    log.log(NOTICE, f"bundle for {choices.platform}: {', '.join(parts)}; go on with {readme}")
