"""The output formats, each as one object, and the check that every text says what was meant.

What is meant is plain data: the YAML documents of the output. A template writes them, and what is
read back from its text has to be the same data. Whatever a service's name or label did to the text
would show as a difference.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from runscrape_generator.config import durations, unsupported
from runscrape_generator.config.settings import Format, Settings
from runscrape_generator.errors import ConfigError, ValidationError
from runscrape_generator.model import Decision, Job
from runscrape_generator.render import file_sd, operator, scrape_config, templates
from runscrape_generator.render.into import take_apart
from runscrape_generator.render.scrape_config import Data
from runscrape_generator.render.yaml import (
    from_yaml,
    reads_as,
    require_unicode,
    to_json,
    to_yaml,
)

_NOT_AS_MEANT = "what was rendered does not read back as it was meant"


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """What is particular to one format of ``generate``."""

    template: str
    documents: Callable[[Iterable[Job], Settings], list[Any]]
    """The YAML documents of a file with these jobs, as data."""
    for_promtool: bool = False
    """Whether a file of it is a configuration by itself, which promtool can check."""


def _prometheus(jobs: Iterable[Job], settings: Settings) -> list[Any]:
    own = [scrape_config.prometheus_config(), scrape_config.proxy_config(settings)]
    entries = scrape_config.scrape_configs(jobs, settings)
    taken = {each["job_name"] for each in own}
    for entry in entries:
        if entry["job_name"] in taken:
            raise ConfigError(
                f"job name {entry['job_name']!r} is that of a job which prometheus.yml has for "
                "Prometheus or the proxy: change --job-name, or a rule's job"
            )
    times = scrape_config.global_times(settings)
    return [({"global": times} if times else {}) | {"scrape_configs": [*own, *entries]}]


def _scrape_configs(jobs: Iterable[Job], settings: Settings) -> list[Any]:
    return [{"scrape_configs": scrape_config.scrape_configs(jobs, settings)}]


def _vmagent(jobs: Iterable[Job], settings: Settings) -> list[Any]:
    return [scrape_config.scrape_configs(jobs, settings)]


def _operator(jobs: Iterable[Job], settings: Settings) -> list[Any]:
    resources = operator.resources(jobs, settings)
    _require_unique([each["metadata"]["name"] for each in resources], "resource name")
    return resources


FORMATS = {
    Format.PROMETHEUS: OutputFormat("prometheus.yml.j2", _prometheus, for_promtool=True),
    Format.SCRAPE_CONFIGS: OutputFormat(
        "scrape-configs.yml.j2", _scrape_configs, for_promtool=True
    ),
    Format.VMAGENT: OutputFormat("vmagent.yml.j2", _vmagent),
    Format.OPERATOR: OutputFormat("operator.yml.j2", _operator),
}


def render(jobs: Iterable[Job], settings: Settings) -> str:
    """*jobs* in the format of *settings*, or in the user's own template.

    Raises ConfigError for what the format or the template cannot do, ValidationError if the text
    does not read back as it was meant.
    """
    unsupported.require(settings, "generate")
    if settings.into is not None:
        return to_yaml(scrape_config.scrape_configs(jobs, settings)) + "\n"
    if settings.template is not None:
        return _users_own(jobs, settings)
    chosen = FORMATS[settings.format]
    documents = chosen.documents(jobs, settings)
    return _filled(
        chosen.template,
        documents,
        settings=settings,
        client_secret=operator.CLIENT_SECRET,
        client_secret_key=operator.SECRET_KEY,
    )


def render_targets(decisions: Iterable[Decision], settings: Settings, *, yaml: bool) -> str:
    """The targets of *decisions* for ``file_sd_configs``, as JSON or YAML."""
    unsupported.require(settings, "targets")
    groups = file_sd.groups(decisions, settings)
    if yaml:
        return _filled("targets.yml.j2", [groups])
    text = to_json(groups)
    require_unicode(text)
    if json.loads(text) != groups:
        raise ValidationError(_NOT_AS_MEANT)
    return text


def _filled(template: str, documents: list[Any], **values: Any) -> str:
    text = templates.fill(template, documents=documents, document=documents[0], **values)
    if not reads_as(text, documents):
        raise ValidationError(_NOT_AS_MEANT)
    return text


def _users_own(jobs: Iterable[Job], settings: Settings) -> str:
    """The user's template; its jobs have to be there whole, in the list where jobs belong."""
    if settings.format is Format.OPERATOR or settings.template is None:
        raise ConfigError("--template: --format operator has resources, and no list of jobs in it")
    entries = scrape_config.scrape_configs(jobs, settings)
    text = templates.fill_users_own(settings.template, entries)
    try:
        found = _entries(from_yaml(text))
    except ValidationError as error:
        raise ValidationError(f"{settings.template}: what it renders {error}") from error
    ours = {entry["job_name"]: entry for entry in entries}
    if {each["job_name"]: each for each in found if each["job_name"] in ours} != ours:
        raise ValidationError(
            f"{settings.template}: the jobs do not read back as they were meant; "
            "{{ cloud_run_jobs }} belongs under scrape_configs, where an entry would start"
        )
    _require_unique([each["job_name"] for each in found], "job name")
    return text


def _entries(documents: Sequence[Any]) -> list[Data]:
    """The scrape jobs of one document: a mapping with ``scrape_configs``, or the bare list."""
    if len(documents) != 1:
        raise ValidationError(f"has {len(documents)} YAML documents, not one")
    entries = documents[0]
    if isinstance(entries, dict):
        entries = entries.get("scrape_configs") or []
    if not isinstance(entries, list):
        raise ValidationError("has no list of scrape jobs")
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("job_name"), str):
            raise ValidationError("has an entry of scrape_configs without a job_name")
    return entries


def surroundings(settings: Settings, output: bytes) -> tuple[Settings, frozenset[str]]:
    """What the output has around the jobs of services, where *output* is the file as it is.

    Gives the settings with the interval and timeout of a job that says nothing of either (the
    user's ``global`` block has them, in the file with the block or in the template: there
    ``timeout: 20s`` fits under an interval of 30s), and the names of other jobs, which no service's
    can have. Raises ConfigError for a template that cannot be rendered, RefusedError for a file
    that can take no block.
    """
    own: Data = {}
    jobs: Iterable[Data] = ()
    if settings.into is not None:
        users = take_apart(output, str(settings.into))
        own, jobs = users.data(), users.jobs()
    elif settings.template is not None:
        text = templates.fill_users_own(settings.template, [])
        own = configuration(text)
        with contextlib.suppress(ValidationError):  # told when the jobs are in it
            jobs = _entries(from_yaml(text))
    elif settings.format is Format.PROMETHEUS:
        jobs = (scrape_config.prometheus_config(), scrape_config.proxy_config(settings))
    usual = own.get("global")
    usual = usual if isinstance(usual, dict) else {}
    with_times = dataclasses.replace(
        settings,
        scrape_interval=settings.scrape_interval or _duration(usual.get("scrape_interval")),
        scrape_timeout=settings.scrape_timeout or _duration(usual.get("scrape_timeout")),
    )
    names = (job.get("job_name") for job in jobs)
    return with_times, frozenset(name for name in names if isinstance(name, str))


def _duration(written: object) -> str | None:
    """A time of the ``global`` block; None for 0, Prometheus' default, and what it refuses."""
    try:
        return written if isinstance(written, str) and durations.parse(written) else None
    except ValueError:
        return None


def configuration(text: str) -> Data:
    """What *text* holds, if it is a configuration; empty otherwise."""
    try:
        document = next(iter(from_yaml(text)), None)
    except ValidationError:
        return {}  # told when the jobs are in it
    return document if isinstance(document, dict) else {}


def ours(output: bytes, settings: Settings) -> bytes:
    """The part of an output that a run writes."""
    if settings.into is None:
        return output
    return take_apart(output, str(settings.into)).block.encode()


def _require_unique(names: Iterable[str], what: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValidationError(f"the {what} {twice[0]!r} is there more than once")
