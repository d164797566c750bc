"""Which header fields cross the gateway: few inwards, all but the hop's own on the way back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PASSED_ON: Final = {
    "Accept": "HTTP_ACCEPT",
    "Accept-Encoding": "HTTP_ACCEPT_ENCODING",
    "User-Agent": "HTTP_USER_AGENT",
    "X-Prometheus-Scrape-Timeout-Seconds": "HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS",
}
"""What a scrape says of itself. Nothing else goes along with our identity: some servers take a
method, a host or a user from headers."""

# RFC 9110, section 7.6.1, and what frames a message (RFC 9112, section 6), which is each hop's own.
_OF_THE_HOP: Final = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_OF_THE_SERVER: Final = frozenset({"date", "server"})  # gunicorn writes these
_FIELD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def outgoing(environ: Mapping[str, object]) -> dict[str, str]:
    """What of a request goes on to the service; credentials are for the caller to add."""
    dropped = _named_by(str(environ.get("HTTP_CONNECTION", "")))
    return {
        name: str(environ[key])
        for name, key in PASSED_ON.items()
        if key in environ and name.lower() not in dropped
    }


def returning(headers: Iterable[tuple[str, str]], length: int | None) -> list[tuple[str, str]]:
    """What of an answer goes back; ``length`` in bytes where it is known, else it is chunked."""
    pairs = list(headers)
    connection = ",".join(value for name, value in pairs if name.lower() == "connection")
    dropped = _OF_THE_HOP | _OF_THE_SERVER | _named_by(connection)
    passed = [
        (name, value)
        for name, value in pairs
        if name.lower() not in dropped and _FIELD.fullmatch(name) and _VALUE.fullmatch(value)
    ]
    if length is not None:
        passed.append(("Content-Length", str(length)))
    return passed


def credentials(environ: Mapping[str, object]) -> str | None:
    """What the client shows us: Proxy-Authorization, or else Authorization.

    vmagent sends the former twice; the same twice is one.
    """
    shown = environ.get("HTTP_PROXY_AUTHORIZATION")
    if shown is None:
        own = environ.get("HTTP_AUTHORIZATION")
        return None if own is None else str(own)
    different = {value.strip() for value in str(shown).split(",")}
    return different.pop() if len(different) == 1 else str(shown)


def _named_by(connection: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in connection.split(","))
