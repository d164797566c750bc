"""Job names that two endpoints want: a job is one for both, or the later one goes without.

A service can make its job's name equal to another's: by what it is called, where ``--job-name`` has
nothing between two placeholders, and by its paths and audiences. That must neither end the run nor
change the other's job. So names are given out in an order, and what comes too late is skipped:
first names that the settings write out, then names made of where a service is, then names with
something in them that a service says of itself; within each by project, region and service. Names
that the settings alone make equal, whatever the services are called, are a mistake in them.

Names must also differ after what their readers make of them: Kubernetes resources (``--format
operator``), and Grafana Alloy, which turns ``[^a-zA-Z0-9_]`` into ``_``.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Sequence

from runscrape_generator.config.settings import Format, Settings
from runscrape_generator.errors import ConfigError
from runscrape_generator.model import Decision, Endpoint, Service
from runscrape_generator.selection import naming
from runscrape_generator.text import show

_NOT_IN_ALLOY = re.compile(r"[^a-zA-Z0-9_]")


def settle(
    decisions: Sequence[Decision], settings: Settings, taken: Collection[str] = ()
) -> tuple[Decision, ...]:
    """Give the decisions with every job name claimed once, or by endpoints that may share the job.

    ``taken`` are the names of jobs that the output has besides. An endpoint that comes too late is
    dropped with a warning, a service without any other is skipped with the reason. Raises
    ConfigError, a line for each name, for clashes that are in the settings alone.
    """
    names = _Names(settings, taken)
    claims = [
        (_rank(endpoint), number, place, endpoint)
        for number, decision in enumerate(decisions)
        for place, endpoint in enumerate(decision.endpoints)
    ]
    dropped: dict[int, dict[int, str]] = {}
    for _, number, place, endpoint in sorted(claims, key=lambda claim: claim[:3]):
        if reason := names.refuse(endpoint):
            dropped.setdefault(number, {})[place] = reason
    if names.mistakes:
        raise ConfigError("\n".join(names.mistakes.values()))
    return tuple(
        _without(decision, dropped[number]) if number in dropped else decision
        for number, decision in enumerate(decisions)
    )


def may_share(one: Endpoint, other: Endpoint) -> bool:
    """Say whether two endpoints can be targets of one job: Prometheus keeps one token per job."""
    return one.audience is not None and _settings_of(one) == _settings_of(other)


def _settings_of(endpoint: Endpoint) -> tuple[object, ...]:
    """Everything that a target has from its job and not from its own labels."""
    return (
        endpoint.audience,
        endpoint.metrics_path,
        dict(endpoint.params),
        endpoint.scrape_interval,
        endpoint.scrape_timeout,
        dict(endpoint.scrape_config),
    )


def _rank(endpoint: Endpoint) -> int:
    if endpoint.said:
        return 2
    return 1 if naming.placeholders(endpoint.job_template) else 0


def _without(decision: Decision, dropped: dict[int, str]) -> Decision:
    """Drop some endpoints of a decision; the first reason is the service's if none is left."""
    kept = tuple(e for place, e in enumerate(decision.endpoints) if place not in dropped)
    if not kept:
        reason = next(iter(dropped.values()))
        return dataclasses.replace(decision, endpoints=(), reason=reason)
    told = (
        f"{show(decision.endpoints[place].metrics_path)} is not scraped: {reason}"
        for place, reason in sorted(dropped.items())
    )
    return dataclasses.replace(decision, endpoints=kept, warnings=(*decision.warnings, *told))


class _Names:
    """The job names that are claimed so far, and the mistakes in the settings."""

    def __init__(self, settings: Settings, taken: Collection[str]) -> None:
        self._settings = settings
        self._taken = frozenset(taken)
        self._holders: dict[str, Endpoint] = {}
        self._forms = {self._form(name): name for name in sorted(self._taken)}
        self.mistakes: dict[str, str] = {}

    def refuse(self, endpoint: Endpoint) -> str:
        """Claim the endpoint's job name; or say why it cannot have it."""
        job = endpoint.job
        holder = self._holders.get(job)
        if job in self._taken:
            return self._refused(endpoint, None)
        if holder is not None:
            return "" if may_share(holder, endpoint) else self._refused(endpoint, holder)
        if reason := self._reads_alike(endpoint):
            return reason
        self._holders[job] = endpoint
        return ""

    def _refused(self, endpoint: Endpoint, holder: Endpoint | None) -> str:
        if _is_mistake(endpoint, holder):
            self.mistakes.setdefault(endpoint.job, _mistake(endpoint, holder, self._settings))
        whose = holder.service.id if holder else "another job of the output"
        return f"job name {show(endpoint.job)} is that of {whose}: a rule's job gives it another"

    def _reads_alike(self, endpoint: Endpoint) -> str:
        """Say whose name this one is taken for; only names that are not written out are refused."""
        form = self._form(endpoint.job)
        other = self._forms.setdefault(form, endpoint.job)
        operator = self._settings.format is Format.OPERATOR
        if other == endpoint.job or not (operator or self._is_made(endpoint)):
            return ""
        reader = "Kubernetes" if operator else "Grafana Alloy"
        return (
            f"job name {show(endpoint.job)} is the same as {show(other)} to {reader}: a rule's "
            "job gives it another"
        )

    def _form(self, job: str) -> str:
        if self._settings.format is Format.OPERATOR:
            return naming.kubernetes(job)
        return _NOT_IN_ALLOY.sub("_", job)

    def _is_made(self, endpoint: Endpoint) -> bool:
        """Say whether nobody chose the name: it is what ``--job-name`` makes, or holds more."""
        plain = naming.fill(self._settings.job_name, endpoint.service)
        return endpoint.said or endpoint.job == plain


def _is_mistake(one: Endpoint, other: Endpoint | None) -> bool:
    """Say whether the settings alone make the names equal, whatever the services are called."""
    if one.said or (other is not None and other.said):
        return False
    holes = naming.placeholders(one.job_template)
    if other is None or other.job_template != one.job_template:
        return not holes and (other is None or not naming.placeholders(other.job_template))
    return not holes & _differing(one.service, other.service)


def _differing(one: Service, other: Service) -> set[str]:
    parts = {
        "project": (one.project, other.project),
        "region": (one.region, other.region),
        "service": (one.name, other.name),
    }
    return {name for name, (a, b) in parts.items() if a != b}


def _mistake(one: Endpoint, other: Endpoint | None, settings: Settings) -> str:
    if other is None:
        return (
            f"job name {one.job!r} is that of a job which the output has besides: change "
            "--job-name, or a rule's job"
        )
    if one.service.id == other.service.id:
        return (
            f"job name {one.job!r} is wanted by two endpoints of {one.service.id}: "
            f"{other.metrics_path} and {one.metrics_path}; give one of them a job of its own"
        )
    return (
        f"job name {one.job!r} is wanted by two services: {other.service.id} and "
        f"{one.service.id}; tell them apart with {{project}}, {{region}} and {{service}} in "
        f"--job-name (now {settings.job_name!r}) or in a rule's job"
    )
