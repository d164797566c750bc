"""The options of ``runscrape bootstrap`` itself, each once: its default, its rule, its platforms.

The generator's own settings (projects, rules, mode …) are in :mod:`runscrape_generator.config`.
"""

from __future__ import annotations

import os
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
_SIZE = re.compile(r"[1-9][0-9]*(?:MB|GB|TB)")
"""What Prometheus' --storage.tsdb.retention.size takes; 1GB is 2**30 bytes there."""
_QUANTITY = re.compile(r"[1-9][0-9]*[MGT]i")
"""A Kubernetes quantity, of those that name a volume's size."""
_OBJECT = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""An RFC 1123 subdomain: the name of most Kubernetes objects."""
_ADDRESS = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?:[0-9]{1,5}")
_LABEL = re.compile(
    r"(?:[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
    r"=([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?"
)
"""A Kubernetes label as ``key=value``."""
_EXTERNAL = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*=[^\x00-\x1f\x7f]+")
_MIN_EVERY, _MAX_EVERY = 30, 86_400
"""Seconds: more often wears out Google's quota, less often than daily is no discovery."""

Check = tuple[Callable[[str], bool], str]
"""Whether a value is good, and what completes ``'…' is not …``."""


def is_path(text: str) -> bool:
    """Whether unit files and quadlets can name the path without quotes."""
    return _FOLDER.fullmatch(str(Path(text).absolute())) is not None


def _is_program_dir(text: str) -> bool:
    """Whether units with ProtectHome= and PrivateTmp= (systemd.exec(5)) can start what is there."""
    hidden = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - not written to
    path = Path(os.path.normpath(text))
    return bool(_FOLDER.fullmatch(text)) and not any(map(path.is_relative_to, hidden))


def _is_interval(text: str) -> bool:
    try:
        return _MIN_EVERY <= durations.parse(text) <= _MAX_EVERY
    except ValueError:
        return False


def _is_duration(text: str) -> bool:
    try:
        return durations.parse(text) > 0
    except ValueError:
        return False


def _matching(pattern: re.Pattern[str], what: str) -> Check:
    return lambda text: pattern.fullmatch(text) is not None, what


_AN_IMAGE = _matching(_IMAGE, "an image such as registry/name:tag")
_A_PATH: Check = (is_path, "a path without spaces")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option that takes a text, several, or with a default of False one that is a switch."""

    key: str
    """The field of ``Choices``; the flag is this with dashes."""
    help: str
    default: str | bool | tuple[str, ...] | None = None
    """() for an option that can be given several times."""
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
_CLUSTER = (Platform.KUBERNETES,)
_A_LABEL = _matching(_LABEL, "a label such as team=core")
_A_NAME = _matching(_OBJECT, "the name of an object")

OPTIONS: tuple[Option, ...] = (
    Option(
        key="image",
        help="Our own image.",
        default=f"localhost/runscrape:{version('runscrape')}",
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
        platforms=_CLUSTER,
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
        platforms=_CLUSTER,
        refused=True,
    ),
    Option(
        key="operator_label",
        help="Label that your Prometheus' selectors ask for (with --operator: no Prometheus of our"
        " own beside it).",
        default=(),
        check=_A_LABEL,
        metavar="KEY=VALUE",
        platforms=_CLUSTER,
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
        platforms=_CLUSTER,
    ),
    Option(
        key="program_dir",
        help="Of the programs (systemd).",
        default="/opt/runscrape/bin",
        check=(_is_program_dir, "an absolute path without spaces that a sandboxed unit sees"),
        metavar="DIR",
        platforms=(Platform.SYSTEMD,),
    ),
    Option(
        key="retention",
        help="How long Prometheus keeps samples.",
        default="15d",
        check=(_is_duration, "a duration such as 15d"),
        metavar="DURATION",
        platforms=_CONTAINERS,
        refused=True,
        instead="elsewhere Prometheus' own flags say it",
    ),
    Option(
        key="retention_size",
        help="How much room samples may take; by default four fifths of the volume, or 16GB.",
        check=_matching(_SIZE, "a size such as 16GB"),
        metavar="SIZE",
        platforms=_CONTAINERS,
        refused=True,
        instead="elsewhere Prometheus' own flags say it",
    ),
    Option(
        key="volume_size",
        help="Size of Prometheus' volume (kubernetes).",
        default="20Gi",
        check=_matching(_QUANTITY, "a size such as 20Gi"),
        metavar="SIZE",
        platforms=_CLUSTER,
        refused=True,
    ),
    Option(
        key="storage_class",
        help="Storage class of Prometheus' volume (kubernetes); by default the cluster's.",
        check=_A_NAME,
        metavar="NAME",
        platforms=_CLUSTER,
        refused=True,
    ),
    Option(
        key="alertmanager",
        help="Alertmanager to send alerts to.",
        default=(),
        check=_matching(_ADDRESS, "an address such as alertmanager:9093"),
        metavar="HOST:PORT",
        platforms=_CONTAINERS,
        refused=True,
        instead="elsewhere your own prometheus.yml says it",
    ),
    Option(
        key="external_label",
        help="Label on everything that this Prometheus sends elsewhere.",
        default=(),
        check=_matching(_EXTERNAL, "a label such as cluster=eu"),
        metavar="NAME=VALUE",
        platforms=_CONTAINERS,
        refused=True,
        instead="elsewhere your own prometheus.yml says it",
    ),
    Option(
        key="object_label",
        help="Label on every object and pod (kubernetes).",
        default=(),
        check=_A_LABEL,
        metavar="KEY=VALUE",
        platforms=_CLUSTER,
        refused=True,
    ),
    Option(
        key="ingress_namespace",
        help="Namespace whose pods may reach Prometheus, Grafana's for example (kubernetes).",
        default=(),
        check=_matching(_NAMESPACE, "a namespace's name"),
        metavar="NAME",
        platforms=_CLUSTER,
        refused=True,
    ),
    Option(
        key="image_pull_secret",
        help="Secret with the credentials for the images' registry (kubernetes).",
        default=(),
        check=_A_NAME,
        metavar="NAME",
        platforms=_CLUSTER,
        refused=True,
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
        if option.check is None:
            continue
        is_good, what = option.check
        value = values[option.key]
        for each in value if isinstance(value, tuple) else (value,):
            if each is not None and not (isinstance(each, str) and is_good(each)):
                yield f"{option.flag}: {each!r} is not {what}"


def _unused(platform: Platform, given: Mapping[str, Any], *, refused: bool) -> Iterator[str]:
    for option in OPTIONS:
        used = platform in option.platforms or not given.get(option.key)
        if not used and option.refused is refused:
            names = " or ".join(option.platforms)
            hint = f"; {option.instead}" if option.instead else ""
            yield f"{option.flag}: only with --platform {names}{hint}"
