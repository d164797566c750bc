"""What a configuration that we can see has to do with what we write.

``scrape_config_files: ['dir/*']`` takes every file of a folder, hidden ones too, and one that is no
list of jobs keeps Prometheus from reloading, and from starting. A service that has a job by hand
as well is scraped twice.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from runscrape_generator.config.settings import Format, Settings
from runscrape_generator.model import Job
from runscrape_generator.publish import files
from runscrape_generator.publish.places import Places
from runscrape_generator.render import formats
from runscrape_generator.render.into import UsersConfig, take_apart
from runscrape_generator.render.scrape_config import Data, scrape_configs


def warnings(
    settings: Settings, places: Places, jobs: tuple[Job, ...], new: bytes
) -> Iterator[str]:
    """Say what does not go well together: with a file of the user's, or with *new*, the output."""
    if places.output is None:
        return
    by_rules = (
        job for job in jobs if job.shared.scrape_config
    )  # no other job of ours names a file
    data: Data = {"scrape_configs": scrape_configs(by_rules, settings)}
    if settings.into is not None:
        config = take_apart(files.read(places.output) or b"", str(settings.into))
        yield from _by_hand(config, jobs)
        data = config.data()
    elif settings.template is not None:
        data = formats.configuration(new.decode())
    if places.inventory is not None:
        yield from _beside(settings, places.output, places.inventory)
        for pattern in _taking(places.inventory, data, places.output.parent):
            yield (
                f"{places.inventory} would be read by Prometheus: {pattern} takes it: name a file "
                "in another folder with --inventory"
            )


def _beside(settings: Settings, output: Path, inventory: Path) -> Iterator[str]:
    """Say, before there is an inventory, what it must not be taken for in a folder of jobs."""
    folder = output.parent
    of_jobs = settings.format in {Format.SCRAPE_CONFIGS, Format.VMAGENT} and settings.into is None
    if of_jobs and inventory.parent == folder and not inventory.exists():
        yield (
            f"{inventory} lies beside the jobs: a pattern such as {folder / '*'} under "
            f"scrape_config_files would take it for jobs, and Prometheus would not start: name "
            f"{output} there, or a file in another folder with --inventory"
        )


def _taking(path: Path, config: Data, folder: Path) -> Iterator[str]:
    """Name the patterns of *config* that take *path*; they count from *folder*."""
    for key, pattern in _patterns(config):
        absolute = folder / pattern
        same_folder = absolute.parent.resolve() == path.parent
        if same_folder and fnmatch.fnmatchcase(path.name, absolute.name):
            yield f"{key} {pattern!r}"


def _by_hand(config: UsersConfig, jobs: Iterable[Job]) -> Iterator[str]:
    """Name each job of the user's for a service that is in the block, too."""
    hosts: dict[str, str] = {}
    audiences: dict[str, str] = {}
    for job in jobs:
        for endpoint in job.endpoints:
            hosts[endpoint.target.removesuffix(":443")] = endpoint.service.id
            if endpoint.audience is not None:
                audiences[endpoint.audience] = endpoint.service.id
    for data in config.jobs():
        services = {hosts.get(host) for host in _hosts(data)} | {audiences.get(_audience(data))}
        for service in sorted(filter(None, services)):
            name = str(data.get("job_name"))
            yield (
                f"{config.name}: job {name!r} scrapes {service} by hand, as does the block: remove "
                "one of them"
            )


def _hosts(job: Data) -> Iterator[str]:
    for group in _mappings(job.get("static_configs")):
        yield from (target.removesuffix(":443") for target in _texts(group.get("targets")))


def _audience(job: Data) -> str:
    oauth2: Any = job.get("oauth2")
    params = oauth2.get("endpoint_params") if isinstance(oauth2, dict) else None
    return str(params.get("audience")) if isinstance(params, dict) else ""


def _patterns(config: Data) -> Iterator[tuple[str, str]]:
    for key in ("scrape_config_files", "rule_files"):
        yield from ((key, pattern) for pattern in _texts(config.get(key)))
    for job in _mappings(config.get("scrape_configs")):
        for discovery in _mappings(job.get("file_sd_configs")):
            for pattern in _texts(discovery.get("files")):
                yield "file_sd_configs", pattern


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _mappings(value: Any) -> list[Data]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
