"""Our own command lines, as remedies name them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runscrape_generator.addresses import is_loopback
from runscrape_generator.config.settings import Settings
from runscrape_generator.doctor.remedies import Programs
from runscrape_generator.doctor.targets import Target

if TYPE_CHECKING:
    from runscrape_generator.doctor.run import Options

DEFAULT_LISTEN = "127.0.0.1:7777"


def programs(
    options: Options, settings: Settings, config: str, targets: Iterable[Target]
) -> Programs:
    """Give the command lines of this set-up, as far as the settings and the targets tell."""
    every = tuple(targets)
    settings_of = tuple(_settings_of(settings, config))
    output = () if config else ("--output", str(settings.output)) if settings.output else None
    return Programs(
        start=tuple(_start(settings, every)),
        generate=("runscrape", "generate", *settings_of, *output) if output is not None else (),
        targets=("runscrape", "targets", *settings_of),
        reload=_reload(options, settings),
        config_file=str(options.prometheus_config or settings.output or ""),
    )


def _settings_of(settings: Settings, config: str) -> Iterator[str]:
    """Give the options that have a run find the same services."""
    if config:
        yield from ("--config", config)
        return
    for name, values in (
        ("--project", settings.projects),
        ("--organization", settings.organizations),
        ("--folder", settings.folders),
    ):
        for value in values:
            yield from (name, value)


def _start(settings: Settings, targets: tuple[Target, ...]) -> Iterator[str]:
    """Give the proxy's command, for where the targets look for it."""
    yield "runscrape-proxy"
    parts = urlsplit(next(filter(None, (target.at_proxy for target in targets)), ""))
    listen = f"{parts.hostname}:{parts.port or 80}" if is_loopback(parts.hostname or "") else ""
    if listen and listen != DEFAULT_LISTEN:
        yield from ("--listen", listen)
    if any(target.gateway for target in targets):
        yield "--gateway"
    if settings.inventory_path is not None:
        yield from ("--inventory", str(settings.inventory_path))
    if secret := next(filter(None, (target.secret_file for target in targets)), None):
        yield from ("--client-secret-file", str(secret))


def _reload(options: Options, settings: Settings) -> tuple[str, ...]:
    if settings.reload_command:
        return tuple(shlex.split(settings.reload_command))
    url = settings.reload or (
        f"{options.prometheus.rstrip('/')}/-/reload" if options.prometheus else ""
    )
    return ("curl", "--fail", "-X", "POST", url) if url else ()
