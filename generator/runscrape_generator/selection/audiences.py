"""What the ID token of a service is made for, and which audiences a service may not claim.

A token is sent to the service that it is made for, which can use it wherever that audience is
accepted. So what a service says about itself never gets it a token that another one would take: it
may name only its own URLs and its own custom audiences, to the letter. Whoever may deploy a service
may put any text into its custom audiences, so one counts only if nobody else has a claim to it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from runscrape_generator.config.settings import Rule, Settings
from runscrape_generator.model import Service
from runscrape_generator.selection.annotations import ScrapeAnnotations
from runscrape_generator.text import show

GOOGLES_OWN = (
    "run.app",
    "cloudfunctions.net",
    "googleapis.com",
    "googleusercontent.com",  # the OAuth clients of IAP among them
    "cloud.goog",
    "appspot.com",
    "google.com",
)
"""Domains in which Google makes the names: an audience there belongs to whatever has that name, be
it another Cloud Run service, a function, an API, or an OAuth client of IAP."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")


@dataclass(frozen=True, slots=True)
class AudienceClaims:
    """Who has a claim to which audience, over all services: also skipped and stale ones.

    Audiences are keys as :func:`alike` makes them.
    """

    projects: Mapping[str, AbstractSet[str]]
    """The projects that have it: as a custom audience of a service, or by a rule for one."""
    by_rule: Mapping[str, AbstractSet[str]]
    """For each audience that rules name: the projects of the services that they give it to."""
    urls: Mapping[str, str]
    """The service whose URL it is, as ``PROJECT/REGION/NAME``."""


def claims(services: Iterable[tuple[Service, Rule]], settings: Settings) -> AudienceClaims:
    """Collect the claims of all services, each with the rule that is in force for it."""
    projects: dict[str, set[str]] = {}
    by_rule = {alike(one.audience): set[str]() for one in settings.rules if one.audience}
    urls: dict[str, str] = {}
    for service, rule in services:
        for audience in service.custom_audiences:
            projects.setdefault(alike(audience), set()).add(service.project)
        if rule.audience is not None:
            by_rule.setdefault(alike(rule.audience), set()).add(service.project)
        for url in {service.uri, *service.urls}:
            if url:
                urls.setdefault(alike(url), service.id)
    for audience, named in by_rule.items():
        projects.setdefault(audience, set()).update(named)
    return AudienceClaims(projects, by_rule, urls)


def audience_of(
    service: Service,
    rule: Rule,
    annotated: ScrapeAnnotations,
    settings: Settings,
    all_: AudienceClaims,
) -> tuple[str | None, tuple[str, ...]]:
    """Give the audience, and a warning for each that was ignored.

    A rule's, else the annotation's, else with ``--audience custom`` (or without a URL) the first
    custom audience, else the URL. None where the service is public, or has none of these.
    """
    if service.invoker_iam_disabled and not service.iap_enabled:
        return None, ()
    if rule.audience is not None:
        return rule.audience, ()
    wanted = [annotated.audience] if annotated.audience else []
    if settings.audience == "custom" or not service.uri:
        wanted.extend(service.custom_audiences[:1])
    warnings: list[str] = []
    for audience in dict.fromkeys(wanted):
        reason = _refusal(audience, service, all_)
        if not reason:
            return audience, tuple(warnings)
        warnings.append(f"audience {show(audience)} ignored: {reason}")
    return service.uri or None, tuple(warnings)


def _refusal(audience: str, service: Service, all_: AudienceClaims) -> str:
    """Say why a service gets no token for an audience that it names; empty if it does."""
    if not audience:
        return "it is empty"
    if audience in (service.uri, *service.urls):
        return ""
    if audience not in service.custom_audiences:
        return "it is neither a URL nor a custom audience of the service, to the letter"
    key = alike(audience)
    owner = all_.urls.get(key)
    if owner is not None:
        return "" if owner == service.id else f"it is the URL of {owner}"
    reason = ""
    if _is_googles(key):
        reason = "Google gives such names, and not to this service"
    elif others := all_.projects[key] - {service.project}:
        reason = f"project {min(others)} has it as well"
    elif key in all_.by_rule and service.project not in all_.by_rule[key]:
        reason = "a rule gives it to other services"
    return f"{reason}: only a rule's audience gives it to this one" if reason else ""


def alike(audience: str) -> str:
    """Reduce an audience to a key that it shares with every text that may be taken for it.

    Case, Unicode forms, scheme, user, port and a slash or dot at the end do not count.
    """
    text = unicodedata.normalize("NFKC", audience).casefold().strip()
    text = _SCHEME.sub("", text, count=1) if "//" in text else text
    host, slash, path = text.lstrip("/").partition("/")
    host = host.rpartition("@")[2].partition(":")[0].rstrip(".")
    return f"{host}{slash}{path}".rstrip("/")


def _is_googles(key: str) -> bool:
    """Say whether Google makes such names; also the resource names that IAP's audiences are.

    Cloud Run takes ``/projects/NUMBER/locations/REGION/services/NAME`` for that service, too.
    """
    host = key.partition("/")[0]
    if host == "projects":
        return True
    return any(host == domain or host.endswith(f".{domain}") for domain in GOOGLES_OWN)
