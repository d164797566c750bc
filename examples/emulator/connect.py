"""The HTTP CONNECT proxy that stands for the internet: TLS for every host of the world."""

from __future__ import annotations

import ssl
import threading
from pathlib import Path

import trustme

from emulator.api import Api
from emulator.regions import REGIONS
from emulator.state import State
from emulator.wire import Answer, Handler, Request, Response, Tunnel

RUN_API = "run.googleapis.com"
GOOGLE_HOSTS = (
    "cloudasset.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "iamcredentials.googleapis.com",
    "oauth2.googleapis.com",
    "sts.googleapis.com",
    "www.googleapis.com",
)
_WILDCARDS = {
    "*.a.run.app",
    "*.cloudfunctions.net",
    *(f"*.{region}.run.app" for region in REGIONS),
}


class Proxy:
    """Ends TLS itself for the hosts it knows; refuses the rest as a corporate proxy would."""

    def __init__(
        self, state: State, directory: Path, google: Handler, api: Api, services: Handler
    ) -> None:
        self._state = state
        self._google = google
        self._api = api
        self._services = services
        self._authority = trustme.CA()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()
        self.ca_file = directory / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca_file))

    def handle(self, request: Request) -> Answer:
        """Answer CONNECT; other methods are refused."""
        host, _, port = request.target.lower().rpartition(":")
        if request.method != "CONNECT" or port != "443":
            self._state.counts.add("proxy", "refused", request.target)
            return Response(403, b"only CONNECT to port 443 is allowed\n", close=True)
        if host == RUN_API:
            self._state.counts.add("proxy", "accepted", host)
            context = self._context(host, "h2", "http/1.1")
            return Tunnel(context, self._api.handle, self._api.speak_http2)
        handler = self._handler(host)
        self._state.counts.add("proxy", "accepted" if handler else "refused", host)
        if handler is None:
            return Response(502, b"no such host\n", close=True)
        name = _wildcard(host) if _wildcard(host) in _WILDCARDS else host
        return Tunnel(self._context(name, "http/1.1"), handler)

    def _handler(self, host: str) -> Handler | None:
        if host in GOOGLE_HOSTS:
            return self._google
        if _wildcard(host) in _WILDCARDS or self._state.index.knows(host):
            return self._services  # run.app names resolve whether a service has them or not
        return None

    def _context(self, name: str, *protocols: str) -> ssl.SSLContext:
        """Give the name's side of TLS; its certificate is made when it is first asked for."""
        with self._lock:
            if name not in self._contexts:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self._authority.issue_cert(name).configure_cert(context)
                context.set_alpn_protocols(list(protocols))
                self._contexts[name] = context
            return self._contexts[name]


def _wildcard(host: str) -> str:
    return f"*.{host.partition('.')[2]}"
