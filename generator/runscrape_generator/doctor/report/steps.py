"""One target step by step, as Prometheus goes: each step with a tick or a cross, and its time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from runscrape_generator.addresses import without_secrets
from runscrape_generator.doctor.answer import first_line, who_answered
from runscrape_generator.doctor.causes import Finding
from runscrape_generator.doctor.diagnose import Diagnosis
from runscrape_generator.doctor.evidence import Evidence, Exchange, Stage, TokenAnswer
from runscrape_generator.doctor.report.layout import Layout
from runscrape_generator.text import plural, printable

_NAME = 11
_MARKS: Mapping[bool | None, tuple[str, str | None]] = {
    True: ("\N{CHECK MARK}", "green"),
    False: ("\N{BALLOT X}", "red"),
    None: ("\N{MIDDLE DOT}", None),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A step: what it is called, what it showed, how long it took (seconds), whether it is good."""

    name: str
    text: str
    seconds: float | None = None
    good: bool | None = True
    """None where it was not reached."""


def steps(evidence: Evidence) -> tuple[Line, ...]:
    """Give every step that there is for a target, taken or not."""
    target = evidence.target
    found = [*_token_lines(evidence)]
    scrape = evidence.scrape
    if scrape is None:
        return (*found, Line("scrape", without_secrets(target.url) or "no URL", good=None))
    found += _way_lines(scrape)
    found += _answer_lines(scrape, evidence)
    if evidence.again is not None:
        found.append(_request("once more", "", evidence.again))
    return (*found, *_other_lines(evidence))


def page(diagnosis: Diagnosis, layout: Layout) -> str:
    """Show the steps of one target, then what is wrong with it and what to do."""
    target = diagnosis.evidence.target
    project, region, name = target.place
    where = f" ({region}, {project})" if name else ""
    title = printable(f"{target.name}{where}, job {target.job}")
    lines = [layout.style(title, bold=True), ""]
    for step in steps(diagnosis.evidence):
        lines += _line(step, layout)
    lines.append("")
    for found in (*filter(None, (diagnosis.cause,)), *diagnosis.warnings):
        lines += [*_finding(found, layout), ""]
    return "\n".join(lines) + "\n"


def _line(step: Line, layout: Layout) -> Iterator[str]:
    mark, colour = _MARKS[step.good]
    took = f" ({_span(step.seconds)})" if step.seconds is not None else ""
    text = f"{step.name:<{_NAME}}{printable(step.text)}{took}".rstrip()
    first, *rest = layout.wrapped(text, 4, _NAME)
    yield f"  {layout.style(mark, fg=colour)} {first.lstrip()}"
    yield from rest
    for line in layout.wrapped(_ABOUT.get(step.name, ""), 4 + _NAME):
        yield layout.style(line, dim=True)


_ABOUT = {
    "proxy": "Prometheus asks the proxy for a token, with the client's secret, once for each job.",
    "token": "An ID token of Google's: Cloud Run looks at its audience, then at whose it is.",
    "DNS": "The address of the service, or of the HTTP proxy on the way (proxy_url).",
    "tunnel": "The HTTP proxy on the way lets the connection through to the service.",
    "TLS": "The certificate is for this host, and of an authority that the job trusts.",
    "answer": "Google checks host, path, ingress, IAP, token and role, in this order; then the app "
    "answers.",
    "samples": "Read as Prometheus reads them: for one bad line it drops them all.",
    "once more": "Counters that fall from one scrape to the next show several instances.",
    "Admin API": "What Google says of the service tells apart what has the same answer.",
    "Prometheus": "What the running Prometheus says of this target.",
}
"""What a step is for, by its name."""


def _span(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _finding(found: Finding, layout: Layout) -> Iterator[str]:
    colour = "yellow" if found.cause.warning else "red"
    yield layout.style(f"{found.cause.name}: {found.cause.title}", fg=colour)
    if found.detail:
        yield from layout.wrapped(f"seen: {found.detail}", 2, 2)
    yield from layout.wrapped(f"do: {found.remedy}", 2, 4)
    for words in found.commands:
        yield from layout.command(words, 4)


def _token_lines(evidence: Evidence) -> Iterator[Line]:
    token, wanted = evidence.token, evidence.target.token
    if wanted is None:
        how = "the gateway gets it" if evidence.target.gateway else "none: the service is public"
        yield Line("token", how)
        return
    if token is None:
        yield Line("token", without_secrets(f"{wanted.audience} at {wanted.url}"), good=None)
        return
    for made in token.exchanges:
        yield _request("proxy", f"POST {made.url} ", made)
    if token.token is None:
        yield Line("token", _refusal(token), good=False)
    else:
        yield Line("token", _claims(token, evidence.google_now))


def _request(name: str, start: str, made: Exchange) -> Line:
    """Say how a request went: its status, or why it has none."""
    if made.failure is not None:
        said = f"{made.failure.stage}: {made.failure.reason}"
        return Line(name, start + said, made.seconds, good=False)
    status = made.answer.status if made.answer else 0
    return Line(name, f"{start}answers {status}", made.seconds, status == HTTPStatus.OK)


def _refusal(token: TokenAnswer) -> str:
    said = ": ".join(filter(None, (token.error, token.description or token.unusable)))
    return said or "none"


def _claims(token: TokenAnswer, now: float) -> str:
    """Say whose token it is, for what and for how long; nothing that lets anybody use it."""
    claims = token.claims
    if claims is None:
        return "not an ID token"
    left = claims.expires_at - now
    until = f"{left / 60:.0f} min left" if left > 0 else "it has ended"
    by = f", issued by {claims.issuer}"
    return f"as {claims.identity or 'nobody named'}, for {claims.audience}, {until}{by}"


def _way_lines(scrape: Exchange) -> Iterator[Line]:
    for step in scrape.steps:
        if step.stage in {Stage.ANSWER, Stage.BODY}:
            continue
        failed = scrape.failure is not None and scrape.failure.stage is step.stage
        yield Line(step.stage.value, step.text, step.seconds, not failed)


def _answer_lines(scrape: Exchange, evidence: Evidence) -> Iterator[Line]:
    taken = {step.stage: step for step in scrape.steps}
    step, answer, path = taken.get(Stage.ANSWER), scrape.answer, evidence.target.path
    if step is None or answer is None:
        text = f"GET {path}: {step.text}" if step else f"GET {path}"
        seconds = step.seconds if step else None
        yield Line("answer", text, seconds, good=False if step else None)
        yield Line("samples", "", good=None)
        return
    who = who_answered(answer, gateway=evidence.target.gateway)
    said = f"GET {path}: {answer.status} by {who}"
    if answer.status != HTTPStatus.OK:
        said = f"{said}: {first_line(answer)}"
    yield Line("answer", said, step.seconds, answer.status == HTTPStatus.OK)
    yield _samples(scrape, evidence, taken[Stage.BODY].seconds if Stage.BODY in taken else None)


def _samples(scrape: Exchange, evidence: Evidence, seconds: float | None) -> Line:
    samples, answer = evidence.samples, scrape.answer
    if samples is None or answer is None:
        if scrape.failure is not None:
            return Line("samples", scrape.failure.reason, good=False)
        return Line("samples", "", good=None)
    kind = answer.content_type or "no Content-Type"
    if samples.malformed:
        return Line("samples", f"{samples.malformed}, {kind}", seconds, good=False)
    said = f"{plural(samples.count, 'sample')}, {len(answer.body)} bytes, {kind}"
    return Line("samples", said, seconds)


def _other_lines(evidence: Evidence) -> Iterator[Line]:
    """What the Admin API and Prometheus say."""
    facts, seen = evidence.facts, evidence.seen
    for probe in evidence.probes:
        said = "metrics" if probe.metrics else "no metrics"
        yield Line("tried", f"{probe.path}: {probe.status}, {said}", good=probe.metrics or None)
    if facts.service is not None:
        service = facts.service
        ready = service.latest_ready_revision or "none is ready"
        said = f"revision {ready}, ingress {service.ingress}"
        yield Line("Admin API", said, good=bool(service.latest_ready_revision))
    elif facts.listed:
        yield Line("Admin API", "the service is not listed", good=False)
    elif facts.problem:
        yield Line("Admin API", f"not asked: {facts.problem}", good=None)
    if seen is not None:
        said = seen.health or "it does not have this target"
        said += f", {seen.age:.0f} s ago" if seen.age is not None else ""
        said += f": {seen.last_error}" if seen.last_error else ""
        yield Line("Prometheus", said, good=seen.health == "up")
