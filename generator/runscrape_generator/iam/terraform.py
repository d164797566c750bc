"""What is needed, as Terraform (HCL) for the google provider."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from runscrape_generator.iam.needs import (
    IAP_ACCESSOR,
    INVOKER,
    LISTER,
    LISTER_TITLE,
    PERMISSION,
    SEARCHER,
    Needs,
)
from runscrape_generator.model import Service

_ON_SERVICE = "google_cloud_run_v2_service_iam_member"
_AT_IAP = "google_iap_web_cloud_run_service_iam_member"


def text(needs: Needs) -> str:
    """Give the resources; Terraform itself knows which of them are there already."""
    proxy = quoted(needs.proxy)
    blocks = [_locals(needs), *_lister(needs), *_searched(needs)]
    blocks.append(_member(_ON_SERVICE, "invoker", "local.runscrape_services", INVOKER, proxy))
    if needs.behind_iap:
        behind = "local.runscrape_services_behind_iap"
        blocks.append(_member(_AT_IAP, "iap", behind, IAP_ACCESSOR, proxy))
        known = f'{{ for id, one in {behind} : id => one if one.agent != "" }}'
        blocks.append(_member(_ON_SERVICE, "iap_agent", known, INVOKER, "each.value.agent"))
    return "\n".join(blocks)


def quoted(value: str) -> str:
    """Write a string as HCL does, whatever it holds: ``${`` and ``%{`` are no templates in it."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"([$%])\{", r"\1\1{", text)


def _locals(needs: Needs) -> str:
    lines = [f"  runscrape_projects = [{', '.join(map(quoted, needs.projects))}]"]
    lines += ["  runscrape_services = {", *_places(needs.services, needs), "  }"]
    if needs.behind_iap:
        lines += ["  runscrape_services_behind_iap = {"]
        lines += [*_places(needs.behind_iap, needs, agent=True), "  }"]
    return "\n".join(["locals {", *lines, "}", ""])


def _places(services: Iterable[Service], needs: Needs, *, agent: bool = False) -> Iterator[str]:
    listed = list(services)
    wide = max((len(quoted(each.id)) for each in listed), default=0)
    for each in listed:
        parts = [("project", each.project), ("location", each.region), ("name", each.name)]
        if agent:
            parts.append(("agent", needs.agent(each)))
        inner = ", ".join(f"{name} = {quoted(value)}" for name, value in parts)
        yield f"    {quoted(each.id):<{wide}} = {{ {inner} }}"


def _lister(needs: Needs) -> Iterator[str]:
    yield _resource(
        "google_project_iam_custom_role",
        "runscrape_lister",
        ("for_each", "toset(local.runscrape_projects)"),
        ("project", "each.value"),
        ("role_id", quoted(LISTER)),
        ("title", quoted(LISTER_TITLE)),
        ("permissions", f"[{quoted(PERMISSION)}]"),
    )
    yield _resource(
        "google_project_iam_member",
        "runscrape_lister",
        ("for_each", "google_project_iam_custom_role.runscrape_lister"),
        ("project", "each.value.project"),
        ("role", "each.value.name"),
        ("member", quoted(needs.generator)),
    )


def _searched(needs: Needs) -> Iterator[str]:
    for kind, key, numbers in (
        ("organization", "org_id", needs.organizations),
        ("folder", "folder", needs.folders),
    ):
        if numbers:
            yield _resource(
                f"google_{kind}_iam_member",
                "runscrape_search",
                ("for_each", f"toset([{', '.join(map(quoted, numbers))}])"),
                (key, "each.value"),
                ("role", quoted(SEARCHER)),
                ("member", quoted(needs.generator)),
            )


def _member(kind: str, name: str, services: str, role: str, member: str) -> str:
    return _resource(
        kind,
        f"runscrape_{name}",
        ("for_each", services),
        ("project", "each.value.project"),
        ("location", "each.value.location"),
        ("cloud_run_service_name" if kind == _AT_IAP else "name", "each.value.name"),
        ("role", quoted(role)),
        ("member", member),
    )


def _resource(kind: str, name: str, *settings: Sequence[str]) -> str:
    """Write a resource as ``terraform fmt`` does: the equals signs in one column."""
    wide = max(len(key) for key, _ in settings)
    lines = [f"  {key:<{wide}} = {value}" for key, value in settings]
    return "\n".join([f'resource "{kind}" "{name}" {{', *lines, "}", ""])
