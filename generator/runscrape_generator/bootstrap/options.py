"""The options of ``runscrape bootstrap`` itself, each once: its default, its rule, its platforms.

The generator's own settings (projects, rules, mode …) are in :mod:`runscrape_generator.config`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from runscrape_generator.bootstrap import checks
from runscrape_generator.bootstrap.platforms import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option that takes a text, several, or with a default of False one that is a switch."""

    key: str
    """The field of ``Choices``; the flag is this with dashes."""
    help: str
    default: str | bool | tuple[str, ...] | None = None
    """() for an option that can be given several times."""
    check: checks.Check | None = None
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

OPTIONS: tuple[Option, ...] = (
    Option(
        key="image",
        help="Our own image.",
        default=f"localhost/runscrape:{version('runscrape')}",
        check=checks.IMAGE,
        platforms=_CONTAINERS,
    ),
    Option(
        key="prometheus_image",
        help="Prometheus' image.",
        default="docker.io/prom/prometheus:v3.10.0",
        check=checks.IMAGE,
        platforms=_CONTAINERS,
    ),
    Option(
        key="exporter_image",
        help="node_exporter's image.",
        default="quay.io/prometheus/node-exporter:v1.9.1",
        check=checks.IMAGE,
        platforms=_CONTAINERS,
    ),
    Option(
        key="grafana_image",
        help="Grafana's image.",
        default="docker.io/grafana/grafana:12.0.2",
        check=checks.IMAGE,
        platforms=(Platform.COMPOSE,),
    ),
    Option(
        key="kubectl_image",
        help="kubectl's image, for --operator.",
        default="registry.k8s.io/kubectl:v1.33.2",
        check=checks.IMAGE,
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
        check=checks.LABEL,
        metavar="KEY=VALUE",
        platforms=_CLUSTER,
        refused=True,
    ),
    Option(
        key="every",
        help="How often the generator looks.",
        default="5m",
        check=checks.PERIOD,
        metavar="DURATION",
    ),
    Option(
        key="credentials_file",
        help="Google credentials to use there; by default the metadata server, or workload identity"
        " (compose, systemd).",
        check=checks.PATH,
        metavar="PATH",
        platforms=(Platform.COMPOSE, Platform.SYSTEMD),
        refused=True,
        instead="on kubernetes the pod has workload identity instead",
    ),
    Option(
        key="google_service_account",
        help="What the programs are to Google; by default runscrape of the first project.",
        check=checks.ACCOUNT,
        metavar="EMAIL",
    ),
    Option(
        key="namespace",
        help="Of the objects (kubernetes).",
        default="runscrape",
        check=checks.NAMESPACE,
        platforms=_CLUSTER,
    ),
    Option(
        key="program_dir",
        help="Of the programs (systemd).",
        default="/opt/runscrape/bin",
        check=checks.PROGRAM_DIR,
        metavar="DIR",
        platforms=(Platform.SYSTEMD,),
    ),
    Option(
        key="retention",
        help="How long Prometheus keeps samples.",
        default="15d",
        check=checks.DURATION,
        metavar="DURATION",
        platforms=_CONTAINERS,
        refused=True,
        instead="elsewhere Prometheus' own flags say it",
    ),
    Option(
        key="retention_size",
        help="How much room samples may take; by default four fifths of the volume, or 16GB.",
        check=checks.SIZE,
        metavar="SIZE",
        platforms=_CONTAINERS,
        refused=True,
        instead="elsewhere Prometheus' own flags say it",
    ),
    Option(
        key="volume_size",
        help="Size of Prometheus' volume (kubernetes).",
        default="20Gi",
        check=checks.QUANTITY,
        metavar="SIZE",
        platforms=_CLUSTER,
        refused=True,
    ),
    Option(
        key="storage_class",
        help="Storage class of Prometheus' volume (kubernetes); by default the cluster's.",
        check=checks.OBJECT,
        metavar="NAME",
        platforms=_CLUSTER,
        refused=True,
    ),
    Option(
        key="alertmanager",
        help="Alertmanager to send alerts to.",
        default=(),
        check=checks.ADDRESS,
        metavar="HOST:PORT",
        platforms=_CONTAINERS,
        refused=True,
        instead="elsewhere your own prometheus.yml says it",
    ),
    Option(
        key="external_label",
        help="Label on everything that this Prometheus sends elsewhere.",
        default=(),
        check=checks.EXTERNAL_LABEL,
        metavar="NAME=VALUE",
        platforms=_CONTAINERS,
        refused=True,
        instead="elsewhere your own prometheus.yml says it",
    ),
    Option(
        key="object_label",
        help="Label on every object and pod (kubernetes).",
        default=(),
        check=checks.LABEL,
        metavar="KEY=VALUE",
        platforms=_CLUSTER,
        refused=True,
    ),
    Option(
        key="ingress_namespace",
        help="Namespace whose pods may reach Prometheus, Grafana's for example (kubernetes).",
        default=(),
        check=checks.NAMESPACE,
        metavar="NAME",
        platforms=_CLUSTER,
        refused=True,
    ),
    Option(
        key="image_pull_secret",
        help="Secret with the credentials for the images' registry (kubernetes).",
        default=(),
        check=checks.OBJECT,
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
