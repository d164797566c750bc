"""HTTP load from one thread: kept-alive connections, requests written as bytes, no library.

A client of less than ten microseconds a request, so that the server is what is measured.
``python -m tests.bench.load HOST PORT PREFIX COUNT`` asks for COUNT audiences at once.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Address = tuple[str, int]
END_OF_HEAD = b"\r\n\r\n"


@dataclass
class Result:
    """Statuses by code, and each latency in seconds."""

    statuses: dict[int, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """A quantile of the latencies, in seconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(eq=False)
class Connection:
    """One kept-alive connection, with at most one request under way."""

    address: Address
    socket: socket.socket = field(init=False)
    buffer: bytes = b""
    sent_at: float = 0.0
    busy: bool = False
    closed: bool = False
    """By the server, which does not keep an idle connection for ever."""

    def __post_init__(self) -> None:
        self.socket = socket.create_connection(self.address, timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: bytes, at: float) -> None:
        self.sent_at, self.busy = at, True
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """Read what has come; the status once the answer is whole."""
        data = self.socket.recv(65536)
        if not data:
            if self.busy:
                raise ConnectionError("the server closed a connection with a request on it")
            self.closed = True
            return None
        self.buffer += data
        head, end, rest = self.buffer.partition(END_OF_HEAD)
        if not end:
            return None
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return None
        self.buffer, self.busy = b"", False
        return int(head[9:12])


def token_request(audience: str) -> bytes:
    """The bytes of one token request, as Prometheus sends it."""
    body = f"audience={audience.replace(':', '%3A').replace('/', '%2F')}"
    body += "&grant_type=client_credentials"
    return (
        "POST /token HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Prometheus/2.42.0\r\n"
        f"Content-Length: {len(body)}\r\nAuthorization: Basic cHJvbWV0aGV1czp1bnVzZWQ=\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nAccept-Encoding: gzip\r\n\r\n" + body
    ).encode()


def closed_loop(
    address: Address, requests: Iterator[bytes], *, connections: int, seconds: float
) -> Result:
    """Keep ``connections`` busy for ``seconds``: the next request follows each answer."""
    result = Result()
    began = time.perf_counter()
    stop = began + seconds

    def again(connection: Connection, now: float) -> bool:
        if now >= stop:
            return False
        connection.send(next(requests), now)
        return True

    with selectors.DefaultSelector() as selector:
        for connection in [Connection(address) for _ in range(connections)]:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            again(connection, time.perf_counter())
        _drain(selector, result, again)
    result.seconds = time.perf_counter() - began
    return result


def open_loop(
    address: Address, requests: Iterator[bytes], *, rate: float, seconds: float
) -> Result:
    """Send ``rate`` requests a second whatever becomes of them; latencies from when each is due."""
    result = Result()
    count = int(rate * seconds)
    idle: list[Connection] = []
    began = time.perf_counter()

    def done(connection: Connection, _now: float) -> bool:
        idle.append(connection)
        return True

    with selectors.DefaultSelector() as selector:
        for number in range(count):
            due = began + number / rate
            while (left := due - time.perf_counter()) > 0:
                _once(selector, result, done, left)
            while idle and idle[-1].closed:
                idle.pop()
            connection = idle.pop() if idle else Connection(address)
            if connection.socket.fileno() not in selector.get_map():
                selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(next(requests), due)
        while len(result.latencies) < count:
            _once(selector, result, done, 30)
        _close(selector)
    result.seconds = time.perf_counter() - began
    return result


def all_at_once(address: Address, requests: list[bytes]) -> Result:
    """One connection for each request, all of them sent before the first answer is read."""
    result = Result()
    began = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for request in requests:
            connection = Connection(address)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(request, time.perf_counter())
        _drain(selector, result, lambda _connection, _now: False)
    result.seconds = time.perf_counter() - began
    return result


def _drain(
    selector: selectors.BaseSelector, result: Result, again: Callable[[Connection, float], bool]
) -> None:
    while selector.get_map():
        _once(selector, result, again, 30)


def _once(
    selector: selectors.BaseSelector,
    result: Result,
    again: Callable[[Connection, float], bool],
    timeout: float,
) -> None:
    for key, _ in selector.select(timeout):
        connection: Connection = key.data
        status = connection.receive()
        if connection.closed:
            selector.unregister(connection.socket)
            connection.socket.close()
        if status is None:
            continue
        now = time.perf_counter()
        result.latencies.append(now - connection.sent_at)
        result.statuses[status] = result.statuses.get(status, 0) + 1
        if not again(connection, now):
            selector.unregister(connection.socket)
            connection.socket.close()


def _close(selector: selectors.BaseSelector) -> None:
    for key in list(selector.get_map().values()):
        selector.unregister(key.fileobj)
        key.data.socket.close()


def _in_a_process_of_its_own() -> None:
    host, port, prefix, count = sys.argv[1:]
    requests = [token_request(f"https://{prefix}-{n:05d}-uc.a.run.app") for n in range(int(count))]
    json.dump(asdict(all_at_once((host, int(port)), requests)), sys.stdout)


if __name__ == "__main__":
    _in_a_process_of_its_own()
