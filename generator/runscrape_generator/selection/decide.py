"""Which services become targets, and why the others do not: pure, one decision per service.

The reasons are looked for in this order, so that the one given is the one to act on first: what
the user chose (``--include``, ``--exclude``, ``--label``, a rule), what the service chose
(opting out, not opting in), what it is (never ready, no URL), what stands before it (IAP, ingress).
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from runscrape_generator.config.settings import Mode, Rule, Settings
from runscrape_generator.model import Decision, Endpoint, Service
from runscrape_generator.selection import clashes, endpoints
from runscrape_generator.selection.annotations import (
    ANNOTATION,
    ScrapeAnnotations,
    read_annotations,
)
from runscrape_generator.selection.audiences import AudienceClaims, audience_of, claims
from runscrape_generator.selection.rules import with_rules
from runscrape_generator.text import show

CLOUD_RUN_MAX_INSTANCES = 100
"""Where a service does not say: cloud.google.com/run/docs/configuring/max-instances."""


def decide(
    services: Iterable[Service], settings: Settings, taken: Collection[str] = ()
) -> tuple[Decision, ...]:
    """A decision for each service, sorted by project, region, name.

    ``taken`` are the names of jobs that the output has besides. Raises ConfigError for job names
    that the settings alone give twice.
    """
    ordered = sorted(services, key=lambda each: each.place)
    ruled = list(with_rules(ordered, settings.rules))
    claimed = claims(ruled, settings)
    decisions = [_decide(each, rule, settings, claimed) for each, rule in ruled]
    return clashes.settle(decisions, settings, taken)


def _decide(service: Service, rule: Rule, settings: Settings, claimed: AudienceClaims) -> Decision:
    if reason := _filtered(service, settings):
        return Decision(service=service, reason=reason)
    annotated = read_annotations(service)
    audience, doubts = audience_of(service, rule, annotated, settings, claimed)
    where = endpoints.host_port(service, rule)
    reason = (
        _declined(rule, annotated, settings)
        or _without_address(service, rule, known=where is not None)
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


def _without_address(service: Service, rule: Rule, *, known: bool) -> str:
    """Why there is nothing to scrape, or nowhere."""
    if not service.latest_ready_revision:
        return "never ready: no revision of it has started yet"
    if service.manual_instances == 0:
        return "scaled to 0 by hand: no instance answers until manual scaling says otherwise"
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


def _headers(found: Iterable[Endpoint], settings: Settings) -> Iterable[str]:
    """Say what of the rules has no effect on the header that the token is in."""
    others = {each.token_header for each in found} - {"Authorization"}
    if others and settings.mode is Mode.OAUTH2:
        yield f"the token is in Authorization, not {', '.join(others)}: that needs --mode gateway"


def _scaling(service: Service) -> Iterable[str]:
    """What scraping does to, and gets from, a service with other than exactly one instance."""
    if service.max_instances != 1:
        limit = service.max_instances or f"not set, so {CLOUD_RUN_MAX_INSTANCES}"
        text = f"maxInstances is {limit}: a scrape reaches one random instance, so counters jump"
        yield sys.intern(text)  # thousands of services have the same
    if service.min_instances == 0:
        yield "minInstances is 0: each scrape may wake, and bill, an instance"
