"""Which files a bundle has, and what is written into them: a pure function of what was asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from runscrape_generator.bootstrap import checks
from runscrape_generator.bootstrap.bundle import Planned
from runscrape_generator.bootstrap.options import Choices
from runscrape_generator.bootstrap.platforms import CONFIG, PLACES, RUN_AS, Platform
from runscrape_generator.bootstrap.processes import (
    DEBIANS_CONFIG,
    PROXY_HEALTH,
    RELOAD,
    Commands,
    commands,
    generator_health,
    keeps_a_block,
    prometheus_health,
    retention_size,
)
from runscrape_generator.bootstrap.quadlet import quadlets
from runscrape_generator.bootstrap.settings import BODY_SIZE_LIMIT, SAMPLE_LIMIT
from runscrape_generator.bootstrap.templates import render
from runscrape_generator.config import durations
from runscrape_generator.config.releases import release
from runscrape_generator.config.settings import Settings

_INTERVAL, _TIMEOUT = "1m", "10s"
"""Prometheus' own defaults (``global`` in its configuration)."""

_OLDEST = (2, 27)
"""The oldest Prometheus that is written for."""

_STALE_AFTER = 900.0
"""Seconds without a good run before an alert fires; three runs, where those take longer."""

_COMMON = {
    "rules/alerts.yml": "common/alerts.yml",
    "rules/recording.yml": "common/recording.yml",
    "prometheus.yml.j2": "common/prometheus.yml.j2",
}
"""Path in the bundle's configuration folder → template."""

_GRAFANA = {
    "grafana/provisioning/datasources/prometheus.yml": "common/datasource.yml",
    "grafana/provisioning/dashboards/runscrape.yml": "common/dashboards.yml",
}
_UNITS = "root/etc/systemd/system"
_OPERATOR = (
    "kustomization.yaml",
    "scrapeconfig-proxy.yaml",
    "prometheusrules.yaml",
    "cronjob.yaml",
    "cronjob/jobs.yaml",
    "cronjob/inventory.yaml",
)
_PLATFORM: Mapping[Platform, Mapping[str, str]] = {
    Platform.COMPOSE: {
        "compose.yaml": "compose/compose.yaml",
        "proxy.env": "common/proxy.env",
        ".gitignore": "common/gitignore",
    },
    Platform.KUBERNETES: {
        "kustomization.yaml": "kubernetes/kustomization.yaml",
        **{
            f"manifests/{name}.yaml": f"kubernetes/{name}.yaml"
            for name in ("namespace", "serviceaccount", "prometheus", "service", "networkpolicy")
        },
        "proxy.env": "common/proxy.env",
        ".gitignore": "common/gitignore",
    },
    Platform.SYSTEMD: {
        **{
            f"{_UNITS}/{name}": f"systemd/{name}"
            for name in (
                "runscrape-proxy.socket",
                "runscrape-proxy.service",
                "runscrape.service",
                "runscrape.timer",
                "runscrape-metrics.service",
                "runscrape-reload.path",
                "runscrape-reload.service",
            )
        },
        "root/etc/runscrape/scrape/runscrape.yml": "systemd/scrape.yml",
        "prometheus-lines.yml": "systemd/prometheus-lines.yml",
        "root/etc/sysusers.d/runscrape.conf": "systemd/sysusers.conf",
        "root/etc/tmpfiles.d/runscrape.conf": "systemd/tmpfiles.conf",
        "root/etc/runscrape/proxy.env": "common/proxy.env",
        "crontab": "systemd/crontab",
        "install.sh": "systemd/install.sh",
        ".gitignore": "common/gitignore",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Everything that the files depend on."""

    choices: Choices
    settings: Settings
    projects: tuple[str, ...]
    runscrape_yaml: str
    operator_yaml: str
    """For Kubernetes; unused elsewhere."""


def plan(asked: Asked) -> dict[str, Planned]:
    """Give each file that people may edit, by its path in the bundle.

    Not what the generator writes (prometheus.yml, the inventory, targets), and not the secrets.
    """
    choices = asked.choices
    processes = commands(choices, asked.settings)
    values = _values(asked, processes)
    config = PLACES[choices.platform].bundle_config
    templates = {f"{config}/{path}": name for path, name in _COMMON.items()}
    templates |= _PLATFORM[choices.platform]
    if choices.platform is Platform.SYSTEMD:
        del templates[f"{config}/prometheus.yml.j2"]
    if keeps_a_block(choices, asked.settings):
        del templates[f"{config}/scrape/runscrape.yml"]  # prometheus-lines.yml has its jobs
    templates["grafana/dashboards/runscrape.json"] = "common/dashboard.json"
    templates["README.md"] = f"{choices.platform}/README.md"
    if choices.grafana:
        templates |= _GRAFANA
    if choices.operator:
        del templates["manifests/namespace.yaml"]  # it is the user's, and so are its labels
        proxy = "sidecar.yaml" if choices.operator_label else "prometheus.yaml"
        templates |= {
            f"operator/{name}": f"kubernetes/operator/{name}" for name in (*_OPERATOR, proxy)
        }
    files = {
        path: Planned(render(name, **values), executable=path.endswith(".sh"))
        for path, name in templates.items()
    }
    files[f"{config}/runscrape.yaml"] = Planned(asked.runscrape_yaml, yaml=True)
    if choices.operator:
        files["operator/runscrape.yaml"] = Planned(asked.operator_yaml, yaml=True)
    if choices.platform is Platform.COMPOSE:
        for unit in quadlets(choices, processes, values["fresh"]):
            text = render("compose/quadlet-container", unit=unit, **values)
            files[f"quadlet/{unit.name}.container"] = Planned(text)
        files["quadlet/runscrape.network"] = Planned(render("compose/quadlet-network"))
    return files


def _values(asked: Asked, processes: Commands) -> dict[str, Any]:
    choices, settings = asked.choices, asked.settings
    every = durations.parse(choices.every)
    stale_after = round(max(_STALE_AFTER, 3 * every))
    timeout = settings.scrape_timeout or _TIMEOUT
    proxy_log, generator_log = _logs(choices)
    return {
        "choices": choices,
        "operator": False,
        "places": PLACES[choices.platform],
        "commands": processes,
        "projects": asked.projects,
        "account": account(choices, asked.projects),
        "searched": [
            *(f"organizations add-iam-policy-binding {one}" for one in settings.organizations),
            *(f"resource-manager folders add-iam-policy-binding {one}" for one in settings.folders),
        ],
        "stale_after": stale_after,
        "failing_for": f"{stale_after}s" if stale_after % 60 else f"{stale_after // 60}m",
        "scrape_interval": settings.scrape_interval or _INTERVAL,
        "scrape_timeout_text": timeout,
        "scrape_timeout": f"{durations.parse(timeout):g}",
        "pull_secrets": [{"name": name} for name in choices.image_pull_secret],
        "pairs": dict(each.split("=", 1) for each in choices.object_label),
        "operator_pairs": dict(
            each.split("=", 1) for each in (*choices.object_label, *choices.operator_label)
        ),
        "external_labels": dict(each.split("=", 1) for each in choices.external_label),
        "alertmanager_ports": sorted({each.rpartition(":")[2] for each in choices.alertmanager}),
        "client_id": settings.client_id,
        "reload_file": RELOAD,
        "log_format": settings.log_format,
        "proxy_log": proxy_log,
        "generator_log": generator_log,
        "doctor": _doctor(choices),
        "probe": PROXY_HEALTH,
        "fresh": generator_health(stale_after),
        "ready": prometheus_health(choices.prometheus_image),
        "rootless": choices.user != RUN_AS,
        "schedule": checks.cron_schedule(every),
        "full_version": _full_version(choices.prometheus_image),
        "retention_size": retention_size(choices),
        "into": DEBIANS_CONFIG if keeps_a_block(choices, settings) else None,
        "limits": _global_limits(choices),
        "version": version("runscrape"),
        "venv": _venv(choices.program_dir),
        "ignored": _ignored(choices),
    }


def account(choices: Choices, projects: tuple[str, ...]) -> str:
    """Name the Google service account: the one asked for, or ``runscrape`` of the first project.

    In the address, the domain of a domain-scoped project (``example.com:name``) comes last:
    https://cloud.google.com/iam/docs/service-account-overview#default.
    """
    if choices.google_service_account:
        return choices.google_service_account
    domain, _, name = projects[0].rpartition(":")
    return f"runscrape@{name}{'.' + domain if domain else ''}.iam.gserviceaccount.com"


def prometheus_version(image: str) -> str | None:
    """Read ``3.10`` off ``prom/prometheus:v3.10.0``; None where the tag says no such version."""
    found = re.search(r":v?([23]\.\d{1,3})(?:\.\d+)?(?:[-@].*)?$", image)
    return found[1] if found and release(found[1]) >= _OLDEST else None


def _full_version(image: str) -> str | None:
    """Read ``3.10.0`` off the image's tag, as the operator wants it; None where it has no such."""
    found = re.search(r":(v[23]\.\d{1,3}\.\d+)(?:[-@].*)?$", image)
    return found[1] if found else None


def _global_limits(choices: Choices) -> dict[str, object]:
    """Limit every scrape, the gateway's too, where Prometheus knows how: 2.45 and newer."""
    version = prometheus_version(choices.prometheus_image)
    if version is None or release(version) < (2, 45):
        return {}
    return {"sample_limit": SAMPLE_LIMIT, "body_size_limit": BODY_SIZE_LIMIT}


def _logs(choices: Choices) -> tuple[str, str]:
    if choices.platform is Platform.COMPOSE:
        return "docker compose logs proxy", "docker compose logs generator"
    if choices.platform is Platform.KUBERNETES:
        logs = f"kubectl --namespace {choices.namespace} logs runscrape-0 --container"
        return f"{logs} proxy", f"{logs} generator"
    return "journalctl --unit runscrape-proxy", "journalctl --unit runscrape"


def _doctor(choices: Choices) -> str:
    """Give the command of doctor, from where the settings and the client's secret are."""
    command = f"runscrape doctor --config {CONFIG}/runscrape.yaml"
    if choices.platform is Platform.COMPOSE:
        return f"docker compose exec proxy {command}"
    if choices.platform is Platform.KUBERNETES:
        pod = f"kubectl --namespace {choices.namespace} exec runscrape-0 --container proxy"
        return f"{pod} -- {command}"
    key = choices.credentials_file
    environment = f"env GOOGLE_APPLICATION_CREDENTIALS={key} " if key else ""
    return f"sudo {environment}{choices.program_dir}/{command}"


def _venv(program_dir: str) -> str:
    """Name the virtual environment whose programs the units start, themselves or by a link."""
    root, _, last = program_dir.rpartition("/")
    return root if last == "bin" and root not in {"", "/usr", "/usr/local"} else "/opt/runscrape"


def _ignored(choices: Choices) -> tuple[str, ...]:
    if choices.platform is Platform.SYSTEMD:
        return (PLACES[choices.platform].bundle_secret,)
    if choices.platform is Platform.COMPOSE:
        return ("secrets/", "data/", "state/")
    return ("secrets/",)
