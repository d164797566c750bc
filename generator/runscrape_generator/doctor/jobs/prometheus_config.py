"""A prometheus.yml as Prometheus reads it: jobs, ``scrape_config_files``, and what they discover.

Only jobs that concern runscrape become targets: those with ``oauth2``, those whose scrapes go
through the gateway, and those of hosts on run.app.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from runscrape_generator.doctor.http.exchange import Request, exchange
from runscrape_generator.doctor.jobs import scrape_config
from runscrape_generator.doctor.jobs.scrape_config import Data, Defaults, Group
from runscrape_generator.doctor.targets import Problem, Target
from runscrape_generator.errors import ConfigError
from runscrape_generator.text import one_line, show

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HTTP_SD_SECONDS = 10.0
_OK = 200


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a configuration says."""

    path: Path
    jobs: tuple[tuple[Data, Defaults], ...]
    """Each entry of ``scrape_configs``, and what holds for it."""

    def targets(self) -> Iterator[Target]:
        """Give every target that concerns runscrape; raises ConfigError."""
        for job, defaults in self.jobs:
            try:
                yield from _of_job(job, defaults)
            except (ValueError, TypeError, AttributeError) as error:
                name = show(str(job.get("job_name")))
                raise ConfigError(f"{self.path}: job {name}: {one_line(error)}") from None


def load(path: Path) -> Configuration:
    """Read a configuration with the files that it names. Raises ConfigError."""
    content = _mapping(path)
    folder = path.resolve().parent
    times: Data = content.get("global") or {}
    interval = str(times.get("scrape_interval") or scrape_config.INTERVAL)
    timeout = str(times.get("scrape_timeout") or scrape_config.TIMEOUT)
    defaults = Defaults(folder, interval, timeout)
    jobs = [(job, defaults) for job in _entries(path, content)]
    for pattern in content.get("scrape_config_files") or ():
        for name in sorted(glob.glob(str(folder / str(pattern)))):  # noqa: PTH207 - as Go's Glob
            file = Path(name)
            of_file = replace(defaults, folder=file.resolve().parent)
            jobs += [(job, of_file) for job in _entries(file, _mapping(file))]
    return Configuration(path, tuple(jobs))


def _mapping(path: Path) -> Data:
    try:
        content = yaml.load(path.read_bytes(), Loader=_LOADER)  # noqa: S506 - a safe loader
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {one_line(error)}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: not a configuration of Prometheus, which is a mapping")
    return content


def _entries(path: Path, content: Data) -> list[Data]:
    entries = content.get("scrape_configs") or []
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise ConfigError(f"{path}: scrape_configs is not a list of jobs")
    return entries


def _of_job(job: Data, defaults: Defaults) -> Iterator[Target]:
    through_gateway = _is_gateway(job)
    if not job.get("oauth2") and not through_gateway and not _mentions_cloud_run(job):
        return
    found = 0
    for groups, problem in _discovered(job, defaults):
        if problem is not None:
            yield Target(job=str(job.get("job_name")), problem=problem)
            found += 1
        for target in scrape_config.targets(job, groups, defaults):
            if job.get("oauth2") or target.gateway or target.host.endswith(".run.app"):
                found += 1
                yield target
    if not found and job.get("oauth2"):
        problem = Problem("no-targets", "no target is left after relabelling")
        yield Target(job=str(job.get("job_name")), problem=problem)


def _is_gateway(job: Data) -> bool:
    """Whether scrapes may go through runscrape-proxy: an HTTP proxy, asked in plain http."""
    proxy = job.get("proxy_url") or job.get("proxy_from_environment")
    return bool(proxy) and "oauth2" not in job


def _mentions_cloud_run(job: Data) -> bool:
    statics = job.get("static_configs") or ()
    return any(".run.app" in str(t) for group in statics for t in group.get("targets") or ())


def _discovered(job: Data, defaults: Defaults) -> Iterator[tuple[list[Group], Problem | None]]:
    """Ask each service discovery of a job that can be asked from here."""
    for group in job.get("static_configs") or ():
        yield [_group(group)], None
    for each in job.get("file_sd_configs") or ():
        for pattern in each.get("files") or ():
            yield _of_files(defaults.folder / str(pattern))
    for each in job.get("http_sd_configs") or ():
        yield _of_url(each, defaults)


def _group(data: Mapping[str, Any]) -> Group:
    return list(map(str, data.get("targets") or ())), dict(data.get("labels") or {})


def _of_files(pattern: Path) -> tuple[list[Group], Problem | None]:
    names = sorted(glob.glob(str(pattern)))  # noqa: PTH207 - as Go's Glob
    groups: list[Group] = []
    for name in names:
        try:
            groups += _groups(Path(name).read_bytes())
        except (OSError, ValueError) as error:
            return groups, _no_targets(f"{name}: {one_line(error)}", name)
    problem = None if names else _no_targets(f"there is no file {pattern}", str(pattern))
    return groups, problem


def _of_url(data: Data, defaults: Defaults) -> tuple[list[Group], Problem | None]:
    url = str(data.get("url") or "")
    headers = {"Accept": "application/json"}
    known = scrape_config.credentials(data, defaults)
    try:
        headers |= known.headers() if known else {}
    except OSError as error:
        return [], Problem("secret-unreadable", f"{error.filename}: {error.strerror}")
    request = Request(url=url, headers=headers, way=scrape_config.way(data, defaults, url))
    made = exchange(request, _HTTP_SD_SECONDS)
    if made.failure is not None:
        return [], _no_targets(f"{url}: {made.failure.reason}", url)
    if made.answer is None or made.answer.status != _OK:
        return [], _no_targets(f"{url} answers {made.answer.status if made.answer else 0}", url)
    try:
        return _groups(made.answer.body), None
    except ValueError as error:
        return [], _no_targets(f"{url}: {one_line(error)}", url)


def _no_targets(detail: str, place: str) -> Problem:
    return Problem("no-targets", detail, {"targets_file": place})


def _groups(content: bytes) -> list[Group]:
    """Read what file_sd and http_sd give: a list of ``{targets, labels}``. Raises ValueError."""
    try:
        found = json.loads(content)
    except ValueError:
        try:
            found = yaml.load(content, Loader=_LOADER)  # noqa: S506 - a safe loader
        except yaml.YAMLError:
            raise ValueError("neither JSON nor YAML") from None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError("not a list of target groups")
    return [_group(each) for each in found]
