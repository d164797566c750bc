"""Faults of the app: too slow, an error of its own, no metrics, metrics that Prometheus refuses."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from runscrape_generator.addresses import without_secrets
from runscrape_generator.doctor.answer import Who, first_line, redirection, who_answered
from runscrape_generator.doctor.causes import Fault, Value
from runscrape_generator.doctor.evidence import Answer, Evidence, Exchange, Failed, Samples, Stage
from runscrape_generator.doctor.http.connection import is_url
from runscrape_generator.doctor.remedies import fitting_timeout, path_values
from runscrape_generator.doctor.scrape import PROMETHEUS_3
from runscrape_generator.doctor.targets import Limits
from runscrape_generator.text import from_json, plural, printable

_BY_STATUS: Mapping[int, str] = {
    401: "app-wants-credentials",
    403: "app-forbids",
    404: "wrong-path",
    405: "wrong-path",
    410: "wrong-path",
}
KNOWN_TYPES = {
    "text/plain",
    "application/openmetrics-text",
    "application/vnd.google.protobuf",
}
"""What Prometheus 3 parses without ``fallback_scrape_protocol``."""


def fault(evidence: Evidence) -> Fault | None:
    """Name what is wrong with the app or its answer; None where Prometheus takes it."""
    scrape = evidence.scrape
    if scrape is None:
        return None
    return _of_time(scrape, evidence) or _broken_off(scrape) or _of_answer(scrape, evidence)


def _of_time(scrape: Exchange, evidence: Evidence) -> Fault | None:
    """Too slow for the scrape timeout, or no answer at all; doctor itself waits longer."""
    timeout, again = evidence.target.timeout, evidence.again
    ended = not _unfinished(scrape, evidence)
    if ended and scrape.seconds <= timeout:
        return None
    limit = f"the scrape timeout is {timeout:g} s"
    took = f"{'it took' if ended else 'no answer within'} {scrape.seconds:.1f} s"
    if again is not None and not _unfinished(again, evidence):
        detail = f"{took}, the next scrape {again.seconds:.1f} s; {limit}"
        if again.seconds <= timeout / 2:
            return Fault("cold-start", detail, {"fitting": fitting_timeout(scrape.seconds)})
        longer = max(scrape.seconds if ended else 0.0, again.seconds)
        return Fault("too-slow", detail, {"fitting": fitting_timeout(longer)})
    if not ended:
        return Fault("hangs", f"{took}; {limit}")
    return Fault("too-slow", f"{took}; {limit}", {"fitting": fitting_timeout(scrape.seconds)})


def _unfinished(made: Exchange, evidence: Evidence) -> bool:
    """Whether time ran out: for doctor, or for the gateway, which then answers 504."""
    if made.failure is not None:
        return made.failure.how is Failed.TIMEOUT
    status = made.answer.status if made.answer else 0
    return evidence.target.gateway and status == HTTPStatus.GATEWAY_TIMEOUT


def _broken_off(scrape: Exchange) -> Fault | None:
    failure = scrape.failure
    if failure is None or failure.stage not in {Stage.ANSWER, Stage.BODY}:
        return None
    return Fault("broken-off", failure.reason)


def _of_answer(scrape: Exchange, evidence: Evidence) -> Fault | None:
    answer = scrape.answer
    if answer is None:
        return None
    if answer.status == HTTPStatus.OK:
        return _of_body(answer, evidence)
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        return _redirect(answer, evidence)
    who = who_answered(answer, gateway=evidence.target.gateway)
    if who is not Who.APP:
        server = printable(answer.headers.get("server", "no Server header"))
        return Fault("unknown", f"{answer.status} by {who} ({server}): {first_line(answer)}")
    seen = f"{answer.status}: {first_line(answer)}"
    return Fault(_BY_STATUS.get(answer.status, "app-error"), seen, _working(evidence))


def _working(evidence: Evidence) -> Mapping[str, Value]:
    """Name the first path that was tried and gave metrics."""
    path = next((probe.path for probe in evidence.probes if probe.metrics), "")
    tried = "" if evidence.probes else " (doctor --probe-paths tries the usual paths)"
    return path_values(path, tried)


def _redirect(answer: Answer, evidence: Evidence) -> Fault:
    meant = redirection(answer, evidence.target.url)
    own = urlsplit(meant).hostname == evidence.target.host
    path = urlsplit(meant).path if own else ""
    shown = printable(without_secrets(meant)[:200])
    detail = f"{answer.status} to {shown or 'nowhere'}"
    if path == evidence.target.path:
        path = ""  # only the scheme or the query differs
    if evidence.target.follow_redirects and is_url(meant):
        detail += "; Prometheus goes there with the token"
    return Fault("redirect", detail, {"location": shown, **path_values(path)})


def _of_body(answer: Answer, evidence: Evidence) -> Fault | None:
    """In Prometheus' order: the size, what it is, its lines, then limits."""
    limits, samples = evidence.target.limits, evidence.samples
    if limits.body_bytes and len(answer.body) >= limits.body_bytes:
        detail = f"{len(answer.body)} bytes, and body_size_limit is {limits.body_bytes}"
        return Fault("body-too-large", detail, {"size": str(len(answer.body))})
    if kind := _other_kind(answer):
        detail = f"{kind}: {first_line(answer)}"
        return Fault("not-metrics", detail, _working(evidence))
    if lacks_content_type(answer, evidence) and evidence.prometheus_version >= PROMETHEUS_3:
        return Fault("no-content-type", _content_type(answer))
    return _of_samples(samples, limits) if samples is not None else None


def _of_samples(samples: Samples, limits: Limits) -> Fault | None:
    if samples.malformed:
        return Fault("malformed", samples.malformed)
    if limits.samples and samples.count > limits.samples:
        detail = f"{plural(samples.count, 'sample')}, and sample_limit is {limits.samples}"
        return Fault("too-many-samples", detail, {"count": str(samples.count)})
    return Fault("labels-over-limit", samples.too_long) if samples.too_long else None


def lacks_content_type(answer: Answer, evidence: Evidence) -> bool:
    """Whether Prometheus 3 would not know what to take the answer for."""
    return answer.content_type not in KNOWN_TYPES and not evidence.target.fallback


def _content_type(answer: Answer) -> str:
    said = answer.headers.get("content-type")
    return f"Content-Type is {printable(said)}" if said else "no Content-Type at all"


def _other_kind(answer: Answer) -> str:
    """Tell a page or JSON from metrics; empty where it may be metrics."""
    start = answer.body.lstrip()[:1]
    if start == b"<":
        return "a page"
    if start not in {b"{", b"["}:
        return ""
    try:
        from_json(answer.body)
    except ValueError:
        return ""
    return "JSON"
