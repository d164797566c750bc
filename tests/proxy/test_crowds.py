"""Clients that take their time, one or a thousand of them, hold up nobody else."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from runscrape_proxy.serving.receiving import audience_in
from tests.bench import load
from tests.kit.authority import Authority
from tests.proxy.gateway_kit import service, write_inventory
from tests.proxy.harness import (
    API,
    FORM,
    PATIENCE,
    Proxy,
    children_of,
    eventually,
    fake_with,
    read_all,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.proxy.conftest import StartProxy

pytestmark = pytest.mark.usefixtures("unmeasured")

MANY = 1150
"""More than there are threads."""

PATIENT = "polling.RECEIVE_SECONDS = 600"
"""So that none of the crowd is sent away for its time before the test is over."""

HALVES = {
    "nothing": b"",
    "half a request line": b"GET /-/healthy HT",
    "half a head": b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nX: ",
    "half a body": f"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
    "Content-Length: 100\r\n\r\naudience=".encode(),
    "half a chunk": f"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
    "Transfer-Encoding: chunked\r\n\r\n40\r\naudience=".encode(),
    "half of a second request": b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\nGET /-/heal",
}


class Crowd:
    """Many connections from one address, each of which sent the same and is left open."""

    def __init__(self, proxy: Proxy, number: int, sent: bytes, source: str = "127.0.0.2") -> None:
        self._stack = contextlib.ExitStack()
        self.members = [
            self._stack.enter_context(
                socket.create_connection(proxy.address, PATIENCE, source_address=(source, 0))
            )
            for _ in range(number)
        ]
        for member in self.members:
            # The proxy may have closed some already.
            with contextlib.suppress(ConnectionError):
                member.sendall(sent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def left(self) -> int:
        """How many of them the proxy has not closed."""
        return sum(map(is_open, self.members))


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    return False


def memory(proxy: Proxy) -> int:
    """The most that the worker's resident memory ever was, in MiB."""
    status = Path(f"/proc/{children_of(proxy.process.pid)[0]}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) // 1024


@pytest.fixture(scope="module", name="patient")
def patient_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy that sends no client away for its time."""
    with running(tmp_path_factory.mktemp("patient"), fake_with(PATIENT)) as proxy:
        assert proxy.token(API).status == 200
        yield proxy


@pytest.mark.parametrize("sent", HALVES.values(), ids=HALVES)
def test_a_thousand_halves(patient: Proxy, sent: bytes) -> None:
    """Whatever the half of a request, it waits without a thread, and others are answered."""
    with Crowd(patient, MANY, sent) as crowd:
        assert patient.get("/-/healthy").status == 200
        assert patient.token(API).status == 200
        assert crowd.left == MANY, "they were not sent away for it"
        assert memory(patient) < 200


def test_a_thousand_handshakes(start_proxy: StartProxy, tmp_path: Path) -> None:
    """The first bytes of a TLS handshake cost no thread either."""
    authority = Authority(tmp_path)
    files = authority.issue("localhost")
    proxy = start_proxy(
        "--tls-cert", files.cert, "--tls-key", files.key, command=fake_with(PATIENT)
    )
    with Crowd(proxy, MANY, b"\x16\x03\x01") as crowd:
        for _ in range(2):
            with (
                socket.create_connection(proxy.address, timeout=PATIENCE) as plain,
                authority.client().wrap_socket(plain, server_hostname="localhost") as secure,
            ):
                secure.sendall(
                    b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                assert read_all(secure).startswith(b"HTTP/1.1 200 OK")
        assert crowd.left == MANY
        assert memory(proxy) < 200


def test_answers_that_nobody_reads(start_proxy: StartProxy, tmp_path: Path) -> None:
    """More clients than there are threads that do not read a large answer delay nobody for long."""
    services = [service(f"service-{number}", labels={"x": "y" * 4000}) for number in range(2000)]
    inventory = write_inventory(tmp_path / "inventory.json", *services)
    command = fake_with("worker.REQUEST_SECONDS = 600")
    proxy = start_proxy("--threads", "66", "--inventory", inventory, command=command)
    audience = "https://service-1.a.run.app"
    assert proxy.token(audience).status == 200
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(proxy.address)
            deaf.sendall(b"GET /targets HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert proxy.token(audience).status == 200
        assert proxy.get("/-/healthy").status == 200
        assert memory(proxy) < 300, "a hundred such answers are 800 MB"


def test_large_heads(start_proxy: StartProxy) -> None:
    """A head of more than 16 KiB is refused as soon as it is that large; none of it is held."""
    proxy = start_proxy()
    field = b"X: " + b"x" * 8000 + b"\r\n"
    with Crowd(proxy, 250, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + 62 * field) as crowd:
        assert proxy.get("/-/healthy").status == 200
        eventually(lambda: crowd.left == 0, "all of them to be sent away")
        assert memory(proxy) < 200
    answer = proxy.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + 3 * field)
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_who_goes_first(start_proxy: StartProxy) -> None:
    """Where there are too many halves, the oldest of the peer with the most are given up."""
    change = f"{PATIENT}; polling.MAX_RECEIVING = 50"
    proxy = start_proxy(command=fake_with(change))
    request = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with (
        socket.create_connection(proxy.address, timeout=PATIENCE) as slow,
        Crowd(proxy, 10, request[:9], "127.0.0.3") as few,
    ):
        slow.sendall(request[:9])
        with Crowd(proxy, 200, request[:9], "127.0.0.2") as crowd:
            eventually(lambda: crowd.left <= 39, "the crowd to be cut down")
            assert (few.left, crowd.left) == (10, 39)
            slow.sendall(request[9:])
            assert read_all(slow).startswith(b"HTTP/1.1 200 OK")
    assert proxy.log.count("are given up") <= 2, "told once for each peer"


def test_a_crowd_behind_one_address(start_proxy: StartProxy) -> None:
    """Where all come from one address, a request that comes in one piece is answered."""
    proxy = start_proxy(command=fake_with(f"{PATIENT}; polling.MAX_RECEIVING = 50"))
    with Crowd(proxy, 300, b"GET", "127.0.0.1") as crowd:
        assert proxy.token(API).status == 200
        assert crowd.left <= 50


def test_no_descriptors_left_for_more(start_proxy: StartProxy) -> None:
    """With every connection taken by clients that say nothing, the oldest make room for others."""
    shell = ("/bin/sh", "-c", 'ulimit -n 330; exec "$@"', "sh", *fake_with(PATIENT))
    proxy = start_proxy(command=shell)
    whole = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with Crowd(proxy, 200, whole) as idle, Crowd(proxy, 200, b"GET", "127.0.0.3") as halves:
        assert proxy.token(API).status == 200
        assert idle.left + halves.left < 74
    assert "Traceback" not in proxy.log


def test_halves_have_their_time(start_proxy: StartProxy) -> None:
    """A request that is not whole in time is a 408; a connection that sent nothing is closed."""
    proxy = start_proxy(command=fake_with("polling.RECEIVE_SECONDS = 0.3"))
    assert proxy.raw(b"GET /-/healthy HTTP/1.1\r\n").startswith(b"HTTP/1.1 408 ")
    assert proxy.raw(HALVES["half a body"]).startswith(b"HTTP/1.1 408 ")
    assert proxy.raw(b"") == b""


@pytest.mark.parametrize("pieces", [1, 2, 7, 50])
def test_requests_in_pieces(proxy: Proxy, pieces: int) -> None:
    """However a request is cut into packets, it is one request with one answer."""
    body = b"audience=" + API.encode()
    head = f"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
    counted = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n{len(body):x};x=y\r\n".encode()
    chunked += body + b"\r\n0\r\nX-Trailer: x\r\n\r\n"
    for request in counted, chunked:
        with socket.create_connection(proxy.address, timeout=PATIENCE) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            size = -(-len(request) // pieces)
            for start in range(0, len(request), size):
                connection.sendall(request[start : start + size])
            connection.shutdown(socket.SHUT_WR)
            answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert answer.count(b"HTTP/1.1") == 1


def test_requests_one_after_the_other(proxy: Proxy) -> None:
    """Requests that come at once on one connection are answered in their order."""
    body = b"audience=" + API.encode()
    head = f"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
    token = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    health = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = proxy.raw(health + token + health + token, end=True)
    assert re.findall(rb"is up|access_token", answer) == [b"is up", b"access_token"] * 2


def test_a_client_that_waits_before_its_body(proxy: Proxy) -> None:
    """RFC 9110, section 10.1.1: it is told to go on, once, and then answered."""
    body = b"audience=" + API.encode()
    head = (
        f"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
        f"Expect: 100-continue\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(proxy.address, timeout=PATIENCE) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert read_all(connection).startswith(b"HTTP/1.1 200 OK")


BAD_CHUNKS = ["-1", "g", "0x2", "+2", "2 2", "", "2_0", "f" * 40, "ffffffff"]


@pytest.mark.parametrize("size", BAD_CHUNKS)
@pytest.mark.parametrize(
    "line", ["POST /token", "POST /", "GET /", "GET /-/healthy", "PUT /metrics"]
)
def test_bodies_that_are_broken(proxy: Proxy, line: str, size: str) -> None:
    """A chunked body that is none is one 4xx, never a 500, whoever it was for."""
    head = f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
    request = f"{head}Transfer-Encoding: chunked\r\n\r\n{size}\r\naudience=x\r\n0\r\n\r\n"
    answer = proxy.raw(request.encode(), end=True)
    assert answer.startswith(b"HTTP/1.1 4"), answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert "Traceback" not in proxy.log


@pytest.mark.parametrize(
    "sent", ["", "a", "a\r\n", "a\r\naudience", "2\r\na=\r\n", "2\r\na=\r\n0\r\n"]
)
def test_chunks_that_break_off(proxy: Proxy, sent: str) -> None:
    """A client that ends before its last chunk has sent no HTTP, and not too much."""
    head = f"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
    answer = proxy.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n{sent}".encode(), end=True)
    assert answer.startswith(b"HTTP/1.1 400 "), answer


def test_a_chunk_that_looks_like_the_end(proxy: Proxy) -> None:
    """A body that ends in a line's end may have it in its chunk: the last chunk still comes."""
    head = f"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
    form = f"audience={API}&x=y\r\n"
    for last in (b"0\r\n\r\n", b"00;x=y\r\nX-Trailer: z\r\n\r\n"):
        with socket.create_connection(proxy.address, timeout=PATIENCE) as connection:
            head_and_chunk = f"{head}Transfer-Encoding: chunked\r\n\r\n{len(form):x}\r\n{form}\r\n"
            connection.sendall(head_and_chunk.encode())
            # Its other half is there before an answer, or after one that came too early.
            proxy.get("/-/healthy")
            connection.sendall(last)
            assert read_all(connection).startswith(b"HTTP/1.1 200 OK")


def test_a_body_in_endless_chunks(proxy: Proxy) -> None:
    """Chunks of one byte each, without end, are a 413 as soon as they are too much."""
    head = f"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
    request = f"{head}Transfer-Encoding: chunked\r\n\r\n" + "1\r\nx\r\n" * 10_000
    assert proxy.raw(request.encode()).startswith(b"HTTP/1.1 413 ")


def test_the_end_of_a_crowd(start_proxy: StartProxy) -> None:
    """Connections are counted right however they end: SIGTERM waits for a request under way."""
    proxy = start_proxy(command=fake_with("server.KEEP_ALIVE_SECONDS = 600", delay=2))
    for sent in (*HALVES.values(), b"nonsense\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"):
        with Crowd(proxy, 10, sent):
            pass
    with socket.create_connection(proxy.address, timeout=PATIENCE) as connection:
        body = b"audience=" + API.encode()
        head = f"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        eventually(lambda: "audiences 1.0" in proxy.get("/metrics").text, "the request to be there")
        assert proxy.stop() == 0
        assert read_all(connection).startswith(b"HTTP/1.1 200 OK")


COLD = 300


def test_a_held_token_before_those_that_are_to_come(proxy: Proxy) -> None:
    """A request for a token that is held is answered before most of a crowd that was there first.

    All of it is sent while the worker is stopped, so that it is there at once.
    """
    audiences = [f"https://fail-{number}.a.run.app" for number in range(COLD)]
    assert proxy.token(API).status == 200
    (worker,) = children_of(proxy.process.pid)
    os.kill(worker, signal.SIGSTOP)
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        try:
            for audience in (*audiences, API):
                connection = socket.create_connection(proxy.address, PATIENCE)
                stack.enter_context(connection).sendall(load.token_request(audience))
                selector.register(connection, selectors.EVENT_READ, audience)
        finally:
            os.kill(worker, signal.SIGCONT)
        answered: list[str] = []
        while API not in answered:
            for key, _ in selector.select(PATIENCE):
                selector.unregister(key.fileobj)
                answered.append(key.data)
        assert len(answered) < COLD / 4


@pytest.mark.parametrize(
    ("request_line", "body", "audience"),
    [
        ("POST /token", "audience=https%3A%2F%2Fa.run.app&grant_type=x", "https://a.run.app"),
        ("POST /token", "grant_type=x&audience=https://a.run.app", "https://a.run.app"),
        ("POST /token", "resource=a+b", "a b"),
        ("POST /?audience=b", "", "b"),
        ("POST /?x=1&resource=b", "", "b"),
        ("POST /token", "xaudience=b", ""),
        ("POST /token", "audience=", ""),
        ("POST /token", "", ""),
        ("POST /token", "audience=%ff%zz", "\ufffd%zz"),
        ("GET /?audience=b", "", ""),
    ],
)
def test_whom_a_request_asks_for(request_line: str, body: str, audience: str) -> None:
    """The audience in a form or query, read only to choose who comes first."""
    request = f"{request_line} HTTP/1.1\r\nHost: localhost\r\n\r\n{body}"
    assert audience_in(request.encode()) == audience
