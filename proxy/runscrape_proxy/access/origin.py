"""Where a request comes from: only from a client of ours, by a name of ours, and directly."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runscrape_proxy.errors import Forbidden, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared with, never bound

_FORWARDED = {
    "HTTP_X_FORWARDED_FOR": "X-Forwarded-For",
    "HTTP_FORWARDED": "Forwarded",
    "HTTP_VIA": "Via",
    "HTTP_ORIGIN": "Origin",
}


@dataclass(frozen=True, slots=True)
class Origins:
    """What counts as a client of ours that comes straight to us.

    ``names`` are the host names (lower case) under which we are reached, beside the loopback ones
    and the address of the listener. A page on the web can have a host name of its own resolve to
    127.0.0.1 and then read our answers, but its requests carry that name. An IP address cannot be
    rebound so: on a wildcard listener each is taken as the machine's own.

    ``open_allowed`` says that a listener on other addresses than loopback may answer, which it may
    where there is a client secret.
    """

    names: frozenset[str] = frozenset()
    open_allowed: bool = False

    def check(self, environ: Mapping[str, object]) -> None:
        """Check one request.

        Raises Forbidden for a forwarded or cross-origin one, or one on an open listener;
        InvalidRequest for a foreign Host.
        """
        self.check_way(environ)
        if environ.get("REMOTE_ADDR"):
            self._check_host(environ, str(environ["SERVER_NAME"]))

    @staticmethod
    def is_open(environ: Mapping[str, object]) -> bool:
        """Say whether others than this machine's own processes reach the listener of a request."""
        # Gunicorn gives a Unix socket's peer no address, and the Host as SERVER_NAME.
        return bool(environ.get("REMOTE_ADDR")) and not is_loopback(str(environ["SERVER_NAME"]))

    def check_way(self, environ: Mapping[str, object]) -> None:
        """Check how one request came, and not what it names.

        Raises Forbidden for a forwarded or cross-origin one, or one on an open listener.
        """
        _check_forwarded(environ)
        if not self.open_allowed and self.is_open(environ):
            raise Forbidden(
                f"runscrape-proxy answers on {environ['SERVER_NAME']} only with"
                " --client-secret-file set"
            )

    def is_named_by(self, environ: Mapping[str, object], *, exactly: bool) -> bool:
        """Say whether a request line with a whole URL means us (RFC 9112, section 3.2.2).

        ``exactly`` wants our port in it; else it may have none, as a Host header may.
        """
        authority = _authority(str(environ["RAW_URI"]))
        host = host_of(authority)
        # On a Unix socket, SERVER_NAME is what the client says.
        ours = environ["SERVER_NAME"] if environ.get("REMOTE_ADDR") else "localhost"
        known = host in self.names or host == ours or is_loopback(host)
        port = authority.partition("]")[2] if "]" in authority else authority
        given = port.partition(":")[2]
        return known and (given == environ["SERVER_PORT"] or not (given or exactly))

    def _check_host(self, environ: Mapping[str, object], listener: str) -> None:
        host = environ.get("HTTP_HOST")
        if host is None and environ.get("SERVER_PROTOCOL") != "HTTP/1.0":
            raise InvalidRequest("the request has no Host header")  # RFC 9112, section 3.2
        if host is not None and not self._is_own(str(host), listener):
            raise InvalidRequest(
                "the Host header names another host: use the address that runscrape-proxy"
                " listens on, or start it with --allowed-host"
            )
        target = str(environ.get("RAW_URI", "/"))
        if not target.startswith(("/", "*")) and not self._is_own(_authority(target), listener):
            raise InvalidRequest("the request line names another host: this is no forward proxy")

    def _is_own(self, authority: str, listener: str) -> bool:
        host = host_of(authority)
        return (
            host in self.names
            or host == listener
            or is_loopback(host)
            or (listener in WILDCARDS and is_address(host))
        )


def _check_forwarded(environ: Mapping[str, object]) -> None:
    for key, name in _FORWARDED.items():
        if key in environ:
            raise Forbidden(
                f"requests with a {name} header are refused: Prometheus must reach"
                " runscrape-proxy directly, not through a proxy, an ingress or a web page"
            )


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Say whether ``host`` (a name or an IP address without brackets) never leaves the machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """Say whether ``host`` is an IP address, without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _authority(target: str) -> str:
    try:
        return urlsplit(target).netloc
    except ValueError:
        return ""


@lru_cache(maxsize=256)
def host_of(authority: str) -> str:
    """Return the host of ``host``, ``host:port`` or ``[v6]:port``; empty for anything else."""
    if authority.startswith("["):
        host, bracket, port = authority[1:].partition("]")
        plain = bool(bracket and re.fullmatch(r"(:\d*)?", port, re.ASCII))
    else:
        host, _, port = authority.partition(":")
        plain = not port or (port.isascii() and port.isdigit())
    return host.lower().removesuffix(".") if plain else ""
