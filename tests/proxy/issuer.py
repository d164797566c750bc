"""An issuer on loopback that answers as a test says: for what the emulator has no knob for."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from emulator import Emulator


# As GKE's metadata server says it.
UNANNOTATED = (
    "Your Kubernetes service account (monitoring/prometheus) is not annotated with a target Google"
    " service account, which is a requirement for retrieving Identity Tokens using Workload"
    " Identity. Please add the iam.gke.io/gcp-service-account=[GSA_NAME]@[PROJECT_ID] annotation"
)
UNBOUND = (
    "Unable to generate access token; IAM returned 403 Forbidden: Permission"
    " 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).\nThis error"
    " could be caused by a missing IAM policy binding on the target IAM service account."
)
GONE = (
    "Unable to generate access token; IAM returned 404 Not Found: Not found; Gaia id not found for"
    " email gone@demo.iam.gserviceaccount.com"
)


@dataclass(frozen=True)
class Asked:
    """A request; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Told:
    """An answer; but for length and type nothing is added to its headers, a Date neither."""

    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def jwt(claims: Mapping[str, Any]) -> str:
    """An unsigned JWT: nothing in the proxy looks at signatures."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJSUzI1NiJ9.{payload}.c2lnbmF0dXJl"


@contextlib.contextmanager
def serving(answer: Callable[[Asked], Told]) -> Iterator[str]:
    """Serve ``answer``; gives ``HOST:PORT``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            told = answer(Asked(self.path, headers, body))
            content = told.body.encode()
            self.send_response_only(told.status)
            own = {"Content-Length": str(len(content)), "Content-Type": "application/text"}
            for name, value in {**own, **told.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def key_for(google: Emulator, token_uri: str, path: Path) -> Path:
    """Write a service account's key whose tokens come from ``token_uri``."""
    info = json.loads(google.credentials("service_account").read_text())
    path.write_text(json.dumps(info | {"token_uri": token_uri}))
    return path
