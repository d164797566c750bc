"""Faults that Google answers with before the app sees the request, or in place of its answer.

Several causes have the same answer: what the Admin API says of the service tells them apart.
cloud.google.com/run/docs/troubleshooting has what each status may mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from runscrape_generator.doctor.answer import Who, first_line, who_answered
from runscrape_generator.doctor.evidence import Answer, Evidence
from runscrape_generator.doctor.faults import gateway
from runscrape_generator.doctor.findings import Fault, found
from runscrape_generator.doctor.remedies import identity, member, more_instances
from runscrape_generator.model import Service

_RESERVED = re.compile(r"/(healthz|eventlog|_ah/.*|.*z)")
_PERIMETER = (b"vpcservicecontrols", b"prohibited by organization's policy")
_EVERYBODY = {"allUsers", "allAuthenticatedUsers"}
_SIGN_IN = "https://accounts.google.com/"
_UNAUTHORIZED, _TOO_MANY = 401, 429
_PLAIN: tuple[tuple[int, bytes, str], ...] = (
    (_TOO_MANY, b"Rate exceeded", "max-instances"),
    (503, b"HTTP response was malformed or connection to the instance had an error", "crashed"),
    (503, b"upstream connect error", "crashed"),
    (504, b"upstream request timeout", "request-timeout"),
)
"""Answers of Cloud Run's that are no page: status, words, cause."""
_TAG = "---"
"""Between tag and service in the host of a tag's URL."""


def fault(evidence: Evidence) -> Fault | None:
    """Name what Google answered in place of the app; None where the app may have answered."""
    answer = evidence.scrape.answer if evidence.scrape else None
    if answer is None or (evidence.scrape and evidence.scrape.failure):
        return None
    who = who_answered(answer, gateway=evidence.target.gateway)
    if who is Who.GATEWAY:
        return gateway.fault(answer, evidence)
    if who is Who.IAP or answer.headers.get("location", "").startswith(_SIGN_IN):
        return _of_iap(answer, evidence)
    if _is_after_iap(answer, evidence):
        return found("iap-agent", "IAP let the request pass, and Cloud Run refused it")
    for status, words, cause in _PLAIN:
        if answer.status == status and words in answer.body:
            return _with_values(cause, evidence)
    look = _BY_WHO.get(who)
    return look(answer, evidence) if look else None


def _is_after_iap(answer: Answer, evidence: Evidence) -> bool:
    """Whether it is Cloud Run's 401 for IAP's own token, which has no page and no mark of IAP."""
    service = evidence.service
    if service is None or not service.iap_enabled or answer.status != _UNAUTHORIZED:
        return False
    return "invalid_token" in answer.headers.get("www-authenticate", "")


def _with_words(cause: str) -> Callable[[Answer, Evidence], Fault]:
    return lambda answer, _evidence: found(cause, f"{answer.status}: {first_line(answer)}")


def _of_google(answer: Answer, evidence: Evidence) -> Fault:
    if _RESERVED.fullmatch(evidence.target.path):
        return found("reserved-path", f"{evidence.target.path} answers {answer.status}")
    return found("not-served", "the Google Front End knows no such host, or keeps the path")


def _of_iap(answer: Answer, evidence: Evidence) -> Fault:
    said = first_line(answer)
    if answer.status == 403:  # noqa: PLR2004
        return found("iap-no-access", said)
    audience = evidence.token.claims.audience if evidence.token and evidence.token.claims else ""
    sent = f"the token is for {audience}" if audience else "no token was sent"
    return found("iap", f"{answer.status}; {sent}" + (f"; {said}" if said else ""))


def _of_cloud_run(answer: Answer, evidence: Evidence) -> Fault:
    look = _BY_STATUS.get(answer.status)
    if look is None:
        return found("unknown", f"{answer.status} by Cloud Run's front end: {first_line(answer)}")
    return look(answer, evidence)


def _not_found(_answer: Answer, evidence: Evidence) -> Fault:
    """404: the host leads nowhere, whatever the credentials."""
    facts, service, target = evidence.facts, evidence.service, evidence.target
    if facts.listed and facts.service is None:
        return found("service-gone", "{}/{}/{} is not listed any more".format(*target.place))
    if service is None:
        return found("not-served", facts.problem)
    return _hidden(service, evidence)


def _hidden(service: Service, evidence: Evidence) -> Fault:
    """Say why a service that exists is not served at the target's host."""
    facts, target = evidence.facts, evidence.target
    urls = (service.uri, *service.urls, *service.tag_urls)
    hosts = {urlsplit(url).hostname for url in urls if url}
    own = target.host in hosts or target.host.endswith(".run.app")
    if service.default_uri_disabled and own:
        return found("default-url-disabled")
    if service.ingress != "all":
        return found("ingress", f"its ingress is {service.ingress}")
    if facts.perimeter:
        return found("service-controls", facts.problem)
    if facts.service is not None and own and target.host not in hosts:
        return found("address-differs", f"{target.host}, and the service's URL is {service.uri}")
    return found("not-served", facts.problem or "the Admin API says that it is open to all")


def _unauthorized(answer: Answer, evidence: Evidence) -> Fault:
    """401: a token that Cloud Run does not take; it does not say why."""
    token, service = evidence.token, evidence.service
    if token is None and not evidence.target.gateway:
        return found("not-public", "401 without a token")
    audience = token.claims.audience if token and token.claims else _gateway_audience(evidence)
    if _is_tag(audience, service):
        return found("audience-is-tag", f"the token is for {audience}")
    takes = _accepted(evidence)
    if takes and not _is_accepted(audience, takes):
        detail = f"the token is for {audience}; the service takes {', '.join(takes)}"
        return found("audience-differs", detail, audience=audience)
    seen = answer.headers.get("www-authenticate", "no WWW-Authenticate")
    return found("token-refused", f"the token is for {audience or 'an audience not known'}; {seen}")


def _accepted(evidence: Evidence) -> tuple[str, ...]:
    """What the service takes; by its host alone where nobody knows the service.

    cloud.google.com/run/docs/configuring/custom-audiences: its own URLs, and the custom ones to the
    letter; never the URL of a tag.
    """
    service, host = evidence.service, evidence.target.host
    if service is None:
        return (f"https://{host}",) if host.endswith(".run.app") else ()
    found = (service.uri, *service.urls, *service.custom_audiences)
    return tuple(dict.fromkeys(each for each in found if each))


def _is_accepted(audience: str, takes: tuple[str, ...]) -> bool:
    """Whether it is one of them; a slash at the end counts for nothing in practice."""
    return audience in takes or audience.rstrip("/") in takes


def _is_tag(audience: str, service: Service | None) -> bool:
    """Whether it is the URL of a tagged revision."""
    tags = service.tag_urls if service is not None else ()
    return audience.rstrip("/") in tags or (
        _TAG in audience and audience.rstrip("/").endswith(".run.app")
    )


def _gateway_audience(evidence: Evidence) -> str:
    """What the gateway asks for, as far as the target's labels tell."""
    return evidence.target.meta.get("__meta_cloudrun_audience", "")


def _forbidden(answer: Answer, evidence: Evidence) -> Fault:
    """403: nobody known, or somebody who may not."""
    facts, service = evidence.facts, evidence.service
    if facts.perimeter or any(words in answer.body.lower() for words in _PERIMETER):
        return found("service-controls", facts.problem)
    if evidence.token is None and not evidence.target.gateway:
        return found("not-public", "403 without a token")
    if b"Access is forbidden" in answer.body and service and service.ingress != "all":
        return found("ingress", f"its ingress is {service.ingress}")
    who = member(identity(evidence))
    if facts.invokers is not None and (who in facts.invokers or _EVERYBODY & facts.invokers):
        return found("grant-not-in-force", f"{who} has roles/run.invoker on the service")
    return found("no-invoker", f"as {identity(evidence)}" if who else "")


def _unavailable(_answer: Answer, evidence: Evidence) -> Fault:
    """503: no instance. A service that is not ready is told by the Admin API."""
    facts, service = evidence.facts, evidence.service
    if service is None:
        return found("no-instance", facts.problem)
    if service.manual_instances == 0:
        return found("scaled-to-none")
    if not service.latest_ready_revision:
        return found("not-ready", service.failing or "none ever was")
    return found("no-instance", service.failing or facts.problem)


def _with_values(cause: str, evidence: Evidence) -> Fault:
    service = evidence.service
    if cause != "max-instances" or service is None:
        return found(cause)
    detail = f"maxInstances is {service.max_instances}" if service.max_instances else ""
    return found(cause, detail, more_instances=more_instances(service.max_instances))


def _simply(cause: str) -> Callable[[Answer, Evidence], Fault]:
    return lambda _answer, evidence: _with_values(cause, evidence)


_BY_STATUS: Mapping[int, Callable[[Answer, Evidence], Fault]] = {
    _UNAUTHORIZED: _unauthorized,
    403: _forbidden,
    404: _not_found,
    _TOO_MANY: _simply("max-instances"),
    500: _simply("start-failed"),
    502: _with_words("load-balancer"),
    503: _unavailable,
    504: _simply("request-timeout"),
}
_BY_WHO: Mapping[Who, Callable[[Answer, Evidence], Fault]] = {
    Who.HTTP_PROXY: _with_words("http-proxy-refused"),
    Who.LOAD_BALANCER: _with_words("load-balancer"),
    Who.GOOGLE: _of_google,
    Who.CLOUD_RUN: _of_cloud_run,
}
