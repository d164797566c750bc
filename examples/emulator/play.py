"""Plays an issuer's answer: after its latency, with its faults, counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from emulator.errors import oauth_error, of_http
from emulator.faults import IssuerFault, fired
from emulator.state import State
from emulator.wire import Answer, Drop, Hang, Response, outcome


def play(state: State, kind: str, audience: str, answer: Callable[[], Response]) -> Answer:
    """Answer as *kind*, after the latency and with the faults that the world asks for; count it."""
    if audience:
        state.counts.add("requests", kind, audience)
    faults = [fault for fault in state.world.faults.issuers if fault.matches(kind, audience)]
    latency, fault = fired(faults)
    with state.counts.running(kind):
        state.wait(latency)
        given = _played(kind, fault, answer)
    state.counts.add("issuers", kind, outcome(given))
    return given


def _played(kind: str, fault: IssuerFault | None, answer: Callable[[], Response]) -> Answer:
    if fault is None:
        return answer()
    if fault.hang or fault.drop:
        return Hang() if fault.hang else Drop()
    if fault.garbage:
        page = b"<!doctype html><title>Sign in</title>"
        return Response(200, page, (("Content-Type", "text/html"),))
    if fault.status:
        return _failure(kind, fault.status)
    return dataclasses.replace(answer(), drip=fault.drip, close=True)


def _failure(kind: str, status: int) -> Response:
    if kind in ("service_account", "authorized_user", "sts"):
        error = "internal_failure" if status >= 500 else "invalid_grant"
        return oauth_error(error, f"The emulator was asked for HTTP status {status}.", status)
    plain = of_http(status).response()
    return Response(status, plain.body, plain.headers)
