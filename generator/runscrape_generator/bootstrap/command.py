"""The command line of ``runscrape bootstrap``: the generator's options, and a few of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from runscrape_generator.bootstrap.model import MANIFEST, RUN_AS, Choices, Platform
from runscrape_generator.config import durations
from runscrape_generator.config.load import Loaded
from runscrape_generator.errors import ConfigError
from runscrape_generator.progress import Progress

PROMETHEUS_IMAGE = "docker.io/prom/prometheus:v3.10.0"
EXPORTER_IMAGE = "quay.io/prometheus/node-exporter:v1.9.1"
GRAFANA_IMAGE = "docker.io/grafana/grafana:12.0.2"
KUBECTL_IMAGE = "registry.k8s.io/kubectl:v1.33.2"

ABOUT = "Write a folder with everything to run Prometheus and runscrape from."
GROUP = "What the bundle is for"

# distribution/reference: NAME[:TAG][@DIGEST]; what it allows needs no quotes in any file.
_IMAGE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._:/@-]{0,400}")
# RFC 1123 label, as Kubernetes wants it for a namespace.
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ACCOUNT = re.compile(r"[a-z0-9.-]+@[a-z0-9.-]+")
_FOLDER = re.compile(r"/[A-Za-z0-9_@+=:,./-]*")
_MIN_EVERY, _MAX_EVERY = 30, 86_400
"""Seconds: Google's quota has to last, and a day-old list is no list."""


def parameters() -> list[click.Parameter]:
    """Spell out the argument and the options that only bootstrap has.

    A default is only what :func:`choices` takes where no run was ever given another value.
    """
    names = click.Choice([platform.value for platform in Platform])
    return [
        click.Argument(["directory"], metavar="DIR"),
        _option("--platform", "Where it is to run; needed once.", type=names),
        click.Option(["--diff", "show"], is_flag=True, help=_DIFF),
        _option("--image", "Our own image."),
        _option("--prometheus-image", "Prometheus' image."),
        _option("--exporter-image", "node_exporter's image."),
        _option("--grafana-image", "Grafana's image."),
        _option("--kubectl-image", "kubectl's image, for --operator."),
        _switch("--grafana", "Run Grafana too, dashboard and all (compose)."),
        _switch("--operator", "Prometheus Operator resources too (kubernetes)."),
        _option("--every", "How often the generator looks.", metavar="DURATION"),
        _option(
            "--credentials-file",
            "Google credentials to use there; by default the metadata server, or workload identity"
            " (compose, systemd).",
            metavar="PATH",
        ),
        _option(
            "--google-service-account",
            "What the programs are to Google; by default runscrape of the first project.",
            metavar="EMAIL",
        ),
        _option("--namespace", "Of the objects (kubernetes)."),
        _option("--program-dir", "Of the programs (systemd).", metavar="DIR"),
    ]


_DIFF = "Print what would change, and write nothing."
_DEFAULTS: Mapping[str, Any] = {
    "image": f"runscrape:{version('runscrape')}",
    "prometheus_image": PROMETHEUS_IMAGE,
    "exporter_image": EXPORTER_IMAGE,
    "grafana_image": GRAFANA_IMAGE,
    "kubectl_image": KUBECTL_IMAGE,
    "grafana": False,
    "operator": False,
    "every": "5m",
    "credentials_file": None,
    "google_service_account": None,
    "namespace": "runscrape",
    "program_dir": "/opt/runscrape/bin",
}


def _option(flag: str, text: str, **more: Any) -> click.Option:
    default = _DEFAULTS.get(flag[2:].replace("-", "_"))
    shown = f" [default: {default}]" if default else ""
    return click.Option([flag], default=default, help=text + shown, **more)


def _switch(flag: str, text: str) -> click.Option:
    return click.Option([f"{flag}/--no-{flag[2:]}"], is_flag=True, default=False, help=text)


def choices(given: Mapping[str, Any]) -> Choices:
    """Read what was given of :func:`parameters` (None: was not), and on earlier runs.

    Raises ConfigError with every mistake, a line each.
    """
    from runscrape_generator.bootstrap import bundle as bootstrap_bundle  # noqa: PLC0415 - see the docstring

    directory = Path(given["directory"])
    if directory.is_file():
        raise ConfigError(f"DIR: {directory} is a file; name a folder")
    known = bootstrap_bundle.load(directory)
    before = (
        {key: value for key, value in known.choices.items() if key in _DEFAULTS} if known else {}
    )
    if given["credentials_file"]:
        given = {**given, "credentials_file": str(Path(given["credentials_file"]).absolute())}
    now = {key: given[key] for key in _DEFAULTS if given[key] is not None}
    values = {**_DEFAULTS, **before, **now}
    platform = _platform(given["platform"] or (known.platform if known else None))
    mistakes = [
        *(_mistake(flag, values[key], matches, what) for flag, key, matches, what in _CHECKS),
        _mistake("DIR", given["directory"], _is_path, "a path without spaces"),
        *_wrong_platform(platform, values),
    ]
    if found := [line for line in mistakes if line]:
        raise ConfigError("\n".join(found))
    credentials = values.pop("credentials_file")
    root = os.geteuid() == 0
    return Choices(
        platform=platform,
        directory=directory,
        credentials_file=Path(credentials) if credentials else None,
        user=RUN_AS if root else os.geteuid(),
        group=RUN_AS if root else os.getegid(),
        remembered={**before, **now},
        **values,
    )


def _platform(name: str | None) -> Platform:
    try:
        return Platform(name or "")
    except ValueError:
        raise ConfigError(f"--platform: say one of {', '.join(Platform)}") from None


def own_config(chosen: Choices) -> str | None:
    """Name the runscrape.yaml of a bundle that is there: it holds until others are given."""
    there = (chosen.directory / MANIFEST).exists() and chosen.config.exists()
    return str(chosen.config) if there else None


def _is_interval(text: str) -> bool:
    try:
        return _MIN_EVERY <= durations.parse(text) <= _MAX_EVERY
    except ValueError:
        return False


def _is_path(text: str) -> bool:
    """Whether unit files and quadlets can name it as it is."""
    return _FOLDER.fullmatch(str(Path(text).absolute())) is not None


def _matcher(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


_CHECKS: tuple[tuple[str, str, Callable[[str], bool], str], ...] = (
    ("--image", "image", _matcher(_IMAGE), "an image such as registry/name:tag"),
    ("--prometheus-image", "prometheus_image", _matcher(_IMAGE), "an image such as name:tag"),
    ("--exporter-image", "exporter_image", _matcher(_IMAGE), "an image such as name:tag"),
    ("--grafana-image", "grafana_image", _matcher(_IMAGE), "an image such as name:tag"),
    ("--kubectl-image", "kubectl_image", _matcher(_IMAGE), "an image such as name:tag"),
    ("--every", "every", _is_interval, "a duration from 30s to 1d"),
    ("--google-service-account", "google_service_account", _matcher(_ACCOUNT), "an e-mail address"),
    ("--namespace", "namespace", _matcher(_NAMESPACE), "a namespace's name"),
    ("--program-dir", "program_dir", _matcher(_FOLDER), "an absolute path without spaces"),
    ("--credentials-file", "credentials_file", _is_path, "a path without spaces"),
)


def _mistake(flag: str, value: object, matches: Callable[[str], bool], what: str) -> str:
    good = value is None or (isinstance(value, str) and matches(value))
    return "" if good else f"{flag}: {value!r} is not {what}"


def _wrong_platform(platform: Platform, given: Mapping[str, Any]) -> list[str]:
    """Name what would be given and not used."""
    wrong = []
    if given["grafana"] and platform is not Platform.COMPOSE:
        wrong.append("--grafana: only with --platform compose; elsewhere import the dashboard")
    if given["operator"] and platform is not Platform.KUBERNETES:
        wrong.append("--operator: only with --platform kubernetes")
    if given["credentials_file"] and platform is Platform.KUBERNETES:
        wrong.append("--credentials-file: on kubernetes the pod has workload identity instead")
    return wrong


def run(chosen: Choices, loaded: Loaded, progress: Progress, *, show: bool) -> int:
    """Write the bundle, and give the exit code; everything slow is imported only here."""
    from runscrape_generator.bootstrap.bootstrap import bootstrap  # noqa: PLC0415 - see the docstring
    from runscrape_generator.cli.output import result  # noqa: PLC0415

    with result() as stdout:
        return bootstrap(chosen, loaded, progress, stdout=stdout, show=show)
