"""``runscrape bootstrap``: what was asked for, now and on earlier runs, and what is made of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from runscrape_generator.bootstrap import checks, options
from runscrape_generator.bootstrap.options import Choices
from runscrape_generator.bootstrap.platforms import PLACES, RUN_AS, Platform
from runscrape_generator.config import durations
from runscrape_generator.config.load import Loaded
from runscrape_generator.errors import ConfigError
from runscrape_generator.progress import Progress

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from runscrape_generator.bootstrap.bundle import Manifest
    from runscrape_generator.bootstrap.folder import Folder

_SELECTED_BY = "app.kubernetes.io/name"

Load = Callable[[str | None], tuple[Loaded, Progress]]
"""Reads the generator's settings; from this runscrape.yaml, unless the user names another."""


def run(given: Mapping[str, Any], load: Load, *, stdout: TextIO) -> int:
    """Write the bundle (with ``show`` print what would change), and give the exit code.

    ``given`` has the argument and the options; None is what was not on the command line.
    What is slow to import is imported only here.
    """
    from runscrape_generator.bootstrap import bundle, write  # noqa: PLC0415 - see the docstring
    from runscrape_generator.bootstrap.folder import Folder  # noqa: PLC0415

    directory = Path(given["directory"])
    if not given["directory"]:
        raise ConfigError("DIR: is empty; name a folder")
    if os.path.isfile(directory):  # noqa: PTH113 - where it may not look, opening it says why
        raise ConfigError(f"DIR: {directory} is a file; name a folder")
    with Folder(directory) as folder:
        earlier = bundle.load(folder)
        chosen = choices(given, earlier, folder)
        return write.write(
            chosen,
            folder,
            earlier,
            load,
            stdout=stdout,
            show=bool(given["show"]),
            max_removed=given["max_removed"],
        )


def choices(given: Mapping[str, Any], earlier: Manifest | None, folder: Folder) -> Choices:
    """Complete what was given now by what was given on earlier runs (``earlier``) and defaults.

    Raises ConfigError with every mistake, a line each.
    """
    said = {key: given[key] for key in options.DEFAULTS if given[key] is not None}
    now = {key: value for key, value in said.items() if not _is_empty(value)}
    if "credentials_file" in now:
        now["credentials_file"] = str(Path(now["credentials_file"]).absolute())
    if "program_dir" in now:
        now["program_dir"] = os.path.normpath(now["program_dir"])
    remembered = earlier.choices if earlier else {}
    before = {
        key: _value(remembered[key])
        for key in options.DEFAULTS.keys() & remembered.keys() - said.keys()
    }
    values = {**options.DEFAULTS, **before, **now}
    platform = _platform(given["platform"] or (earlier.platform if earlier else None))
    found = [*options.bad_values(values), *options.unused(platform, now, refused=True)]
    found = found or [
        *_odd_period(platform, values),
        *_no_room(platform, values),
        *_own_label(values),
    ]
    if platform is Platform.COMPOSE and not checks.is_path(given["directory"]):
        path = str(Path(given["directory"]).absolute())
        found.append(f"DIR: {path!r} is not {checks.PLAIN_PATH}: quadlets could not name it")
    if found:
        raise ConfigError("\n".join(found))
    for line in options.unused(platform, now, refused=False):
        log.warning(line)
    user, group = _runs_as(platform, folder)
    return Choices(
        platform=platform,
        directory=Path(given["directory"]),
        user=user,
        group=group,
        remembered={**before, **now},
        **values,
    )


def _odd_period(platform: Platform, values: Mapping[str, Any]) -> list[str]:
    """Refuse a period that the operator's CronJob could not keep."""
    every = values["every"]
    if platform is not Platform.KUBERNETES or not values["operator"]:
        return []
    if checks.cron_schedule(durations.parse(every)) is not None:
        return []
    why = "with --operator take what divides an hour or a day, such as 30m or 6h"
    return [f"--every: cron cannot start a CronJob every {every}; {why}"]


def _no_room(platform: Platform, values: Mapping[str, Any]) -> list[str]:
    """Refuse samples that would fill the volume: Prometheus ends there."""
    size, volume = values["retention_size"], values["volume_size"]
    if platform is not Platform.KUBERNETES or size is None:
        return []
    if checks.size_in_bytes(size) < checks.size_in_bytes(volume):
        return []
    return [f"--retention-size: {size} do not fit on a volume of {volume} (--volume-size)"]


def _own_label(values: Mapping[str, Any]) -> list[str]:
    """Refuse to give the pods another name than the one that everything selects them by."""
    if any(each.startswith(f"{_SELECTED_BY}=") for each in values["object_label"]):
        return [f"--object-label: {_SELECTED_BY} is the bundle's own, and selects its pods"]
    return []


def _is_empty(value: Any) -> bool:
    """Whether this takes back what an earlier run was given."""
    return value in ("", ("",))


def _value(remembered: Any) -> Any:
    """Read a value from the manifest: JSON has lists where options have tuples."""
    return tuple(remembered) if isinstance(remembered, list) else remembered


def _runs_as(platform: Platform, folder: Folder) -> tuple[int, int]:
    """Say as whom the containers run: not as root, but as whom the bundle was first written for."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    user, group = folder.owner(PLACES[platform].bundle_state) or (0, 0)
    return (user, group) if user else (RUN_AS, RUN_AS)


def _platform(name: str | None) -> Platform:
    try:
        return Platform(name or "")
    except ValueError:
        raise ConfigError(f"--platform: say one of {', '.join(Platform)}") from None
