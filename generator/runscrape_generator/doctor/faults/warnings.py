"""What is worth a look, whether the target is up or not."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from runscrape_generator.addresses import without_secrets
from runscrape_generator.doctor import samples as reading
from runscrape_generator.doctor.causes import Fault
from runscrape_generator.doctor.evidence import Evidence
from runscrape_generator.doctor.faults.app import lacks_content_type
from runscrape_generator.doctor.remedies import USUAL_MAXIMUM, fitting_timeout
from runscrape_generator.doctor.scrape import PROMETHEUS_3

_CLOCK_TOLERATED = 30.0
"""Seconds; a Date has whole seconds, and an answer takes time."""
_EXPIRY_DELTA = 10
"""Seconds before its end in which x/oauth2 no longer uses a token."""


def faults(evidence: Evidence) -> Iterator[Fault]:
    """Give every warning, in no order."""
    yield from _of_service(evidence)
    yield from _of_token(evidence)
    yield from _of_scrape(evidence)
    if evidence.samples is not None and not evidence.samples.malformed:
        yield from _of_samples(evidence)


def _of_service(evidence: Evidence) -> Iterator[Fault]:
    service = evidence.service
    if service is None:
        return
    newest, ready = service.newest_revision, service.latest_ready_revision
    if ready and newest and newest != ready and service.failing:
        detail = f"{newest}: {service.failing}; {ready} serves"
        yield Fault("update-failed", detail, {"revision": newest})
    by_hand = service.manual_instances
    if by_hand is not None and by_hand > 1:
        yield Fault("many-instances", f"{by_hand} instances, by manual scaling")
    elif by_hand is None and service.max_instances != 1:
        said = service.max_instances or f"not set, so {USUAL_MAXIMUM}"
        yield Fault("many-instances", f"maxInstances is {said}")
    if by_hand is None and service.min_instances == 0:
        yield Fault("scales-to-zero")


def _of_token(evidence: Evidence) -> Iterator[Fault]:
    token = evidence.token
    if token is None or token.token is None or token.minted_here:
        return
    if len(token.exchanges) > 1:
        yield Fault("secret-in-body-only")
    if not token.expires_in:
        yield Fault("token-kept-for-ever")
    elif token.expires_in <= _EXPIRY_DELTA:
        yield Fault("token-too-short", f"expires_in is {token.expires_in:g}")


def _of_scrape(evidence: Evidence) -> Iterator[Fault]:
    ca_file = evidence.target.transport.ca_file
    if ca_file is not None and not ca_file.is_file():
        yield Fault("ca-file-missing", str(ca_file), {"ca_file": str(ca_file)})
    if first := evidence.target.redirected_from:
        way = f"from {first} to {evidence.target.url}"
        yield Fault("redirect-followed", without_secrets(way))
    off = evidence.clock_offset
    if off is not None and abs(off) > _CLOCK_TOLERATED:
        side = "behind" if off > 0 else "ahead"
        yield Fault("clock-off", f"it is {abs(off):.0f} s {side}")
    scrape, timeout = evidence.scrape, evidence.target.timeout
    if scrape and scrape.failure is None and timeout / 2 < scrape.seconds <= timeout:
        detail = f"it took {scrape.seconds:.1f} s of {timeout:g} s"
        yield Fault("near-timeout", detail, {"fitting": fitting_timeout(scrape.seconds)})


def _of_samples(evidence: Evidence) -> Iterator[Fault]:
    samples, again = evidence.samples, evidence.samples_again
    answer = evidence.scrape.answer if evidence.scrape else None
    if samples is None or answer is None or answer.status != HTTPStatus.OK:
        return
    if again is not None and (jump := reading.went_back(samples, again)):
        yield Fault("counters-jump", jump)
    if samples.duplicate:
        yield Fault("duplicate-samples", samples.duplicate)
    if samples.skewed:
        yield Fault("timestamps-off", samples.skewed)
    if samples.count == 0:
        yield Fault("no-samples")
    if lacks_content_type(answer, evidence) and evidence.prometheus_version < PROMETHEUS_3:
        yield Fault("content-type-for-3")
