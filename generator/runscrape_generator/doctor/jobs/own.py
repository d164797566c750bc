"""The targets of the jobs that runscrape writes, from the settings and the known services."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from runscrape_generator.config.settings import Mode, Settings
from runscrape_generator.doctor.jobs.scrape_config import INTERVAL, TIMEOUT, Defaults, TargetGroup
from runscrape_generator.doctor.jobs.scrape_config import targets as made_of
from runscrape_generator.doctor.targets import Target
from runscrape_generator.model import Decision
from runscrape_generator.render import file_sd, scrape_config
from runscrape_generator.selection.jobs import assemble


def targets(
    decided: tuple[Decision, ...], settings: Settings, version: tuple[int, int]
) -> Iterator[Target]:
    """Give every target that a run would write, read back as Prometheus would read it."""
    defaults = Defaults(
        folder=settings.output.parent if settings.output else Path(),
        interval=settings.scrape_interval or INTERVAL,
        timeout=settings.scrape_timeout or TIMEOUT,
        version=version,
    )
    if settings.mode is Mode.GATEWAY:
        yield from _through_gateway(decided, settings, defaults)
        return
    for job in assemble(decided):
        data = scrape_config.scrape_config(job, settings)
        for endpoint in job.endpoints:
            group: TargetGroup = ([endpoint.target], endpoint.labels)
            for target in made_of(data, [group], defaults):
                yield replace(target, service=endpoint.service)


def _through_gateway(
    decided: tuple[Decision, ...], settings: Settings, defaults: Defaults
) -> Iterator[Target]:
    data = scrape_config.gateway(settings)
    for decision in decided:
        for one in file_sd.groups([decision], settings):
            addresses, labels = one["targets"], one["labels"]
            assert isinstance(labels, dict)  # noqa: S101 (for the type checker)
            for target in made_of(data, [(addresses, labels)], defaults):
                yield replace(target, service=decision.service)
