"""The bundle's runscrape.yaml: what the user set, and where things are on the platform."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import yaml

from runscrape_generator.bootstrap.platforms import CONFIG, STATE, Choices
from runscrape_generator.cloudrun.credentials import open_access
from runscrape_generator.config import load as configuration
from runscrape_generator.config.load import Loaded
from runscrape_generator.config.settings import Format, Mode, Settings

_OF_ONE_RUN = frozenset(
    {"output", "dry_run", "watch", "promtool", "reload", "reload_command", "verbosity"}
)
"""Keys that the commands of the bundle set, or that are about this run of bootstrap."""

_HEAD = """\
# Which services are scraped, and how: runscrape generate --print-config shows what is in force.
# Written by runscrape bootstrap; an edited file is kept.
"""


def resolved(loaded: Loaded) -> tuple[str, ...]:
    """Name the projects, asking the credentials where the user named none.

    Raises ConfigError or DiscoveryError where they name none either.
    """
    return loaded.settings.projects or open_access(loaded.settings).projects


def document(
    loaded: Loaded, choices: Choices, own: Path, version: str | None, *, operator: bool
) -> str:
    """Write runscrape.yaml for the bundle.

    ``own`` is the one that the bundle has, ``version`` that of the image's Prometheus.
    """
    ours: dict[str, object] = {
        "project": list(resolved(loaded)),
        **_places(choices, operator=operator),
        **_version(loaded, own, version),
    }
    leave_out = ours.keys() | ({"template", "metrics_file", "targets_file"} if operator else set())
    theirs = {key: value for key, value in _given(loaded).items() if key not in leave_out}
    return _HEAD + yaml.safe_dump({**ours, **theirs}, sort_keys=False, allow_unicode=True)


def unused(loaded: Loaded, choices: Choices) -> list[str]:
    """Name what the user set and the bundle sets otherwise, a message each."""
    ours = _places(choices, operator=False)
    given = {key for key, place in loaded.origins.items() if place != "default"}
    differing = {key for key in given & ours.keys() if loaded.shown.get(key) != ours[key]}
    overruled = sorted(differing | (given & _OF_ONE_RUN - {"verbosity"}))
    return [f"{loaded.origins[key]}: {key} is set by the bundle itself" for key in overruled]


def _given(loaded: Loaded) -> dict[str, object]:
    return {
        key: value
        for key, value in loaded.shown.items()
        if loaded.origins[key] != "default" and key not in _OF_ONE_RUN
    }


def _places(choices: Choices, *, operator: bool) -> dict[str, object]:
    """Say where things are on the platform; nothing that the user says can change it."""
    places = choices.places
    ours: dict[str, object] = {
        "token_url": places.token_url,
        "client_secret_file": places.prometheus_secret,
        "inventory": places.inventory,
    }
    if operator:
        # From here the CronJob makes the ConfigMap that the proxy reads.
        ours["inventory"] = f"{STATE}/inventory/inventory.json"
        return ours | {"format": Format.OPERATOR.value, "mode": Mode.OAUTH2.value}
    return ours | {
        "template": f"{CONFIG}/prometheus.yml.j2",
        "metrics_file": f"{STATE}/metrics/runscrape.prom",
        "targets_file": f"{STATE}/targets.json",
    }


def _version(loaded: Loaded, own: Path, version: str | None) -> dict[str, object]:
    """Take the image's version, unless the user says another elsewhere than in the bundle."""
    place = loaded.origins["prometheus_version"]
    if version is None or not place.startswith(("default", f"{own}:")):
        return {}
    return {"prometheus_version": version}


def for_scratch(config: Path, choices: Choices, scratch: Path) -> Settings:
    """Read a runscrape.yaml of the bundle for a run in a scratch copy of the bundle.

    Raises ConfigError, also for what the user wrote into the file since.
    """
    settings = configuration.load("generate", {"config": str(config)}, {}).settings
    places = choices.places
    template = settings.template
    if template and template.is_relative_to(CONFIG):
        template = scratch / places.bundle_config / template.relative_to(CONFIG)
    return replace(
        settings,
        template=template,
        inventory=scratch / places.bundle_state / "inventory.json",
        metrics_file=None,
        # The files that it names are where Prometheus is going to read it, and not here.
        promtool="none",
        reload=None,
        reload_command=None,
        watch=None,
    )
