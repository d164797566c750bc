"""The bundle's runscrape.yaml: what the user set, and where things are on the platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from runscrape_generator.bootstrap.options import DEFAULTS, Choices
from runscrape_generator.bootstrap.platforms import CONFIG, STATE, Platform
from runscrape_generator.bootstrap.processes import keeps_a_block
from runscrape_generator.cloudrun.credentials import open_access
from runscrape_generator.config import load as configuration
from runscrape_generator.config import releases
from runscrape_generator.config.load import Loaded
from runscrape_generator.config.settings import AUTO, Format, Mode, Settings
from runscrape_generator.errors import ConfigError

_OF_ONE_RUN = frozenset(
    {"output", "dry_run", "watch", "promtool", "reload", "reload_command", "verbosity"}
)
"""Keys that the commands of the bundle set, or that are about this run of bootstrap."""

_TEMPLATE = f"{CONFIG}/prometheus.yml.j2"
"""The bundle's own; the first release had it for systemd, too."""

SAMPLE_LIMIT, BODY_SIZE_LIMIT = 50_000, "64MB"
"""What one scrape may bring; more fails it, so that no service can fill Prometheus."""

_HEAD = """\
# Which services are scraped, and how: runscrape generate --print-config shows what is in force.
# Written by runscrape bootstrap; an edited file is kept.
"""


def resolved(loaded: Loaded) -> tuple[str, ...]:
    """Name the projects, asking the credentials where the user says nothing of what to list.

    The first one is that of the bundle's service account. Raises ConfigError or DiscoveryError
    where there is none.
    """
    projects = loaded.settings.projects or open_access(loaded.settings).projects
    if not projects:
        raise ConfigError(
            "a bundle with --folder or --organization needs --project as well: the project that "
            "its service account belongs to"
        )
    return projects


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleConfig:
    """The bundle's runscrape.yaml as it is before this run; the settings may have come from it."""

    path: Path
    edited: bool
    """Whether it was edited: then its rules stay as they are."""
    version: str | None
    """Of the image's Prometheus."""


def document(loaded: Loaded, choices: Choices, config: BundleConfig, *, operator: bool) -> str:
    """Write runscrape.yaml for the bundle."""
    ours: dict[str, object] = {
        "project": list(resolved(loaded)),
        **_places(choices, loaded.settings, operator=operator),
        **_version(loaded, config),
    }
    leave_out = ours.keys() | ({"template", "metrics_file", "targets_file"} if operator else set())
    if keeps_a_block(choices, loaded.settings):
        leave_out |= {"template"}
    theirs = {key: value for key, value in _given(loaded).items() if key not in leave_out}
    if theirs.get("template") == _TEMPLATE:
        del theirs["template"]
    if loaded.settings.mode is Mode.OAUTH2 or operator:
        version = str(ours.get("prometheus_version", loaded.settings.prometheus_version))
        rules = theirs.pop("rules", [])
        if not config.edited:
            rules = _with_limits(rules, whole=not operator and _limits_sizes(version))
        theirs |= {"rules": rules} if rules else {}
    return _HEAD + yaml.safe_dump({**ours, **theirs}, sort_keys=False, allow_unicode=True)


def _limits_sizes(version: str) -> bool:
    """Whether this Prometheus knows body_size_limit: 2.28 and newer."""
    return version == AUTO or releases.release(version) >= (2, 28)


def _with_limits(rules: Any, *, whole: bool) -> list[object]:
    """Put our limits before the user's rules, so that these can set others."""
    samples: dict[str, object] = {"sample_limit": SAMPLE_LIMIT}
    both = samples | {"body_size_limit": BODY_SIZE_LIMIT}
    ours = [{"scrape_config": limits} for limits in (samples, both)]
    return [ours[whole], *(rule for rule in rules if rule not in ours)]


def without_outdated_version(
    loaded: Loaded, choices: Choices, config: BundleConfig, earlier: Mapping[str, object]
) -> Loaded:
    """Take back the version that the bundle has of an earlier image, where this one's tag has none.

    One that the user wrote into it, or says now, counts. ``earlier`` has the choices before these.
    """
    image = earlier.get("prometheus_image", DEFAULTS["prometheus_image"])
    is_same_image = choices.platform is Platform.SYSTEMD or choices.prometheus_image == image
    is_said = not loaded.origins["prometheus_version"].startswith(f"{config.path}:")
    if is_same_image or is_said or config.edited or config.version:
        return loaded
    return replace(
        loaded,
        settings=replace(loaded.settings, prometheus_version=AUTO),
        origins={**loaded.origins, "prometheus_version": "default"},
    )


def unused(loaded: Loaded, choices: Choices) -> list[str]:
    """Name what the user set and the bundle sets otherwise, a message each."""
    ours = _places(choices, loaded.settings, operator=False)
    given = {key for key, place in loaded.origins.items() if place != "default"}
    differing = {key for key in given & ours.keys() if loaded.shown.get(key) != ours[key]}
    overruled = sorted(differing | (given & _OF_ONE_RUN - {"verbosity"}))
    lines = [f"{loaded.origins[key]}: {key} is set by the bundle itself" for key in overruled]
    if choices.platform is Platform.SYSTEMD and loaded.shown.get("template") == _TEMPLATE:
        lines.append(
            f"{loaded.origins['template']}: a bundle for systemd has this template no more: where "
            "the file is yours, take the line out"
        )
    elif "template" in given and keeps_a_block(choices, loaded.settings):
        lines.append(f"{loaded.origins['template']}: template counts for a whole file, not a block")
    return lines


def _given(loaded: Loaded) -> dict[str, object]:
    return {
        key: value
        for key, value in loaded.shown.items()
        if loaded.origins[key] != "default" and key not in _OF_ONE_RUN
    }


def _places(choices: Choices, settings: Settings, *, operator: bool) -> dict[str, object]:
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
    ours |= {
        "metrics_file": f"{STATE}/metrics/runscrape.prom",
        "targets_file": f"{STATE}/targets.json",
    }
    if choices.platform is Platform.SYSTEMD:
        # Prometheus and its configuration belong to the distribution: it is given jobs.
        block = keeps_a_block(choices, settings)
        return ours | {"format": (Format.PROMETHEUS if block else Format.SCRAPE_CONFIGS).value}
    return ours | {"template": _TEMPLATE}


def _version(loaded: Loaded, config: BundleConfig) -> dict[str, object]:
    """Take the image's version, unless the user says another elsewhere than in the bundle."""
    place = loaded.origins["prometheus_version"]
    if config.version is None or not place.startswith(("default", f"{config.path}:")):
        return {}
    return {"prometheus_version": config.version}


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
