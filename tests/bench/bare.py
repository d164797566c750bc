"""The bare minimum of the proxy's own stack: same gunicorn settings, no rules, no cache.

``python -m tests.bench.bare HOST:PORT``; answers each request with the bytes of a token answer.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from runscrape_proxy import log as logs
from runscrape_proxy.serving import descriptors, listeners, server
from runscrape_proxy.settings import Settings
from runscrape_proxy.web import token as endpoint
from tests.proxy.fake import LIFETIME, token_for

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

AUDIENCE = "https://api-00000-x7k2mq4wza-uc.a.run.app"
ANSWER = endpoint.json_answer(
    "200 OK",
    {
        "access_token": token_for(AUDIENCE, time.time() + LIFETIME).value,
        "token_type": "Bearer",
        "expires_in": LIFETIME - 30,
    },
)


class Bare:
    """Stands where the service stands, with nothing but a WSGI app."""

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass

    def reload(self) -> None:
        pass


def serve(address: str, app: WSGIApplication) -> None:
    """Serve an app until SIGTERM, under the gunicorn settings of ``runscrape-proxy``."""
    settings = Settings(listen=(address,))
    logs.configure("text", "info")
    listening = listeners.open_all(settings, os.environ)
    server.Server(settings, Bare(app), None, listening, descriptors.raise_limit()).run()  # type: ignore[arg-type]


def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    environ["wsgi.input"].read()
    start_response(ANSWER.status, ANSWER.headers)
    return [ANSWER.body]


if __name__ == "__main__":
    serve(sys.argv[1], answer)
