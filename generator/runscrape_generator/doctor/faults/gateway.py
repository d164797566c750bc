"""The gateway's own answers: what it says in place of the service, in one line of text.

The status says what kind of fault it is; the words tell those of one kind apart.
"""

from __future__ import annotations

from http import HTTPStatus

from runscrape_generator.doctor.answer import first_line
from runscrape_generator.doctor.causes import Fault
from runscrape_generator.doctor.evidence import Answer, Evidence
from runscrape_generator.doctor.faults.minting import no_token

_LONGEST = 400
_WORDS: tuple[tuple[int, str, str], ...] = (
    (403, "forward proxy", "gateway-off"),
    (403, "no target", "not-in-proxy-inventory"),
    (403, "", "proxy-forwarded"),
    (400, "", "token-request-invalid"),
    (405, "", "gateway-wants-http"),
    (407, "", "wrong-secret"),
    (502, "tls", "tls-untrusted"),
    (502, "dns", "no-address"),
    (502, "did not let us through", "http-proxy-refused"),
    (502, "no connection", "no-connection"),
    (502, "broke its answer off", "broken-off"),
    (502, "closed the connection", "broken-off"),
    (503, "no inventory", "not-in-proxy-inventory"),
    (503, "scrapes", "gateway-busy"),
)
"""Status, words (in lower case; empty fits all), cause; the first that fits."""
_NO_TOKEN = "no token: "


def fault(answer: Answer, evidence: Evidence) -> Fault | None:
    """Name the cause of an answer that the gateway made itself."""
    said = first_line(answer, _LONGEST).removeprefix("runscrape-proxy: ")
    if answer.status == HTTPStatus.SERVICE_UNAVAILABLE and said.startswith(_NO_TOKEN):
        return no_token("", said.removeprefix(_NO_TOKEN))
    if answer.status == HTTPStatus.GATEWAY_TIMEOUT:
        return None  # too slow: what it took without the gateway's limit is looked at
    for status, words, cause in _WORDS:
        if answer.status == status and words in said.lower():
            known = cause != "not-in-proxy-inventory" or evidence.service is not None
            return Fault(cause if known else "not-in-inventory", said)
    return Fault("unknown", f"{answer.status} by the gateway: {said}")
