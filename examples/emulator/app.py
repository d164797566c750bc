"""The containers behind the services: Prometheus text, and ways to misbehave."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import random
import secrets
import threading
import zlib
from collections.abc import Iterable, Iterator

from emulator.model import App, Page, Service, World
from emulator.odd_pages import ODD_PAGES
from emulator.state import State
from emulator.wire import Answer, Hang, Request, Response

_CHUNK = 64 * 1024


class Apps:
    """Plays every service's app; each instance has counters of its own."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._scrapes: dict[tuple[str, int], int] = {}
        self._faults: dict[str, int] = {}
        self._started: set[str] = set()
        self._lock = threading.Lock()
        state.on_update.append(self._start_again)

    def handle(self, service: Service, request: Request) -> Answer:
        """Answer a request that Cloud Run let through."""
        app = service.app
        self._state.wait(app.latency + self._start(service))
        if not _let_in(app, request.headers.get("authorization", "")):
            return Response(401, b"the app says no\n", (("Content-Type", "text/plain"),))
        page = app.paths.get(request.path)
        if page is None:
            return Response(404, b"404 page not found\n", (("Content-Type", "text/plain"),))
        faulty = self._fires(service)
        if faulty and app.hang:
            return Hang()
        if faulty and app.status:
            return Response(app.status, b"the app is not well\n")
        answer = self._page(service, request, page)
        if faulty:
            return dataclasses.replace(answer, cut=app.drop, drip=app.drip)
        return answer

    def _start(self, service: Service) -> float:
        """Seconds until there is an instance: the first request of a world starts one."""
        with self._lock:
            if service.key in self._started:
                return 0.0
            self._started.add(service.key)
        return service.app.cold_start

    def _fires(self, service: Service) -> bool:
        app = service.app
        if not (app.status or app.hang or app.drop or app.drip):
            return False
        with self._lock:
            count = self._faults[service.key] = self._faults.get(service.key, 0) + 1
        return not app.first or count <= app.first

    def _start_again(self, _world: World) -> None:
        with self._lock:
            self._faults.clear()
            self._started.clear()

    def _page(self, service: Service, request: Request, page: Page) -> Response:
        if page.redirect:
            return Response(302, headers=(("Location", page.redirect),))
        kind, content = self._content(service, page)
        packed = service.app.gzip and "gzip" in request.headers.get("accept-encoding", "")
        headers = [("Content-Type", kind)] if kind else []
        headers += [("Content-Encoding", "gzip")] if packed else []
        if page.body_mb:
            body = _padded(content, int(page.body_mb * 1024 * 1024))
            return Response(200, _gzipped(body) if packed else body, tuple(headers))
        return Response(200, gzip.compress(content, 1) if packed else content, tuple(headers))

    def _content(self, service: Service, page: Page) -> tuple[str | None, bytes]:
        if page.odd:
            kind, body = ODD_PAGES[page.odd]
            return kind or page.content_type, body
        if page.body_base64 is not None:
            return page.content_type, base64.b64decode(page.body_base64)
        text = self._text(service, page) if page.body is None else page.body
        return page.content_type, text.encode()

    def _text(self, service: Service, page: Page) -> str:
        scrapes = self._count(service.key, service.app)
        labels = ",".join(
            f'{name}="{value}"'
            for name, value in (
                ("project_id", service.project),
                ("location", service.region),
                ("service_name", service.name),
                ("revision_name", service.latest_ready_revision or ""),
            )
        )
        gauges = "".join(
            f"# HELP {name} A gauge of the world.\n# TYPE {name} gauge\n{name} {value:g}\n"
            for name, value in page.metrics.items()
        )
        return (
            "# HELP emulator_scrapes_total Scrapes that this instance has answered.\n"
            "# TYPE emulator_scrapes_total counter\n"
            f"emulator_scrapes_total {scrapes}\n"
            "# HELP emulator_service_info What answered.\n"
            "# TYPE emulator_service_info gauge\n"
            f"emulator_service_info{{{labels}}} 1\n{gauges}"
        )

    def _count(self, key: str, app: App) -> int:
        instance = random.randrange(app.instances)
        with self._lock:
            count = self._scrapes[key, instance] = self._scrapes.get((key, instance), 0) + 1
        return count


def _let_in(app: App, authorization: str) -> bool:
    """What the app itself makes of the Authorization header."""
    if app.verifies_tokens:  # as libraries do: signature, by Google's keys
        return authorization.count(".") == 2 and "SIGNATURE_REMOVED" not in authorization
    return app.authorization in (None, authorization)


def _padded(text: bytes, size: int) -> Iterator[bytes]:
    """Add comment lines, which hardly compress, up to *size* bytes."""
    yield text
    left = size - len(text)
    line = b"# " + secrets.token_hex(_CHUNK // 2 - 2).encode() + b"\n"
    while left > 0:
        yield line if left >= len(line) else b"#" * (left - 1) + b"\n"
        left -= len(line)


def _gzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(1, wbits=31)
    for piece in pieces:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()
