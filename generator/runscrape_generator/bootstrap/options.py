"""What ``runscrape bootstrap`` itself is asked for: each option once, a field of :class:`Choices`.

The generator's own settings (projects, rules, mode …) are in :mod:`runscrape_generator.config`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from runscrape_generator.bootstrap import checks
from runscrape_generator.bootstrap.platforms import PLACES, Platform, PlatformPlaces


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleOption:
    """One option: it takes a text, several of them, or is a switch, as its default is."""

    key: str
    """The field of ``Choices``; the flag is this with dashes."""
    default: Any
    help: str
    check: checks.Check | None
    metavar: str | None
    platforms: tuple[Platform, ...]
    """Where it is used."""
    refused: bool
    """Whether it ends the run on another platform; else it is warned of."""
    instead: str
    """What to do on the other platforms."""

    @property
    def flag(self) -> str:
        """As it is typed."""
        return "--" + self.key.replace("_", "-")


def _option(
    text: str,
    /,
    *,
    default: str | bool | tuple[str, ...] | None = None,
    check: checks.Check | None = None,
    metavar: str | None = None,
    platforms: tuple[Platform, ...] = tuple(Platform),
    refused: bool = False,
    instead: str = "",
) -> Any:
    """Declare a field of ``Choices`` as an option; what is given is for :class:`BundleOption`."""
    notes = {
        "help": text,
        "check": check,
        "metavar": metavar,
        "platforms": platforms,
        "refused": refused,
        "instead": instead,
    }
    return field(default=default, metadata=notes)


_COMPOSE, _CLUSTER = (Platform.COMPOSE,), (Platform.KUBERNETES,)
_CONTAINERS = (*_COMPOSE, *_CLUSTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user asked of ``bootstrap`` itself, beside the generator's settings."""

    platform: Platform
    directory: Path
    image: str = _option(
        "Our own image.",
        default=f"localhost/runscrape:{version('runscrape')}",
        check=checks.IMAGE,
        platforms=_CONTAINERS,
    )
    prometheus_image: str = _option(
        "Prometheus' image.",
        default="docker.io/prom/prometheus:v3.10.0",
        check=checks.IMAGE,
        platforms=_CONTAINERS,
    )
    exporter_image: str = _option(
        "node_exporter's image.",
        default="quay.io/prometheus/node-exporter:v1.9.1",
        check=checks.IMAGE,
        platforms=_CONTAINERS,
    )
    grafana_image: str = _option(
        "Grafana's image.",
        default="docker.io/grafana/grafana:12.0.2",
        check=checks.IMAGE,
        platforms=_COMPOSE,
    )
    kubectl_image: str = _option(
        "kubectl's image, for --operator.",
        default="registry.k8s.io/kubectl:v1.33.2",
        check=checks.IMAGE,
        platforms=_CLUSTER,
    )
    grafana: bool = _option(
        "Run Grafana too, dashboard and all (compose).",
        default=False,
        platforms=_COMPOSE,
        refused=True,
        instead="elsewhere import the dashboard",
    )
    operator: bool = _option(
        "Prometheus Operator resources too (kubernetes).",
        default=False,
        platforms=_CLUSTER,
        refused=True,
    )
    operator_label: tuple[str, ...] = _option(
        "Label that your Prometheus' selectors ask for (with --operator: no Prometheus of"
        " our own beside it).",
        default=(),
        check=checks.LABEL,
        metavar="KEY=VALUE",
        platforms=_CLUSTER,
        refused=True,
    )
    every: str = _option(
        "How often the generator looks.", default="5m", check=checks.PERIOD, metavar="DURATION"
    )
    credentials_file: str | None = _option(
        "Google credentials to use there; by default the metadata server, or workload"
        " identity (compose, systemd).",
        check=checks.PATH,
        metavar="PATH",
        platforms=(Platform.COMPOSE, Platform.SYSTEMD),
        refused=True,
        instead="on kubernetes the pod has workload identity instead",
    )
    google_service_account: str | None = _option(
        "What the programs are to Google; by default runscrape of the first project.",
        check=checks.ACCOUNT,
        metavar="EMAIL",
    )
    namespace: str = _option(
        "Of the objects (kubernetes).",
        default="runscrape",
        check=checks.NAMESPACE,
        platforms=_CLUSTER,
    )
    program_dir: str = _option(
        "Of the programs (systemd).",
        default="/opt/runscrape/bin",
        check=checks.PROGRAM_DIR,
        metavar="DIR",
        platforms=(Platform.SYSTEMD,),
    )
    retention: str = _option(
        "How long Prometheus keeps samples.",
        default="15d",
        check=checks.DURATION,
        metavar="DURATION",
        platforms=_CONTAINERS,
        refused=True,
        instead="elsewhere Prometheus' own flags say it",
    )
    retention_size: str | None = _option(
        "How much room samples may take; by default four fifths of the volume, or 16GB.",
        check=checks.SIZE,
        metavar="SIZE",
        platforms=_CONTAINERS,
        refused=True,
        instead="elsewhere Prometheus' own flags say it",
    )
    volume_size: str = _option(
        "Size of Prometheus' volume (kubernetes).",
        default="20Gi",
        check=checks.QUANTITY,
        metavar="SIZE",
        platforms=_CLUSTER,
        refused=True,
    )
    storage_class: str | None = _option(
        "Storage class of Prometheus' volume (kubernetes); by default the cluster's.",
        check=checks.OBJECT,
        metavar="NAME",
        platforms=_CLUSTER,
        refused=True,
    )
    alertmanager: tuple[str, ...] = _option(
        "Alertmanager to send alerts to.",
        default=(),
        check=checks.ADDRESS,
        metavar="HOST:PORT",
        platforms=_CONTAINERS,
        refused=True,
        instead="elsewhere your own prometheus.yml says it",
    )
    external_label: tuple[str, ...] = _option(
        "Label on everything that this Prometheus sends elsewhere.",
        default=(),
        check=checks.EXTERNAL_LABEL,
        metavar="NAME=VALUE",
        platforms=_CONTAINERS,
        refused=True,
        instead="elsewhere your own prometheus.yml says it",
    )
    object_label: tuple[str, ...] = _option(
        "Label on every object and pod (kubernetes).",
        default=(),
        check=checks.LABEL,
        metavar="KEY=VALUE",
        platforms=_CLUSTER,
        refused=True,
    )
    ingress_namespace: tuple[str, ...] = _option(
        "Namespace whose pods may reach Prometheus, Grafana's for example (kubernetes).",
        default=(),
        check=checks.NAMESPACE,
        metavar="NAME",
        platforms=_CLUSTER,
        refused=True,
    )
    image_pull_secret: tuple[str, ...] = _option(
        "Secret with the credentials for the images' registry (kubernetes).",
        default=(),
        check=checks.OBJECT,
        metavar="NAME",
        platforms=_CLUSTER,
        refused=True,
    )
    user: int
    group: int
    """Who the compose containers run as: they read the secret and write the state folder."""
    remembered: Mapping[str, object]
    """What was given now or on an earlier run, by option: a later run need not say it again."""

    @property
    def has_local_image(self) -> bool:
        """Whether our image is on the machine that built it alone, as the default is."""
        return self.image.startswith("localhost/")

    @property
    def places(self) -> PlatformPlaces:
        """Where things are on the platform."""
        return PLACES[self.platform]


OPTIONS = tuple(
    BundleOption(key=each.name, default=each.default, **each.metadata)
    for each in fields(Choices)
    if each.metadata
)
DEFAULTS: Mapping[str, Any] = {option.key: option.default for option in OPTIONS}


def bad_values(values: Mapping[str, Any]) -> Iterator[str]:
    """Name every value that is none for its option, a line each."""
    for option in OPTIONS:
        if option.check is None:
            continue
        is_good, what = option.check
        value = values[option.key]
        for each in value if isinstance(value, tuple) else (value,):
            if each is not None and not (isinstance(each, str) and is_good(each)):
                yield f"{option.flag}: {each!r} is not {what}"
        if option.check in {checks.LABEL, checks.EXTERNAL_LABEL} and isinstance(value, tuple):
            pairs = {each for each in value if isinstance(each, str)}
            keys = Counter(each.partition("=")[0] for each in sorted(pairs))
            yield from (f"{option.flag}: {key} has two values" for key in keys if keys[key] > 1)


def unused(platform: Platform, given: Mapping[str, Any], *, refused: bool) -> Iterator[str]:
    """Name what was given and makes no difference on the platform, a line each.

    That is either ``refused``, or only to be warned of.
    """
    for option in OPTIONS:
        used = platform in option.platforms or not given.get(option.key)
        if not used and option.refused is refused:
            names = " or ".join(option.platforms)
            hint = f"; {option.instead}" if option.instead else ""
            yield f"{option.flag}: only with --platform {names}{hint}"
