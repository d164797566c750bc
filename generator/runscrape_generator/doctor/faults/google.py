"""Faults that Google answers with before the app sees the request, or in place of its answer.

Several causes have the same answer: what the Admin API says of the service tells them apart.
cloud.google.com/run/docs/troubleshooting has what each status may mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from runscrape_generator.doctor.answer import Who, first_line, who_answered
from runscrape_generator.doctor.causes import Fault
from runscrape_generator.doctor.evidence import Answer, Evidence
from runscrape_generator.doctor.faults import gateway
from runscrape_generator.doctor.remedies import identity, member
from runscrape_generator.model import Service

_RESERVED = re.compile(r"/(healthz|eventlog|_ah/.*|.*z)")
_PERIMETER = (b"vpcservicecontrols", b"prohibited by organization's policy")
_EVERYBODY = {"allUsers", "allAuthenticatedUsers"}
_SIGN_IN = "https://accounts.google.com/"
_PLAIN: tuple[tuple[int, bytes, str], ...] = (
    (429, b"Rate exceeded", "max-instances"),
    (503, b"HTTP response was malformed or connection to the instance had an error", "crashed"),
    (503, b"upstream connect error", "crashed"),
    (504, b"upstream request timeout", "request-timeout"),
)
"""Answers of Cloud Run's that are no page: status, words, cause."""
_PAGES: Mapping[int, str] = {429: "max-instances", 500: "start-failed", 504: "request-timeout"}
"""Pages of Cloud Run's that have one cause, by status."""
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
        return Fault("iap-agent", "IAP let the request pass, and Cloud Run refused it")
    for status, words, cause in _PLAIN:
        if answer.status == status and words in answer.body:
            return _of_instances(cause, evidence)
    return _by_server(who, answer, evidence)


def _by_server(who: Who, answer: Answer, evidence: Evidence) -> Fault | None:
    """Name the cause by the server that made the answer."""
    said = f"{answer.status}: {first_line(answer)}"
    match who:
        case Who.HTTP_PROXY:
            return Fault("http-proxy-refused", said)
        case Who.LOAD_BALANCER:
            return Fault("load-balancer", said)
        case Who.GOOGLE:
            return _of_google(answer, evidence)
        case Who.CLOUD_RUN:
            return _of_cloud_run(answer, evidence)
    return None


def _is_after_iap(answer: Answer, evidence: Evidence) -> bool:
    """Whether it is Cloud Run's 401 for IAP's own token, which has no page and no mark of IAP."""
    service = evidence.service
    if service is None or not service.iap_enabled or answer.status != HTTPStatus.UNAUTHORIZED:
        return False
    return "invalid_token" in answer.headers.get("www-authenticate", "")


def _of_google(answer: Answer, evidence: Evidence) -> Fault:
    if _RESERVED.fullmatch(evidence.target.path):
        return Fault("reserved-path", f"{evidence.target.path} answers {answer.status}")
    return Fault("not-served", "the Google Front End knows no such host, or keeps the path")


def _of_iap(answer: Answer, evidence: Evidence) -> Fault:
    said = first_line(answer)
    if answer.status == HTTPStatus.FORBIDDEN:
        return Fault("iap-no-access", said)
    audience = evidence.token.claims.audience if evidence.token and evidence.token.claims else ""
    sent = f"the token is for {audience}" if audience else "no token was sent"
    return Fault("iap", f"{answer.status}; {sent}" + (f"; {said}" if said else ""))


def _of_cloud_run(answer: Answer, evidence: Evidence) -> Fault:
    """Name the cause of one of Cloud Run's own pages."""
    said = first_line(answer)
    match answer.status:
        case 401:
            return _unauthorized(answer, evidence)
        case 403:
            return _forbidden(answer, evidence)
        case 404:
            return _not_found(evidence)
        case 502:
            return Fault("load-balancer", f"502: {said}")
        case 503:
            return _unavailable(evidence)
    cause = _PAGES.get(answer.status)
    unknown = Fault("unknown", f"{answer.status} by Cloud Run's front end: {said}")
    return _of_instances(cause, evidence) if cause else unknown


def _of_instances(cause: str, evidence: Evidence) -> Fault:
    most = evidence.service.max_instances if evidence.service else 0
    said = f"maxInstances is {most}" if cause == "max-instances" and most else ""
    return Fault(cause, said)


def _not_found(evidence: Evidence) -> Fault:
    """404: the host leads nowhere, whatever the credentials."""
    facts, service, target = evidence.facts, evidence.service, evidence.target
    if facts.listed and facts.service is None:
        return Fault("service-gone", "{}/{}/{} is not listed any more".format(*target.place))
    if service is None:
        return Fault("not-served", facts.problem)
    return _hidden(service, evidence)


def _hidden(service: Service, evidence: Evidence) -> Fault:
    """Say why a service that exists is not served at the target's host."""
    facts, target = evidence.facts, evidence.target
    urls = (service.uri, *service.urls, *service.tag_urls)
    hosts = {urlsplit(url).hostname for url in urls if url}
    own = target.host in hosts or target.host.endswith(".run.app")
    if service.default_uri_disabled and own:
        return Fault("default-url-disabled")
    if service.ingress != "all":
        return Fault("ingress", f"its ingress is {service.ingress}")
    if facts.perimeter:
        return Fault("service-controls", facts.problem)
    if facts.service is not None and own and target.host not in hosts:
        return Fault("address-differs", f"{target.host}, and the service's URL is {service.uri}")
    return Fault("not-served", facts.problem or "the Admin API says that it is open to all")


def _unauthorized(answer: Answer, evidence: Evidence) -> Fault:
    """401: a token that Cloud Run does not take; it does not say why."""
    token, service = evidence.token, evidence.service
    if _sends_no_token(evidence):
        return Fault("not-public", "401 without a token")
    audience = token.claims.audience if token and token.claims else _gateway_audience(evidence)
    if _is_tag(audience, service):
        return Fault("audience-is-tag", f"the token is for {audience}")
    takes = accepted(evidence)
    if takes and not _is_accepted(audience, takes):
        detail = f"the token is for {audience}; the service takes {', '.join(takes)}"
        return Fault("audience-differs", detail, {"audience": audience})
    seen = answer.headers.get("www-authenticate", "no WWW-Authenticate")
    return Fault("token-refused", f"the token is for {audience or 'an audience not known'}; {seen}")


def _sends_no_token(evidence: Evidence) -> bool:
    """Whether the scrape is one of a public service; the gateway goes by its inventory."""
    if not evidence.target.gateway:
        return evidence.token is None
    return evidence.target.meta.get("__meta_cloudrun_invoker_iam_disabled") == "true"


def accepted(evidence: Evidence) -> tuple[str, ...]:
    """What the service takes; for a service that is not known, what its host tells.

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
    """403: no identity, or one that may not call the service."""
    facts, service = evidence.facts, evidence.service
    if facts.perimeter or any(words in answer.body.lower() for words in _PERIMETER):
        return Fault("service-controls", facts.problem)
    if _sends_no_token(evidence):
        return Fault("not-public", "403 without a token")
    if b"Access is forbidden" in answer.body and service and service.ingress != "all":
        return Fault("ingress", f"its ingress is {service.ingress}")
    who = member(identity(evidence))
    if facts.invokers is not None and (who in facts.invokers or _EVERYBODY & facts.invokers):
        return Fault("grant-not-in-force", f"{who} has roles/run.invoker on the service")
    return Fault("no-invoker", f"as {identity(evidence)}" if who else "")


def _unavailable(evidence: Evidence) -> Fault:
    """503: no instance. A service that is not ready is told by the Admin API."""
    facts, service = evidence.facts, evidence.service
    if service is None:
        return Fault("no-instance", facts.problem)
    if service.manual_instances == 0:
        return Fault("scaled-to-none")
    if not service.latest_ready_revision:
        return Fault("not-ready", service.failing or "none ever was")
    return Fault("no-instance", service.failing or facts.problem)
