"""The options of ``runscrape bootstrap`` itself, each once: its default, its rule, its platforms.

The generator's own settings (projects, rules, mode …) are in :mod:`runscrape_generator.config`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from runscrape_generator.bootstrap.platforms import Platform
from runscrape_generator.config import durations

_IMAGE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._:/@-]{0,400}")
"""NAME[:TAG][@DIGEST] (distribution/reference); what it allows needs no quotes in any file."""
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""An RFC 1123 label, as Kubernetes wants it."""
_ACCOUNT = re.compile(r"[a-z0-9.-]+@[a-z0-9.-]+")
_FOLDER = re.compile(r"/[A-Za-z0-9_@+=:,./-]*")
"""What unit files and quadlets can name without quotes."""
_MIN_EVERY, _MAX_EVERY = 30, 86_400
"""Seconds: more often wears out Google's quota, less often than daily is no discovery."""

Check = tuple[Callable[[str], bool], str]
"""Whether a value is good, and what completes ``'…' is not …``."""


def is_path(text: str) -> bool:
    """Whether unit files and quadlets can name the path without quotes."""
    return _FOLDER.fullmatch(str(Path(text).absolute())) is not None


def _is_interval(text: str) -> bool:
    try:
        return _MIN_EVERY <= durations.parse(text) <= _MAX_EVERY
    except ValueError:
        return False


def _matching(pattern: re.Pattern[str], what: str) -> Check:
    return lambda text: pattern.fullmatch(text) is not None, what


_AN_IMAGE = _matching(_IMAGE, "an image such as registry/name:tag")
_A_PATH: Check = (is_path, "a path without spaces")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option that takes a text, or with a default of False one that is switched on or off."""

    key: str
    """The field of ``Choices``; the flag is this with dashes."""
    help: str
    default: str | bool | None = None
    check: Check | None = None
    metavar: str | None = None
    platforms: tuple[Platform, ...] = tuple(Platform)
    """Where it is used."""
    refused: bool = False
    """Whether it ends the run on another platform; else it is warned of."""
    instead: str = ""
    """What to do on the other platforms."""

    @property
    def flag(self) -> str:
        """As it is typed."""
        return "--" + self.key.replace("_", "-")


_CONTAINERS = (Platform.COMPOSE, Platform.KUBERNETES)

OPTIONS: tuple[Option, ...] = (
    Option(
        key="image",
        help="Our own image.",
        default=f"runscrape:{version('runscrape')}",
        check=_AN_IMAGE,
        platforms=_CONTAINERS,
    ),
    Option(
        key="prometheus_image",
        help="Prometheus' image.",
        default="docker.io/prom/prometheus:v3.10.0",
        check=_AN_IMAGE,
        platforms=_CONTAINERS,
    ),
    Option(
        key="exporter_image",
        help="node_exporter's image.",
        default="quay.io/prometheus/node-exporter:v1.9.1",
        check=_AN_IMAGE,
        platforms=_CONTAINERS,
    ),
    Option(
        key="grafana_image",
        help="Grafana's image.",
        default="docker.io/grafana/grafana:12.0.2",
        check=_AN_IMAGE,
        platforms=(Platform.COMPOSE,),
    ),
    Option(
        key="kubectl_image",
        help="kubectl's image, for --operator.",
        default="registry.k8s.io/kubectl:v1.33.2",
        check=_AN_IMAGE,
        platforms=(Platform.KUBERNETES,),
    ),
    Option(
        key="grafana",
        help="Run Grafana too, dashboard and all (compose).",
        default=False,
        platforms=(Platform.COMPOSE,),
        refused=True,
        instead="elsewhere import the dashboard",
    ),
    Option(
        key="operator",
        help="Prometheus Operator resources too (kubernetes).",
        default=False,
        platforms=(Platform.KUBERNETES,),
        refused=True,
    ),
    Option(
        key="every",
        help="How often the generator looks.",
        default="5m",
        check=(_is_interval, "a duration from 30s to 1d"),
        metavar="DURATION",
    ),
    Option(
        key="credentials_file",
        help="Google credentials to use there; by default the metadata server, or workload identity"
        " (compose, systemd).",
        check=_A_PATH,
        metavar="PATH",
        platforms=(Platform.COMPOSE, Platform.SYSTEMD),
        refused=True,
        instead="on kubernetes the pod has workload identity instead",
    ),
    Option(
        key="google_service_account",
        help="What the programs are to Google; by default runscrape of the first project.",
        check=_matching(_ACCOUNT, "an e-mail address"),
        metavar="EMAIL",
    ),
    Option(
        key="namespace",
        help="Of the objects (kubernetes).",
        default="runscrape",
        check=_matching(_NAMESPACE, "a namespace's name"),
        platforms=(Platform.KUBERNETES,),
    ),
    Option(
        key="program_dir",
        help="Of the programs (systemd).",
        default="/opt/runscrape/bin",
        check=_matching(_FOLDER, "an absolute path without spaces"),
        metavar="DIR",
        platforms=(Platform.SYSTEMD,),
    ),
)

DEFAULTS: Mapping[str, Any] = {option.key: option.default for option in OPTIONS}


def mistakes(platform: Platform, given: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """Name every mistake, a line each.

    ``given`` was given now; ``values`` are what holds, earlier runs and defaults included.
    """
    return [*_bad_values(values), *_unused(platform, given, refused=True)]


def unused(platform: Platform, given: Mapping[str, Any]) -> list[str]:
    """Name what was given and makes no difference on the platform, a line each."""
    return list(_unused(platform, given, refused=False))


def _bad_values(values: Mapping[str, Any]) -> Iterator[str]:
    for option in OPTIONS:
        value = values[option.key]
        if option.check and value is not None:
            is_good, what = option.check
            if not isinstance(value, str) or not is_good(value):
                yield f"{option.flag}: {value!r} is not {what}"


def _unused(platform: Platform, given: Mapping[str, Any], *, refused: bool) -> Iterator[str]:
    for option in OPTIONS:
        used = platform in option.platforms or not given.get(option.key)
        if not used and option.refused is refused:
            names = " or ".join(option.platforms)
            hint = f"; {option.instead}" if option.instead else ""
            yield f"{option.flag}: only with --platform {names}{hint}"
