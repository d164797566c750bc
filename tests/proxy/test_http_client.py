"""Outgoing HTTP: one deadline, connections that are kept, and answers that are read strictly."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from runscrape_proxy.http_client import (
    BadAnswer,
    Broken,
    CallError,
    Client,
    CutOff,
    Deadline,
    NoAddress,
    NoAnswer,
    NoConnection,
    NoDescriptors,
    Request,
    TooManyLookups,
    TooSlow,
)
from runscrape_proxy.http_client import answer as answers
from tests.proxy.raw_server import OK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.proxy.conftest import Serve
    from tests.proxy.raw_server import RawServer

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LIMIT = 100_000
LOOKUPS = 3


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client(ssl.create_default_context(), per_host=2, hosts=2, lookups=LOOKUPS, direct=True)
    yield made
    made.close()


def ask(client: Client, server: RawServer, seconds: float = 20.0, **fields: Any) -> bytes:
    """The body of one answer."""
    return client.send(request_to(server, **fields), Deadline(seconds)).read(LIMIT)


def request_to(server: RawServer, **fields: Any) -> Request:
    host, port = server.url.removeprefix("http://").split(":")
    known: dict[str, Any] = {"host": host, "port": int(port), "tls": False, "target": "/x?y"}
    return Request(**known | {"headers": {}} | fields)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (HEAD + b"Content-Length: 2\r\n\r\nok", b"ok"),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (HEAD + b"Content-Length: 0\r\n\r\n", b""),
        (CHUNKED + b"2\r\nok\r\n0\r\n\r\n", b"ok"),
        (CHUNKED + b"0002;a=b;c\r\nok\r\n0\r\nTrailer: x\r\n\r\n", b"ok"),
        (CHUNKED + b"a\r\n0123456789\r\n1\r\nA\r\n0\r\n\r\n", b"0123456789A"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + OK, b"{}"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    ],
)
def test_answers(serve: Serve, client: Client, answer: bytes, body: bytes) -> None:
    """What RFC 9112 allows is read: equal lengths, extensions, trailers, interim answers."""
    assert ask(client, serve(answer)) == body


BAD_SIZES = [
    "-1",
    "-ffff",
    "+2",
    "0x2",
    "2_0",
    " 2",
    "",
    "g",
    "\u0662",
    "2 2",
    "2,2",
    "1e3",
    "f" * 21,
]
ENDLESS = 300_000
"""Bytes: more than any bound that there is here."""


@pytest.mark.parametrize(
    "answer",
    [
        *(CHUNKED + size.encode() + b"\r\n" + b"x" * 1000 for size in BAD_SIZES),
        CHUNKED + b"2\r\nokno end of the chunk",
        CHUNKED + b"2;" + b"x" * ENDLESS,
        CHUNKED + b"2" * ENDLESS,
        CHUNKED + b"0\r\nX: " + b"x" * ENDLESS,
        CHUNKED + b"0\r\n" + b"X: y\r\n" * (ENDLESS // 6),
        CHUNKED + b"0\r\nno trailer\r\n\r\n",
        HEAD + b"X: y\r\n" * (ENDLESS // 6),
        HEAD + b"X: " + b"x" * ENDLESS,
        b"HTTP/1.1 200 " + b"x" * ENDLESS,
        b"HTTP/1.1 100 Continue\r\n\r\n" * (ENDLESS // 25),
        b"HTTP/1.1 103 Hints\r\n\r\n" * 9 + OK,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
        HEAD + b"Content-Length: -2\r\n\r\nok",
        HEAD + b"Content-Length: +2\r\n\r\nok",
        HEAD + b"Content-Length: 0x2\r\n\r\nok",
        HEAD + b"Content-Length: 2_0\r\n\r\nok",
        HEAD + b"Content-Length: 2 2\r\n\r\nok",
        HEAD + b"Content-Length: \r\n\r\nok",
        HEAD + b"Content-Length: two\r\n\r\nok",
        HEAD + "Content-Length: \u0662\r\n\r\nok".encode(),
        HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nok",
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        HEAD + b"Content-Length: 2, 3\r\n\r\nok!",
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n2\r\nok\r\n",
        HEAD + b"Transfer-Encoding: identity\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        HEAD + b"Content-Length : 2\r\n\r\nok",
        HEAD + b" Content-Length: 2\r\n\r\nok",
        HEAD + b"no header\r\nContent-Length: 2\r\n\r\nok",
        HEAD + b"X: \x00\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 -20 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/11 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
        HEAD + b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000,
    ],
)  # fmt: skip
def test_answers_that_are_none(serve: Serve, client: Client, answer: bytes) -> None:
    """What RFC 9112 does not allow, or what has no end, is refused; its connection is not kept."""
    server = serve(answer)
    for _ in range(2):
        with pytest.raises(BadAnswer):
            ask(client, server)
    assert server.connections == 2


def test_chunks_without_end(serve: Serve, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small chunks are read in large pieces, and too many are given up: each costs time."""
    many = client.send(
        request_to(serve(CHUNKED + b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n")), Deadline(60)
    )
    pieces = list(many.pieces())
    assert b"".join(pieces) == b"x" * 20_000
    assert len(pieces) < 400
    monkeypatch.setattr(answers, "MAX_CHUNKS", 5_000)  # it takes its time to read 100,000
    endless = client.send(request_to(serve(CHUNKED + b"1\r\nx\r\n" * 20_000)), Deadline(60))
    with pytest.raises(BadAnswer, match="chunks"):
        endless.read(1_000_000)


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 9\r\nConnection: close\r\n\r\nhalf",
        CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b"9\r\nhalf",
        CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b"2\r\nok\r\n0\r\n",
    ],
)
def test_half_an_answer(serve: Serve, client: Client, answer: bytes) -> None:
    """An answer that ends before its end is never taken for a whole one."""
    with pytest.raises(Broken):
        ask(client, serve(answer))


def test_what_goes_out(serve: Serve, client: Client) -> None:
    """The target as given, Host, the headers in latin-1, and the length of a body."""
    server = serve(OK)
    ask(client, server, target="/a%c3?b=%20", headers={"X": "\xe9"})
    host = server.url.removeprefix("http://").encode()
    assert (
        server.requests[-1] == b"GET /a%c3?b=%20 HTTP/1.1\r\nHost: " + host + b"\r\nX: \xe9\r\n\r\n"
    )
    ask(client, server, method="POST", body=b"a=b")
    assert server.requests[-1].endswith(b"\r\nContent-Length: 3\r\n\r\na=b")


@pytest.mark.parametrize(
    ("answer", "connections"),
    [
        (OK, 1),
        (CHUNKED + b"0\r\n\r\n", 1),
        (OK + b"more", 3),
        (CHUNKED + b"0\r\n\r\nmore", 3),
        (HEAD + b"Content-Length: 0\r\nConnection: X, Close\r\n\r\n", 3),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 3),
    ],
)
def test_which_connections_are_kept(
    serve: Serve, client: Client, answer: bytes, connections: int
) -> None:
    """A connection serves on unless one side says otherwise, or more came than was asked for."""
    server = serve(answer)
    for _ in range(3):
        ask(client, server)
    assert server.connections == connections


@pytest.mark.parametrize("last", [b"", b"H", OK[:9], b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_kept_connection_that_ends(serve: Serve, client: Client, last: bytes) -> None:
    """It is replaced if no byte of an answer came; else asking again could do things twice."""
    server = serve(OK)
    server.most, server.last = 1, last
    ask(client, server)
    if last:
        with pytest.raises((NoAnswer, BadAnswer)):
            ask(client, server)
    else:
        assert ask(client, server) == b"{}"
    assert (server.connections, len(server.requests)) == ((1, 2) if last else (2, 3))


@contextlib.contextmanager
def deaf_address() -> Iterator[tuple[str, int]]:
    """An address at which connecting takes for ever: the queue of its listener is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()


def test_a_host_with_dead_addresses(
    serve: Serve, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that does not answer leaves time for the next one, within one deadline."""
    server = serve(OK)
    with deaf_address() as deaf:
        live = ("127.0.0.1", request_to(server).port)
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in (deaf, deaf, live)
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert ask(client, server, 3.0) == b"{}"
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found[:2])
        with pytest.raises(TooSlow):
            ask(client, server, 0.2, host="elsewhere.example")


def test_a_call_that_is_given_up(serve: Serve, client: Client) -> None:
    """Another thread may end a call before its deadline, whatever it waits for."""
    server = serve(b"")
    deadline = Deadline(60)
    errors: list[CallError] = []

    def call() -> None:
        try:
            client.send(request_to(server), deadline)
        except CallError as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    while not server.requests:
        thread.join(0.01)
    deadline.cut()
    thread.join()
    call()  # and one that waits on nothing yet
    assert [type(error) for error in errors] == [CutOff, CutOff]


def test_a_resolver_that_hangs(
    serve: Serve, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more threads wait for it than may, and none of them counts as free before it is.

    Whoever comes meanwhile waits for one of them, for a moment, and less if it is given up.
    """
    server = serve(OK)
    lookup, asked, answered = socket.getaddrinfo, threading.Semaphore(0), threading.Event()

    def hangs(*arguments: Any, **options: Any) -> Any:
        asked.release()
        answered.wait()
        return lookup(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    deadlines = [Deadline(60) for _ in range(LOOKUPS)]
    with ThreadPoolExecutor(LOOKUPS + 1) as threads:
        try:
            calls = [threads.submit(client.send, request_to(server), each) for each in deadlines]
            for _ in calls:
                asked.acquire()
            assert [each.cut() for each in deadlines] == [False] * LOOKUPS
            with pytest.raises(TooManyLookups):
                ask(client, server)
            given_up = Deadline(60)
            assert given_up.cut()
            with pytest.raises(CutOff):
                client.send(request_to(server), given_up)
            calls.append(threads.submit(client.send, request_to(server), Deadline(60)))
        finally:
            answered.set()
        assert [call.result().read(LIMIT) for call in calls] == [b"{}"] * (LOOKUPS + 1)
    assert ask(client, server) == b"{}"


def test_nobody_there(serve: Serve, client: Client) -> None:
    """A refused connection and a name without an address are named as what they are."""
    server = serve(OK)
    with pytest.raises(NoAddress):
        ask(client, server, host="no-such-host.invalid")
    request = request_to(server)
    server.__exit__()
    with pytest.raises(NoConnection, match="Connection refused"):
        client.send(request, Deadline(20))


def test_out_of_descriptors(serve: Serve, client: Client) -> None:
    """Where none is left the error names the limit, for a name as well as for an address."""
    server = serve(OK)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for host in ("127.0.0.1", "localhost.example"):
            with pytest.raises(NoDescriptors, match=r"of this process, 200 \(ulimit -n\)"):
                ask(client, server, host=host)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in taken:
            os.close(each)
