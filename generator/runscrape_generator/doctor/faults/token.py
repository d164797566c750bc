"""Faults of the token: the proxy, its credentials at Google, and what the token says of itself."""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import urlsplit

from runscrape_generator.doctor.answer import first_line
from runscrape_generator.doctor.causes import Fault
from runscrape_generator.doctor.evidence import Answer, Claims, Evidence, TokenAnswer
from runscrape_generator.doctor.faults.google import accepted
from runscrape_generator.doctor.faults.minting import no_token
from runscrape_generator.doctor.faults.network import to_proxy

_ISSUERS = {"https://accounts.google.com", "accounts.google.com"}
_MAY_BE_A_TOKEN = re.compile(r"[\w.~+=-]{32,}", re.ASCII)
_HOST_HEADER = re.compile(r"\bhost\b.*\b(name|host|known)", re.IGNORECASE)


def fault(evidence: Evidence) -> Fault | None:
    """Name what is wrong with the token, or with getting one; None where nothing is."""
    token = evidence.token
    if token is None:
        return None
    if token.token is not None:
        return _of_claims(token.claims, evidence)
    if token.minted_here:
        fault = no_token(token.error, token.description)
        known = {name: value for name, value in token.known.items() if value}
        return Fault(fault.cause, fault.detail, {**fault.values, **known})
    return _of_answer(token, evidence)


def _of_answer(token: TokenAnswer, evidence: Evidence) -> Fault:
    if not token.exchanges:
        return Fault("secret-unreadable", token.description)
    last = token.exchanges[-1]
    if last.failure is not None:
        wanted = evidence.target.token
        return to_proxy(last.failure, wanted.transport.proxy_url if wanted else "")
    answer = last.answer or Answer(0)
    if answer.status == HTTPStatus.OK and not _speaks_oauth(answer):
        return Fault("not-the-proxy", _seen(answer))
    if answer.status == HTTPStatus.OK:
        return Fault("token-answer-unusable", token.unusable or _seen(answer))
    if not token.error:
        return Fault("not-the-proxy", _seen(answer))
    return _refused(token, evidence)


def _speaks_oauth(answer: Answer) -> bool:
    return b"access_token" in answer.body


def _seen(answer: Answer) -> str:
    said = _MAY_BE_A_TOKEN.sub("…", first_line(answer))
    return f"it answers {answer.status}" + (f": {said}" if said else "")


def _refused(token: TokenAnswer, evidence: Evidence) -> Fault:
    """Tell RFC 6749's errors apart, and by their words what has the same code."""
    said = token.description
    match token.error:
        case "invalid_client" | "unauthorized_client":
            return Fault("wrong-secret", said)
        case "invalid_target":
            target = evidence.target
            audience = target.token.audience if target.token else ""
            known = audience in evidence.audiences or not evidence.audiences
            return Fault("not-in-proxy-inventory" if known else "not-in-inventory", said)
        case "invalid_request" if _HOST_HEADER.search(said):
            return Fault("proxy-host-unknown", said)
        case "invalid_request" | "unsupported_grant_type" | "invalid_scope":
            return Fault("token-request-invalid", said)
        case "access_denied":
            return Fault("proxy-forwarded", said)
    return no_token(token.error, said)


def _of_claims(claims: Claims | None, evidence: Evidence) -> Fault | None:
    if claims is None:
        return Fault("not-an-id-token", "it has not the three parts of a JWT")
    if claims.issuer not in _ISSUERS:
        return Fault("token-not-from-google", f"its issuer is {claims.issuer or 'not said'}")
    asked = evidence.target.token.audience if evidence.target.token else ""
    if asked and not _is_meant(claims.audience, asked, evidence):
        return Fault("token-for-another", f"for {claims.audience}, and {asked} was asked for")
    now = evidence.google_now
    if claims.expires_at and claims.expires_at <= now:
        ago = round(now - claims.expires_at)
        return Fault("token-expired", f"it ended {ago} s ago, by the clock of {_whose(evidence)}")
    return None


def _is_meant(audience: str, asked: str, evidence: Evidence) -> bool:
    """Whether it is another way to write what was asked for, or another name of the service."""
    return _host(audience) == _host(asked) or audience in accepted(evidence)


def _host(audience: str) -> str:
    return urlsplit(audience).hostname or audience


def _whose(evidence: Evidence) -> str:
    return "this machine" if evidence.clock_offset is None else "Google"
