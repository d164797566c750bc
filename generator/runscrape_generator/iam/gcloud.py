"""What is needed, as ``gcloud`` commands."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from runscrape_generator.iam.needs import (
    IAP_ACCESSOR,
    INVOKER,
    LISTER,
    LISTER_TITLE,
    PERMISSION,
    SEARCHER,
    Needs,
)
from runscrape_generator.iam.present import Present
from runscrape_generator.model import Service
from runscrape_generator.text import plural, printable


def text(needs: Needs, present: Present | None) -> str:
    """Give the commands with comments, but for what ``present`` knows to be there already."""
    blocks = [
        _block(
            f"{needs.generator} lists the services of project {project}, and no more",
            _lister(project, needs.generator, present),
        )
        for project in needs.projects
    ]
    if searched := list(_searched(needs)):
        blocks.append(_block(f"{needs.generator} finds the projects that have services", searched))
    if needs.services:
        calls = f"{needs.proxy} calls {plural(len(needs.services), 'service')}, and no others"
        blocks.append(_block(calls, _invokers(needs, present)))
    else:
        blocks.append("# no service was found that wants a token, so nobody needs a role on one\n")
    if needs.behind_iap:
        blocks.append(_block("Identity-Aware Proxy lets it pass", _iap(needs, present)))
    blocks += list(_excess(needs, present))
    return "\n".join(blocks)


def _block(comment: str, commands: Iterable[tuple[str, ...]]) -> str:
    lines = [shlex.join(words) for words in commands]
    there = [] if lines else ["# (is there already)"]
    return "\n".join([f"# {printable(comment)}", *lines, *there, ""])


def _lister(project: str, member: str, present: Present | None) -> Iterator[tuple[str, ...]]:
    role = f"projects/{project}/roles/{LISTER}"
    known = present.projects.get(project) if present else None
    if known is None or not known.role:
        yield (
            *("gcloud", "iam", "roles", "create", LISTER, "--project", project),
            *("--title", LISTER_TITLE, "--permissions", PERMISSION, "--stage", "GA"),
        )
    if known is None or not known.holds(role, member):
        yield (
            *("gcloud", "projects", "add-iam-policy-binding", project),
            *("--member", member, "--role", role, "--condition", "None"),
        )


def _searched(needs: Needs) -> Iterator[tuple[str, ...]]:
    grant = ("--member", needs.generator, "--role", SEARCHER, "--condition", "None")
    for number in needs.organizations:
        yield ("gcloud", "organizations", "add-iam-policy-binding", number, *grant)
    for number in needs.folders:
        yield ("gcloud", "resource-manager", "folders", "add-iam-policy-binding", number, *grant)


def _invokers(needs: Needs, present: Present | None) -> Iterator[tuple[str, ...]]:
    for service in needs.services:
        if present is None or not present.invokes(service, needs.proxy):
            yield _bind(service, needs.proxy)


def _bind(service: Service, member: str) -> tuple[str, ...]:
    return (
        *("gcloud", "run", "services", "add-iam-policy-binding", service.name),
        *("--project", service.project, "--region", service.region),
        *("--member", member, "--role", INVOKER),
    )


def _iap(needs: Needs, present: Present | None) -> Iterator[tuple[str, ...]]:
    for service in needs.behind_iap:
        yield (
            *("gcloud", "iap", "web", "add-iam-policy-binding", "--project", service.project),
            *("--resource-type", "cloud-run", "--service", service.name),
            *("--region", service.region, "--member", needs.proxy, "--role", IAP_ACCESSOR),
        )
        agent = needs.agent(service)
        if agent and (present is None or not present.invokes(service, agent)):
            yield _bind(service, agent)


def _excess(needs: Needs, present: Present | None) -> Iterator[str]:
    """Name roles on whole projects that open more than is scraped, with what takes them away."""
    for project, known in sorted(present.projects.items()) if present else ():
        for role in known.wide(needs.proxy):
            words = (
                *("gcloud", "projects", "remove-iam-policy-binding", project),
                *("--member", needs.proxy, "--role", role, "--condition", "None"),
            )
            yield _block(
                f"{needs.proxy} has {role} on all of project {project}: once the above is there, "
                "take it away",
                [words],
            )
