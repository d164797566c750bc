"""Scrape jobs out of decisions: a job per endpoint, or one for endpoints that may share it."""

from __future__ import annotations

from collections.abc import Iterable

from runscrape_generator.model import Decision, Endpoint, Job


def assemble(decisions: Iterable[Decision]) -> tuple[Job, ...]:
    """Make a job for each name, in the order of the decisions (project, region, service).

    Endpoints of one name share every setting of the job, as
    :func:`runscrape_generator.selection.clashes.settle` leaves them.
    """
    groups: dict[str, list[Endpoint]] = {}
    for endpoint in (each for decision in decisions for each in decision.endpoints):
        groups.setdefault(endpoint.job, []).append(endpoint)
    return tuple(Job(name=name, endpoints=tuple(group)) for name, group in groups.items())
