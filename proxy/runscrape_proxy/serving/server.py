"""``runscrape-proxy`` itself: gunicorn, set up for many waiting and many more warm requests."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from gunicorn import glogging, systemd, util
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from runscrape_proxy import log as logs
from runscrape_proxy.errors import StartError
from runscrape_proxy.google.credentials import Credentials
from runscrape_proxy.proxy import TokenProxy
from runscrape_proxy.serving import answers, descriptors, listeners, one_cpu
from runscrape_proxy.serving.tls import ServerTls
from runscrape_proxy.serving.worker import PASSED_ON, ProxyWorker
from runscrape_proxy.troubles import Troubles

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from runscrape_proxy.model import Minter
    from runscrape_proxy.serving.listeners import Listening
    from runscrape_proxy.settings import Settings

log = logging.getLogger(__name__)

DRAIN_SECONDS = 8
"""After SIGTERM; with what else there is to do at the end it stays under 10."""

KEEP_ALIVE_SECONDS = 5
PAUSE_SECONDS = 10
"""Gunicorn's first process looks after the worker each second; later than that, it was paused."""

SHARED_MEMORY = "/dev/shm"  # noqa: S108  writable even where the root file system is not


def run(settings: Settings, minter: Minter | None = None) -> None:
    """Serve until SIGTERM, then end the process with 0. Raises StartError before that.

    ``minter`` stands in for the credentials that the settings name.
    """
    logs.configure(settings.log_format, settings.log_level)
    settings, connections = descriptors.fit(settings)
    tls = None
    if settings.tls_cert is not None:
        tls = ServerTls(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    proxy = TokenProxy(settings, minter or Credentials(settings))
    listening = listeners.open_all(settings)
    Server(settings, proxy, tls, listening, connections).run()


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """The gunicorn application. Reads no gunicorn file, argument or variable."""

    def __init__(
        self,
        settings: Settings,
        proxy: TokenProxy,
        tls: ServerTls | None,
        listening: Listening,
        connections: int,
    ) -> None:
        self.settings = settings
        self.proxy = proxy
        self._names = [f"http{'s' if tls else ''}://{name}" for name in listening.names]
        self._options = (
            _options(settings, connections) | _tls_options(tls) | {"bind": _handed_over(listening)}
        )
        super().__init__()

    def load_config(self) -> None:
        """Give gunicorn every setting that we care for."""
        hooks = {
            "when_ready": lambda _arbiter: log.info("listening on %s", ", ".join(self._names)),
            "post_worker_init": self._start,
            "worker_exit": lambda _arbiter, _worker: self.proxy.close(),
        }
        for name, value in (self._options | hooks).items():
            self.cfg.set(name, value)

    def _start(self, _worker: object) -> None:
        """Start the proxy in its worker; without the threads for that, gunicorn ends."""
        try:
            self.proxy.start()
        except RuntimeError as error:
            log.error("cannot start: %s (ulimit -u, or the container's pids limit)", error)  # noqa: TRY400  one line
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def load(self) -> WSGIApplication:
        """Return what gunicorn serves."""
        return self.proxy.app

    def run(self) -> None:
        """Run the arbiter until it exits."""
        one_cpu.bind()
        # What gunicorn keeps any application from sending, but belongs to a 407 of the gateway.
        util.hop_headers.discard("proxy-authenticate")
        ProxyArbiter(self).run()


class ProxyArbiter(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """Gunicorn's first process."""

    _looked_at = math.inf
    """When it last looked whether the worker lives, by the monotonic clock."""

    def __init__(self, app: Server) -> None:
        self._troubles = Troubles()
        super().__init__(app)

    def murder_workers(self) -> None:
        """End a worker that hangs, and not one that was paused as this process was.

        After a pause (docker pause, a machine that is moved) the worker has shown no life for long,
        but it holds tokens that Google may not give again.
        """
        now = time.monotonic()
        if now - self._looked_at > PAUSE_SECONDS:
            for worker in self.WORKERS.values():
                worker.tmp.notify()
        self._looked_at = now
        super().murder_workers()

    def spawn_worker(self) -> None:
        """Start the worker; where the system has no room for one, it is tried again in a second.

        Signals wait until the worker takes them: what came before would be lost, and the end with
        it.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
        try:
            super().spawn_worker()
        except OSError as error:
            if self._troubles.is_new("worker", str(error)):
                log.error("no worker can be started, and it is tried again: %s", error)  # noqa: TRY400  what matters is in it
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)

    def handle_hup(self) -> None:
        """Have the workers read their files again; they keep their tokens and connections."""
        self.kill_workers(signal.SIGHUP)

    def handle_usr2(self) -> None:
        """Do not start a second proxy: the next one is systemd's or the kubelet's to start."""

    def handle_ttin(self) -> None:
        """Start no second worker: it would have tokens, metrics and a page of its own."""

    def handle_ttou(self) -> None:
        """End no worker: there is one."""

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Tell systemd, then drain and exit: with 1 for each of gunicorn's own codes."""
        systemd.sd_notify("STOPPING=1", self.log)
        super().halt(reason, min(exit_status, 1))


class ServerLog(glogging.Logger):  # type: ignore[misc]  # gunicorn has no types
    """Gunicorn's own messages, in our format; without ``-v`` only what is wrong."""

    def setup(self, cfg: Any) -> None:
        """Leave the handlers to :mod:`runscrape_proxy.log`; log no requests."""
        self.cfg = cfg
        self._access_log_enabled = False
        debug = logging.getLogger(logs.NAME).isEnabledFor(logging.DEBUG)
        self.error_log.setLevel(logging.INFO if debug else logging.WARNING)
        self.error_log.propagate = True


def _options(settings: Settings, connections: int) -> dict[str, object]:
    return {
        "worker_class": ProxyWorker,
        "logger_class": ServerLog,
        "workers": 1,
        "threads": settings.threads + settings.gateway_threads,
        "worker_connections": connections,
        "backlog": listeners.BACKLOG,
        "keepalive": KEEP_ALIVE_SECONDS,
        "graceful_timeout": DRAIN_SECONDS,
        "timeout": 30,
        "limit_request_line": answers.MAX_LINE,
        "limit_request_fields": answers.MAX_FIELDS,
        "limit_request_field_size": answers.MAX_FIELD,
        # Headers of another proxy never count here.
        "forwarded_allow_ips": "",
        "control_socket_disable": True,
        "worker_tmp_dir": heartbeat_folder(),
        "proc_name": "runscrape-proxy",
    }


def heartbeat_folder() -> str:
    """Find a folder for the file by which gunicorn's worker shows that it lives."""
    try:
        return SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else tempfile.gettempdir()
    except FileNotFoundError:
        raise StartError("no folder to write in: mount a tmpfs at /dev/shm or /tmp") from None


def _tls_options(tls: ServerTls | None) -> dict[str, object]:
    if tls is None:
        return {}
    return {"certfile": str(tls.cert), "ssl_context": lambda _config, _default: tls.context}


def _handed_over(listening: Listening) -> list[str]:
    """Let gunicorn have the sockets; those of systemd it finds by itself, whatever ``bind`` is."""
    if listening.passed:
        for duplicate in listening.sockets:
            duplicate.close()
        return ["127.0.0.1:0"]
    return [f"fd://{each.detach()}" for each in listening.sockets]
