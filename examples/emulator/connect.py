"""The HTTP CONNECT proxy that stands for the internet: TLS for every host of the world."""

from __future__ import annotations

import ssl
import threading
from pathlib import Path

import trustme

from emulator.api import Api
from emulator.model import World
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
        self._names: set[str] = set()
        self._context: ssl.SSLContext
        self._api_context: ssl.SSLContext
        self._lock = threading.Lock()
        self.ca_file = directory / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca_file))
        self.certify(state.world)
        state.on_update.append(self.certify)

    def certify(self, world: World) -> None:
        """Have a certificate for all names of *world*; the wildcards make a new one rare."""
        domains = {
            domain
            for project in world.projects.values()
            for service in project.services
            for domain in service.domains
        }
        names = _WILDCARDS | domains | {*GOOGLE_HOSTS, RUN_API}
        with self._lock:
            if names == self._names:
                return
            leaf = self._authority.issue_cert(*sorted(names))
            self._context = _context(leaf, "http/1.1")
            self._api_context = _context(leaf, "h2", "http/1.1")
            self._names = names

    def handle(self, request: Request) -> Answer:
        """Answer CONNECT; other methods are refused."""
        host, _, port = request.target.lower().rpartition(":")
        if request.method != "CONNECT" or port != "443":
            self._state.counts.add("proxy", "refused", request.target)
            return Response(403, b"only CONNECT to port 443 is allowed\n", close=True)
        if host == RUN_API:
            self._state.counts.add("proxy", "accepted", host)
            return Tunnel(self._api_context, self._api.handle, self._api.speak_http2)
        handler = self._handler(host)
        self._state.counts.add("proxy", "accepted" if handler else "refused", host)
        if handler is None:
            return Response(502, b"no such host\n", close=True)
        return Tunnel(self._context, handler)

    def _handler(self, host: str) -> Handler | None:
        if host in GOOGLE_HOSTS:
            return self._google
        parent = host.partition(".")[2]
        if f"*.{parent}" in _WILDCARDS or self._state.index.knows(host):
            return self._services  # run.app names resolve whether a service has them or not
        return None


def _context(leaf: trustme.LeafCert, *protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    context.set_alpn_protocols(list(protocols))
    return context
