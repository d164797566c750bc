"""``runscrape bootstrap DIR``: a folder with everything that Prometheus and runscrape run from.

Order: decide on every file, list and publish what the generator writes, then write the rest. So a
listing that fails leaves no half bundle, and one that is there as it was.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TextIO

from runscrape_generator import run
from runscrape_generator.bootstrap import bundle
from runscrape_generator.bootstrap import secrets as bootstrap_secrets
from runscrape_generator.bootstrap import settings as bootstrap_settings
from runscrape_generator.bootstrap.bundle import Fate, Manifest, Step
from runscrape_generator.bootstrap.layout import Asked, plan, prometheus_version
from runscrape_generator.bootstrap.model import MANIFEST, PLACES, Choices, Places, Platform
from runscrape_generator.config.load import Loaded
from runscrape_generator.config.settings import Mode, Settings
from runscrape_generator.errors import ConfigError
from runscrape_generator.log import NOTICE
from runscrape_generator.progress import Progress
from runscrape_generator.publish import files, lock

log = logging.getLogger(__name__)

_EDITED = frozenset({Fate.KEEP, Fate.BESIDE})
_STALE = 3
"""The exit code where some scopes came from the inventory."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One file for the generator to write."""

    command: Literal["generate", "targets"]
    settings: Settings


def bootstrap(
    choices: Choices, loaded: Loaded, progress: Progress, *, stdout: TextIO, show: bool
) -> int:
    """Write the bundle, or with ``show`` only print what would change; give the exit code.

    Raises a RunscrapeError where that fails.
    """
    directory = choices.directory
    warnings = [_credentials_warning(choices), *bootstrap_settings.unused(loaded, choices)]
    for line in filter(None, warnings):
        log.warning(line)
    manifest = _manifest(choices)
    decided = bundle.steps(directory, plan(_asked(choices, loaded)), manifest)
    with ExitStack() as stack:
        effective = stack.enter_context(_effective(directory, decided))
        runs = _runs(choices, effective, dry_run=show)
        if show:
            stdout.write(bundle.differences(directory, decided))
            stack.enter_context(_for_now(_outputs(choices)))
        else:
            _folders(choices)
            stack.enter_context(lock.held(files.resolve(directory / MANIFEST)))
            _secrets(choices)
        codes = [
            run.once(it.command, it.settings, progress, stdout=stdout).exit_code for it in runs
        ]
    if not show:
        bundle.apply(directory, decided, manifest)
        _hand_over(choices)
        _tell(choices, decided)
    return _STALE if _STALE in codes else 0


def _manifest(choices: Choices) -> Manifest:
    known = bundle.load(choices.directory)
    if known is None:
        return Manifest(choices.platform.value, choices=choices.remembered)
    if known.platform != choices.platform.value:
        raise ConfigError(
            f"{choices.directory} holds a bundle for {known.platform}: choose another folder"
            f" for {choices.platform}"
        )
    return replace(known, choices=choices.remembered)


def _asked(choices: Choices, loaded: Loaded) -> Asked:
    read_by = choices.platform is not Platform.SYSTEMD
    version = prometheus_version(choices.prometheus_image) if read_by else None
    return Asked(
        choices=choices,
        settings=loaded.settings,
        projects=bootstrap_settings.resolved(loaded),
        runscrape_yaml=bootstrap_settings.document(
            loaded, choices, version=version, operator=False
        ),
        operator_yaml=bootstrap_settings.document(loaded, choices, version=version, operator=True),
    )


@contextmanager
def _effective(directory: Path, decided: Sequence[Step]) -> Iterator[Mapping[str, Path]]:
    """Give each file as it will be when all is written: an edited one where it is, else a copy."""
    with tempfile.TemporaryDirectory(prefix="runscrape-") as name:
        yield {step.path: _will_be(directory, Path(name), step) for step in decided}


def _will_be(directory: Path, scratch: Path, step: Step) -> Path:
    if step.fate in _EDITED or step.planned is None:
        return directory / step.path
    path = scratch / step.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(step.planned.data)
    return path


def _runs(choices: Choices, effective: Mapping[str, Path], *, dry_run: bool) -> list[_Run]:
    """Prepare what the generator writes; raises ConfigError for a bad runscrape.yaml."""
    places = PLACES[choices.platform]
    config = effective[f"{places.bundle_config}/runscrape.yaml"]
    template = effective[f"{places.bundle_config}/prometheus.yml.j2"]
    settings = bootstrap_settings.for_this_machine(config, choices, template, dry_run=dry_run)
    state = choices.directory / places.bundle_state
    runs = [_Run("generate", replace(settings, output=state / "prometheus.yml"))]
    if settings.mode is Mode.GATEWAY:
        runs.append(_Run("targets", replace(settings, output=state / "targets.json")))
    if choices.operator:
        own = bootstrap_settings.for_this_machine(
            effective["operator/runscrape.yaml"], choices, template, dry_run=dry_run
        )
        output = choices.directory / "operator" / "scrapeconfigs.yaml"
        runs.append(_Run("generate", replace(own, output=output)))
    return runs


def _outputs(choices: Choices) -> list[Path]:
    """Name the folders that the generator writes to."""
    state = choices.directory / PLACES[choices.platform].bundle_state
    return [state, choices.directory / "operator"] if choices.operator else [state]


@contextmanager
def _for_now(folders: Sequence[Path]) -> Iterator[None]:
    """Have the folders there, for a dry run needs them, and leave none behind that was not."""
    wanted = {above for path in folders for above in (path, *path.parents)}
    made = sorted(path for path in wanted if not path.exists())
    try:
        for path in made:
            bundle.folder(path)
        yield
    finally:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir()


def _folders(choices: Choices) -> None:
    wanted = _outputs(choices)
    if choices.platform is Platform.COMPOSE:
        wanted += [wanted[0] / "metrics", *_data(choices)]
    for path in wanted:
        bundle.folder(path)


def _data(choices: Choices) -> list[Path]:
    names = ("prometheus", "grafana") if choices.grafana else ("prometheus",)
    return [choices.directory / "data" / name for name in names]


def _secret_files(choices: Choices, places: Places) -> list[Path]:
    found = [choices.directory / places.bundle_secret]
    return [*found, found[0].with_name("grafana-password")] if choices.grafana else found


def _secrets(choices: Choices) -> None:
    private = choices.platform is not Platform.SYSTEMD
    for path in _secret_files(choices, PLACES[choices.platform]):
        bootstrap_secrets.ensure(path, private_folder=private)


def _hand_over(choices: Choices) -> None:
    """Where root made a Compose bundle, give the containers' user what they read and write."""
    if choices.platform is not Platform.COMPOSE or os.geteuid() != 0:
        return
    places = PLACES[choices.platform]
    state = choices.directory / places.bundle_state
    secrets = _secret_files(choices, places)
    for path in (state, *state.rglob("*"), *_data(choices), secrets[0].parent, *secrets):
        try:
            shutil.chown(path, choices.user, choices.group)
        except OSError as error:
            raise files.failure(path, error) from error


def _credentials_warning(choices: Choices) -> str:
    """Say why the containers' user could not read the credentials; empty where it can."""
    path = choices.credentials_file
    if path is None or choices.platform is not Platform.COMPOSE:
        return ""
    try:
        found = path.stat()
    except OSError as error:
        return f"--credentials-file {path}: {error.strerror}; it has to be there when this runs"
    if choices.user == found.st_uid:
        needed = stat.S_IRUSR
    else:
        needed = stat.S_IRGRP if choices.group == found.st_gid else stat.S_IROTH
    if found.st_mode & needed:
        return ""
    return (
        f"--credentials-file {path}: the containers run as user {choices.user}, who cannot read it:"
        f" chown {choices.user} it, or run bootstrap as its owner"
    )


def _tell(choices: Choices, decided: Sequence[Step]) -> None:
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
        parts.append(f"{len(kept)} kept as you edited them ({', '.join(kept)})")
    readme = choices.directory / "README.md"
    log.log(NOTICE, f"bundle for {choices.platform}: {', '.join(parts)}; go on with {readme}")
