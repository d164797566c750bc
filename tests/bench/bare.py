"""The bare minimum of the proxy's own stack: Flask under the same gunicorn settings, no rules.

``python -m tests.bench.bare HOST:PORT``; answers each request with the bytes of a token answer.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from flask import Flask, Response, jsonify, request

from runscrape_proxy import log as logs
from runscrape_proxy.serving import descriptors, listeners, server
from runscrape_proxy.settings import Settings
from tests.proxy.fake import LIFETIME, jwt_for

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

AUDIENCE = "https://api-00000-x7k2mq4wza-uc.a.run.app"


class NoTokens:
    """Stands where the tokens stand: every request is for one that is held."""

    waiting = 0

    def holds(self, _audience: str) -> bool:
        return True


class Bare:
    """Stands where the proxy stands, with nothing but a WSGI app."""

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app
        self.tokens = NoTokens()

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
    listening = listeners.open_all(settings)
    server.Server(settings, Bare(app), None, listening, descriptors.raise_limit()).run()  # type: ignore[arg-type]


def flask_app() -> Flask:
    """One view that reads the form and answers with JSON, as every Flask app would."""
    app = Flask(__name__)
    token = jwt_for(AUDIENCE, time.time() + LIFETIME)

    @app.post("/token")
    def answer() -> Response:
        assert request.form["audience"]
        return jsonify(access_token=token, token_type="Bearer", expires_in=LIFETIME - 30)

    return app


if __name__ == "__main__":
    serve(sys.argv[1], flask_app())
