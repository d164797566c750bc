"""What a scrape through the gateway may look like: read strictly, or refused.

A front end between us and the app may decode, merge or cut a path in another way than we do. So
whatever has two readings is refused, unless the inventory names just that path, and what is let
through goes out as it came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from runscrape_proxy.errors import ScrapeError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORT: Final = 80
"""What http means without a port; it stands for the 443 of the target."""

MAX_NAME: Final = 253
DEFAULT_SECONDS: Final = 10.0
"""Prometheus' default scrape_timeout, for clients that tell none."""
MAX_SECONDS: Final = 600.0
SPARE_SECONDS: Final = 0.5
"""Kept of the scrape timeout, so that our answer with the reason is there before it ends."""

# RFC 3986, section 3.3 and 3.4, with percent-encoding judged apart.
_PATH = r"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*"
_QUERY = r"[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*"
_TARGET = re.compile(rf"http://(?P<authority>[^/?#]*)(?P<path>{_PATH})?(?P<query>\?{_QUERY})?")
_AUTHORITY = re.compile(r"(?P<host>[A-Za-z0-9_.-]+)(?::(?P<port>[1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Encoded: controls, space, # % . / ; ? \ and DEL. Nobody has to encode the dot, and each of the
# others has ended a path, or begun another, in some front end.
_TWO_READINGS = re.compile(r"%(?:[01][0-9A-F]|2[035EF]|3[BF]|5C|7F)", re.IGNORECASE)
_DOTS = {".", ".."}
_SECONDS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class ScrapeRequest:
    """One scrape: ``host`` in lower case, ``target`` is path and query as given."""

    host: str
    port: int
    path: str
    target: str
    seconds: float
    """How long all of it may take."""


def parse(environ: Mapping[str, object]) -> ScrapeRequest:
    """Read a WSGI request whose request line names another host.

    Raises ScrapeError: 400, 405 or 505.
    """
    if environ["REQUEST_METHOD"] == "CONNECT":
        # All that Prometheus, and Go in general, show of a refused CONNECT is its status line.
        why = "targets need http: use runscrape targets --mode gateway"
        raise ScrapeError(HTTPStatus.METHOD_NOT_ALLOWED, why, {"Allow": "GET"}, phrase=why)
    if environ["REQUEST_METHOD"] != "GET":
        raise ScrapeError(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "only GET goes through the gateway: set scheme: http in the job (not https), the"
            " gateway itself makes it https",
            {"Allow": "GET"},
        )
    if environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        # Without chunks, a body that breaks off could look whole.
        raise ScrapeError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "the gateway speaks HTTP/1.1")
    if environ.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ:
        raise _bad("a scrape has no body")
    match = _TARGET.fullmatch(str(environ["RAW_URI"]))
    if match is None:
        raise _bad("the request line is not GET http://HOST/PATH in the characters of RFC 3986")
    host, port = _host_and_port(match["authority"], "the request line")
    if _host_and_port(str(environ.get("HTTP_HOST", "")), "the Host header") != (host, port):
        raise _bad("the Host header disagrees with the request line")
    path, query = match["path"] or "/", match["query"] or ""
    if _BAD_ESCAPE.search(path):
        raise _bad("the path has a % that encodes nothing")
    if _BAD_ESCAPE.search(query):
        raise _bad("the query has a % that encodes nothing")
    told = environ.get("HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS")
    return ScrapeRequest(host, port, path, path + query, seconds_for(told))


def seconds_for(told: object) -> float:
    """How long a scrape may take whose client told this scrape timeout (or None, or nonsense)."""
    text = str(told)
    timeout = min(float(text), MAX_SECONDS) if _SECONDS.fullmatch(text) else DEFAULT_SECONDS
    return max(timeout - SPARE_SECONDS, timeout / 2)


def two_readings(path: str) -> str:
    """Say what of a path two programs may read in two ways; empty for nothing."""
    if _TWO_READINGS.search(path):
        return "the path has something encoded that a front end may read in another way"
    if "//" in path:
        return "the path has an empty segment"
    # ..;x= is .. to servers that cut parameters off.
    if any(segment.partition(";")[0] in _DOTS for segment in path.split("/")):
        return "the path has a dot segment"
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return "the path is not UTF-8 once decoded"
    return ""


def is_name(host: str) -> bool:
    """Say whether ``host`` is a name of DNS in lower case, and nothing that reads as an address.

    A last label that is a number makes it an IPv4 address to many (WHATWG URL, section 3.5).
    """
    labels = host.split(".")
    return (
        len(host) <= MAX_NAME
        and all(map(_LABEL.fullmatch, labels))
        and not _NUMBER.fullmatch(labels[-1])
    )


def _host_and_port(authority: str, where: str) -> tuple[str, int]:
    match = _AUTHORITY.fullmatch(authority)
    host = match["host"].lower() if match else ""
    if match is None or not is_name(host):
        raise _bad(f"{where} does not name a host: no address, user or odd character is taken")
    return host, int(match["port"] or DEFAULT_PORT)


def _bad(reason: str) -> ScrapeError:
    return ScrapeError(HTTPStatus.BAD_REQUEST, reason)
