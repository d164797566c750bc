"""What is warned of: choices that are taken, and may not be what was meant."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from runscrape_generator.bootstrap.layout import prometheus_version
from runscrape_generator.bootstrap.options import Choices
from runscrape_generator.bootstrap.platforms import Platform
from runscrape_generator.config.load import Loaded


def of(choices: Choices, loaded: Loaded) -> Iterator[str]:
    """Give a line for each."""
    yield from filter(None, (_credentials(choices), _version(choices, loaded), _image(choices)))


def _credentials(choices: Choices) -> str:
    """Say why the credentials could not be read there; empty where they can."""
    path = choices.credentials_file
    if path is None:
        return ""
    by_root = choices.platform is Platform.SYSTEMD
    try:
        found = Path(path).stat()
    except OSError as error:
        if by_root and isinstance(error, PermissionError):
            return ""
        return f"--credentials-file {path}: {error.strerror}; it has to be there when this runs"
    if stat.S_ISDIR(found.st_mode):
        return f"--credentials-file {path}: is a folder; name a file"
    return "" if by_root else _unreadable(choices, path, found)


def _unreadable(choices: Choices, path: str, found: os.stat_result) -> str:
    """Say that the containers' user cannot read the file; empty where that user can."""
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


def _version(choices: Choices, loaded: Loaded) -> str:
    """Say for which Prometheus the jobs are written where the image's tag tells not, or another."""
    if choices.platform is Platform.SYSTEMD:
        return ""
    told = prometheus_version(choices.prometheus_image)
    origin, version = loaded.origins["prometheus_version"], loaded.settings.prometheus_version
    if told and origin == "--prometheus-version" and version != told:
        return (
            f"--prometheus-version {version}: is for this run; the next one goes by the tag of"
            f" --prometheus-image again, {told}, unless you edit config/runscrape.yaml"
        )
    if told or origin != "default":
        return ""
    return (
        f"--prometheus-image {choices.prometheus_image}: its tag names no version of Prometheus"
        " (2.27 or newer), so the jobs are such as 2.42 takes, too; --prometheus-version says which"
        " it is"
    )


def _image(choices: Choices) -> str:
    """Say that a cluster can pull no image from ``localhost``, where the default is."""
    if choices.platform is not Platform.KUBERNETES or not choices.has_local_image:
        return ""
    return (
        f"--image {choices.image}: is on the machine that built it alone; name one in a registry"
        " that the cluster reaches, or load it into the cluster's nodes"
    )
