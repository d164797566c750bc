"""Which services become targets, and why the others do not: pure, one decision per service.

The reasons are looked for in this order, so that the one given is the one to act on first: what
the user chose (``--include``, ``--exclude``, ``--label``, a rule), what the service chose
(opting out, not opting in), what it is (never ready, no URL), what stands before it (IAP, ingress).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from runscrape_generator.config.settings import Mode, Rule, Settings
from runscrape_generator.model import Decision, Endpoint, Service
from runscrape_generator.selection import endpoints
from runscrape_generator.selection.annotations import (
    ANNOTATION,
    ScrapeAnnotations,
    read_annotations,
)
from runscrape_generator.selection.rules import rule_for
from runscrape_generator.text import show

CLOUD_RUN_MAX_INSTANCES = 100
"""Where a service does not say: cloud.google.com/run/docs/configuring/max-instances."""


def decide(services: Iterable[Service], settings: Settings) -> tuple[Decision, ...]:
    """A decision for each service, sorted by project, region, name."""
    ordered = sorted(services, key=lambda each: (each.project, each.region, each.name))
    owners = {url: each.id for each in ordered for url in (each.uri, *each.urls) if url}
    return tuple(_decide(each, settings, owners) for each in ordered)


def _decide(service: Service, settings: Settings, owners: Mapping[str, str]) -> Decision:
    if reason := _filtered(service, settings):
        return Decision(service=service, reason=reason)
    rule = rule_for(service, settings.rules)
    annotated = read_annotations(service)
    audience, doubts = _audience(service, rule, annotated, settings, owners)
    where = endpoints.place(service, rule)
    reason = (
        _declined(rule, annotated, settings)
        or _without_place(service, rule, known=where is not None)
        or _behind(service, rule, settings)
    )
    if not reason and audience is None and not service.invoker_iam_disabled:
        reason = "no URL of its own and no custom audience: a rule's audience says what to ask for"
    if reason or where is None:
        return Decision(service=service, reason=reason, warnings=annotated.warnings)
    found, more = endpoints.build(
        service, where, audience, rule=rule, annotated=annotated, settings=settings
    )
    more = (*more, *_headers(found, settings), *_scaling(service))
    warnings = (*annotated.warnings, *doubts, *more)
    return Decision(service=service, endpoints=found, warnings=warnings)


def _filtered(service: Service, settings: Settings) -> str:
    """Why the user's own selection leaves *service* out; empty if it does not."""
    if settings.include and not _any_glob(service.name, settings.include):
        return "not matched: its name fits no --include"
    if _any_glob(service.name, settings.exclude):
        return "not matched: its name fits an --exclude"
    for name, value in settings.label.items():
        if service.labels.get(name) != value:
            return f"not matched: it has no label {name}={value} (--label)"
    return ""


def _any_glob(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _declined(rule: Rule, annotated: ScrapeAnnotations, settings: Settings) -> str:
    """Whether a rule, or else the service itself, says no; ``skip: false`` overrides both."""
    if rule.skip is not None:
        return "skipped by a rule" if rule.skip else ""
    if annotated.scrape is False:
        return f'opted out: {ANNOTATION}scrape is "false"'
    if settings.opt_in and not annotated.scrape:
        return f'not opted in: --opt-in wants {ANNOTATION}scrape to be "true"'
    return ""


def _without_place(service: Service, rule: Rule, *, known: bool) -> str:
    """Why there is nothing to scrape, or nowhere."""
    if not service.latest_ready_revision:
        return "never ready: no revision of it has started yet"
    if service.default_uri_disabled and rule.target is None:
        return "default URL disabled: a rule's target (its custom domain) keeps it"
    if not service.uri and rule.target is None:
        return "no URL yet"
    return "" if known else f"no usable URL: {show(rule.target or service.uri)}"


def _behind(service: Service, rule: Rule, settings: Settings) -> str:
    """What stands between Prometheus and the service."""
    if service.iap_enabled and rule.audience is None:
        return "IAP enabled: a rule's audience (IAP's own OAuth client) keeps it"
    if service.ingress == "none":
        return "ingress is none: nothing can reach it"
    if service.ingress == "all" or settings.ingress == "internal":
        return ""
    if service.ingress == "internal":
        return "ingress is internal: it answers only inside the VPC; --ingress internal keeps it"
    # A load balancer in front of it is reached by its own domain, from anywhere.
    if rule.target is not None:
        return ""
    return (
        f"ingress is {service.ingress}: its own URL answers only inside the VPC; a rule's target "
        "(the load balancer's domain) or --ingress internal keeps it"
    )


def _audience(
    service: Service,
    rule: Rule,
    annotated: ScrapeAnnotations,
    settings: Settings,
    owners: Mapping[str, str],
) -> tuple[str | None, tuple[str, ...]]:
    """What the ID token is made for, and warnings; None where the service is public or unknown.

    A service may name an audience, but never the URL of another service: it would be handed
    tokens that the other one accepts, and could pass them on.
    """
    if service.invoker_iam_disabled and not service.iap_enabled:
        return None, ()
    if rule.audience is not None:
        return rule.audience, ()
    customs = service.custom_audiences[:1]
    wanted = [annotated.audience] if annotated.audience else []
    if settings.audience == "custom" or not service.uri:
        wanted.extend(customs)
    warnings: list[str] = []
    for audience in wanted:
        owner = owners.get(audience.rstrip("/"), service.id)
        if owner == service.id:
            return audience, (*warnings, *_mismatch(service, audience))
        warnings.append(f"audience {show(audience)} ignored: it is the URL of {owner}")
    return service.uri or None, tuple(warnings)


def _mismatch(service: Service, audience: str) -> tuple[str, ...]:
    """Cloud Run accepts a service's own URLs and its custom audiences, and answers 401 else."""
    if audience in (service.uri, *service.urls, *service.custom_audiences):
        return ()
    return (f"audience {show(audience)} is neither a URL nor a custom audience of the service",)


def _headers(found: Iterable[Endpoint], settings: Settings) -> Iterable[str]:
    """Say what of the rules has no effect on the header that the token is in."""
    others = {each.token_header for each in found} - {"Authorization"}
    if others and settings.mode is Mode.OAUTH2:
        yield f"the token is in Authorization, not {', '.join(others)}: that needs --mode gateway"


def _scaling(service: Service) -> Iterable[str]:
    """What scraping does to, and gets from, a service with other than exactly one instance."""
    if service.max_instances != 1:
        limit = service.max_instances or f"not set, so {CLOUD_RUN_MAX_INSTANCES}"
        yield f"maxInstances is {limit}: a scrape reaches one random instance, so counters jump"
    if service.min_instances == 0:
        yield "minInstances is 0: each scrape may wake, and bill, an instance"
