"""The bundle's runscrape.yaml: what the user set, with the platform's places filled in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import yaml

from runscrape_generator import configuration
from runscrape_generator.access import open_access
from runscrape_generator.bootstrap_model import CONFIG, PLACES, STATE, Choices
from runscrape_generator.configuration import Loaded
from runscrape_generator.settings import Format, Settings

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


def document(loaded: Loaded, choices: Choices, *, version: str | None, operator: bool) -> str:
    """Write runscrape.yaml for the bundle; ``version`` is that of the image's Prometheus."""
    places = PLACES[choices.platform]
    given = {
        key: value
        for key, value in loaded.shown.items()
        if loaded.origins[key] != "default" and key not in _OF_ONE_RUN
    }
    ours: dict[str, object] = {
        "project": list(resolved(loaded)),
        "token_url": places.token_url if not operator else "http://127.0.0.1:7777/token",
        "client_secret_file": places.prometheus_secret,
        "inventory": places.inventory,
    }
    if version and "prometheus_version" not in given:
        ours["prometheus_version"] = version
    if operator:
        ours["format"] = Format.OPERATOR.value
        ours["mode"] = "oauth2"
    else:
        ours["template"] = f"{CONFIG}/prometheus.yml.j2"
        ours["metrics_file"] = f"{STATE}/metrics/runscrape.prom"
        ours["targets_file"] = f"{STATE}/targets.json"
    kept = {key: value for key, value in given.items() if key not in ours}
    if operator:
        kept.pop("template", None)
    return _HEAD + yaml.safe_dump({**ours, **kept}, sort_keys=False, allow_unicode=True)


def for_this_machine(config: Path, choices: Choices, template: Path, *, dry_run: bool) -> Settings:
    """Read a runscrape.yaml of the bundle for a run here, before its places exist.

    ``config`` and ``template`` are the files as they will be. Raises ConfigError, also for what the
    user wrote into the file since.
    """
    settings = configuration.load("generate", {"config": str(config)}, {}).settings
    places = PLACES[choices.platform]
    state = choices.directory / places.bundle_state
    return replace(
        settings,
        template=_here(settings.template, template),
        inventory=state / "inventory.json",
        metrics_file=None,
        # Prometheus reads it elsewhere, where the files that it names are.
        promtool="none",
        reload=None,
        reload_command=None,
        watch=None,
        dry_run=dry_run,
    )


def _here(named: Path | None, ours: Path) -> Path | None:
    """Find the template that runscrape.yaml names: the bundle's own, or another of the user's."""
    return ours if named == Path(CONFIG) / ours.name else named
