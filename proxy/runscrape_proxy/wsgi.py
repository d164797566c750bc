"""``gunicorn runscrape_proxy.wsgi:app``: the proxy under a gunicorn that somebody else sets up.

The settings come from ``RUNSCRAPE_PROXY_…``; address, TLS and threads are gunicorn's.
Use one process: each would keep tokens, metrics and a page of its own. Requests that wait for a
mint hold a thread each, so give it many, and say how many::

    RUNSCRAPE_PROXY_THREADS=512 gunicorn --bind 127.0.0.1:7777 --forwarded-allow-ips "" \
        --worker-class gthread --threads 512 runscrape_proxy.wsgi:app

With the gateway, gunicorn's ``--threads`` is ``RUNSCRAPE_PROXY_THREADS`` and
``RUNSCRAPE_PROXY_GATEWAY_CONCURRENCY`` (1024 unless set) together.

A client that leaves its connection open after its last answer holds up all others for 2 s there
(gunicorn's threaded worker waits for it in its main loop): ``runscrape-proxy`` itself does not.

``--forwarded-allow-ips ""`` has it trust nobody. By itself gunicorn trusts what comes from loopback
to name a ``SCRIPT_NAME``, and answers 500 where that is no start of the path.

On an address beyond loopback every request is refused unless there is a client secret: unlike
``runscrape-proxy``, this module never learns the addresses before the first request.
"""

from __future__ import annotations

import logging
import os
import sys
from threading import Lock
from typing import TYPE_CHECKING

from runscrape_proxy import cli
from runscrape_proxy import log as logs
from runscrape_proxy.errors import StartError
from runscrape_proxy.google.credentials import Credentials
from runscrape_proxy.proxy import TokenProxy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

LOAD_ERROR = 4
"""The exit code of a worker that makes gunicorn end, and not try again for ever."""

GUNICORNS_OWN = ("LISTEN", "SOCKET_MODE", "TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA")


class App:
    """The WSGI application. Its threads start with the first request, thus after any fork."""

    def __init__(self, proxy: TokenProxy) -> None:
        self._proxy = proxy
        self._lock = Lock()
        self._started_in = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if self._started_in != os.getpid():
            self._start()
        return self._proxy.app(environ, start_response)

    def _start(self) -> None:
        with self._lock:
            if self._started_in != os.getpid():
                self._proxy.start()
                self._started_in = os.getpid()


def make_app() -> App:
    """Build the application from the environment. Raises StartError."""
    settings = cli.settings_from_environment()
    logs.configure(settings.log_format, settings.log_level)
    for name in GUNICORNS_OWN:
        if os.environ.get(variable := f"{cli.PREFIX}_{name}"):
            log.warning("%s does nothing here: set it for gunicorn itself", variable)
    return App(TokenProxy(settings, Credentials(settings)))


try:
    app = make_app()
except StartError as error:
    sys.stderr.write(f"{cli.PROGRAM}: {error}\n")
    raise SystemExit(LOAD_ERROR) from None
