"""Jobs and targets as text, which never leaves unchecked: it reads back as what was meant.

What is meant is built as plain data, the templates write it, and a parser that knows nothing of
them reads it back. Whatever a service's name or label did to the text would show as a difference.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from runscrape_generator.config import unsupported
from runscrape_generator.config.settings import Format, Settings
from runscrape_generator.errors import ConfigError, ValidationError
from runscrape_generator.model import Decision, Job
from runscrape_generator.render import file_sd, parsing, readback, scrape_config, user_template
from runscrape_generator.render import operator as operator_resources
from runscrape_generator.render import templates as templating
from runscrape_generator.render.scrape_config import Data
from runscrape_generator.render.yaml import as_json, encode


def render(jobs: Iterable[Job], settings: Settings) -> str:
    """*jobs* in the format of *settings*, or in the user's own template.

    Raises ConfigError for what the format or the template cannot do, ValidationError if the text
    does not read back as it was meant.
    """
    unsupported.require(settings, "generate")
    if settings.format is Format.OPERATOR:
        return _operator(jobs, settings)
    entries = scrape_config.scrape_configs(jobs, settings)
    if settings.template is not None:
        return _own_template(entries, settings)
    if settings.format is Format.PROMETHEUS:
        return _prometheus(entries, settings)
    name = settings.format.value
    text = templating.fill(f"{name}.yml.j2", entries=entries)
    if settings.format is Format.VMAGENT:
        return _verified(text, entries, list)
    return _verified(text, entries, lambda some: {"scrape_configs": some})


def render_targets(decisions: Iterable[Decision], settings: Settings, *, yaml: bool) -> str:
    """The targets of *decisions* for ``file_sd_configs``, as JSON or YAML."""
    unsupported.require(settings, "targets")
    groups = file_sd.groups(decisions, settings)
    if yaml:
        return _verified(templating.fill("targets.yml.j2", groups=groups), groups, list)
    text = as_json(groups)
    encode(text)
    if json.loads(text) != groups:
        raise ValidationError("the targets do not read back as they were meant")
    return text


def _prometheus(entries: list[Data], settings: Settings) -> str:
    own = [scrape_config.prometheus_config(), scrape_config.proxy_config(settings)]
    taken = {each["job_name"] for each in own}
    for entry in entries:
        if entry["job_name"] in taken:
            raise ConfigError(
                f"job name {entry['job_name']!r} is that of a job which prometheus.yml has for "
                "Prometheus or the proxy: change --job-name, or a rule's job"
            )
    global_times = scrape_config.global_times(settings)
    text = templating.fill("prometheus.yml.j2", own=own, entries=entries, global_times=global_times)
    around: Data = {"global": global_times} if global_times else {}
    return _verified(text, [*own, *entries], lambda some: {**around, "scrape_configs": some})


def _operator(jobs: Iterable[Job], settings: Settings) -> str:
    if settings.template is not None:
        raise ConfigError("--template: --format operator has resources, and no list of jobs in it")
    resources = operator_resources.resources(jobs, settings)
    text = templating.fill(
        "operator.yml.j2",
        resources=resources,
        settings=settings,
        client_secret=operator_resources.CLIENT_SECRET,
        client_secret_key=operator_resources.SECRET_KEY,
    )
    _unique([each["metadata"]["name"] for each in resources], "resource name")
    encode(text)
    return _same(text, parsing.documents(text) == resources)


def _own_template(entries: list[Data], settings: Settings) -> str:
    """The user's template; its jobs have to be there whole, in the list where jobs belong."""
    assert settings.template is not None  # noqa: S101 (for the type checker)
    text = user_template.render(settings.template, templating.jobs_text(entries))
    encode(text)
    try:
        found = _entries(parsing.documents(text))
    except ValidationError as error:
        raise ValidationError(f"{settings.template}: what it renders {error}") from error
    ours = {entry["job_name"]: entry for entry in entries}
    read = {each["job_name"]: each for each in found if each["job_name"] in ours}
    if read != ours:
        raise ValidationError(
            f"{settings.template}: the jobs do not read back as they were meant; "
            "{{ cloud_run_jobs }} belongs under scrape_configs, where an entry would start"
        )
    _unique([each["job_name"] for each in found], "job name")
    return text


def _entries(found: Sequence[Any]) -> list[Data]:
    """The scrape jobs of one document: a mapping with ``scrape_configs``, or the bare list."""
    if len(found) != 1:
        raise ValidationError(f"has {len(found)} YAML documents, not one")
    entries = found[0]
    if isinstance(entries, dict):
        entries = entries.get("scrape_configs") or []
    if not isinstance(entries, list):
        raise ValidationError("has no list of scrape jobs")
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("job_name"), str):
            raise ValidationError("has an entry of scrape_configs without a job_name")
    return entries


def _verified(text: str, entries: Sequence[Any], document: Callable[[list[Any]], Any]) -> str:
    """*text*, if it is Unicode and reads back as ``document(entries)``, and as nothing else."""
    encode(text)
    return _same(text, readback.says(text, entries, document))


def _same(text: str, same: bool) -> str:  # noqa: FBT001 (it is what the name asks)
    if not same:
        raise ValidationError("what was rendered does not read back as it was meant")
    return text


def _unique(names: Iterable[str], what: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValidationError(f"the {what} {twice[0]!r} is there more than once")
