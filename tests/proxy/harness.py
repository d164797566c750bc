"""Runs the real command as a process and talks to it over real sockets."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.kit.programs import Program, clean_environment
from tests.kit.programs import running as program
from tests.kit.waiting import QUIET as PATIENCE
from tests.kit.waiting import until as eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["PATIENCE", "clean_environment", "eventually"]

COMMAND = (sys.executable, "-m", "runscrape_proxy")
API = "https://api-x7k2mq4wza-uc.a.run.app"
SHOP = "https://shop-x7k2mq4wza-uc.a.run.app"
FORM = "application/x-www-form-urlencoded"


def fake(delay: float = 0.0) -> tuple[str, ...]:
    """The command with a function for Google."""
    return (sys.executable, "-m", "tests.proxy.fake", str(delay))


def fake_with(change: str, delay: float = 0.0) -> tuple[str, ...]:
    """The same with one of our constants changed, where waiting it out takes long."""
    code = (
        "import runpy, sys; from runscrape_proxy import proxy as service\n"
        "from runscrape_proxy.serving import descriptors, polling, server, worker\n"
        f"{change}\n"
        f"sys.argv[0:1] = ['fake', '{delay}']\n"
        "runpy.run_module('tests.proxy.fake', run_name='__main__')"
    )
    return (sys.executable, "-c", code)


def children_of(pid: int) -> list[int]:
    """The processes that a process has started, such as an arbiter's worker."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass
class Answer:
    """One HTTP answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Proxy(Program):
    """A running proxy and where it listens."""

    address: tuple[str, int] = field(default=("", 0))

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def request(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def token(
        self,
        audience: str | None = API,
        *,
        path: str = "/token",
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        fields = {"grant_type": "client_credentials"} | dict(form or {})
        if audience is not None:
            fields["audience"] = audience
        return self.request(
            "POST", path, urlencode(fields), {"Content-Type": FORM} | dict(headers or {})
        )

    def raw(self, request: bytes, *, end: bool = False) -> bytes:
        """Send bytes as they are; all that comes back until the proxy closes or falls silent."""
        with socket.create_connection(self.address, timeout=PATIENCE) as connection:
            connection.sendall(request)
            if end:
                connection.shutdown(socket.SHUT_WR)
            return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    """All bytes until the other side closes; a reset counts as that too."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            data += chunk
    return data


@contextlib.contextmanager
def running(
    directory: Path,
    command: Sequence[str],
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    **options: Any,
) -> Iterator[Proxy]:
    """Start a proxy on a port of the kernel's choice and wait until it answers."""
    log_file = directory / f"proxy-{time.monotonic_ns()}.log"
    listen = () if any(str(each) == "--listen" for each in arguments) else ("--listen", ANY_PORT)
    environment = clean_environment() | dict(env or {})
    words = [*command, *listen, *map(str, arguments)]
    forked = not options and may_be_forked(command)
    with program(words, log_file, env=environment, forked=forked, **options) as started:
        found = started.until_it_says(r"listening on (.*)\n")[1]
        port = re.search(r"(?:127\.0\.0\.1|0\.0\.0\.0):(\d+)", found)
        address = ("127.0.0.1", int(port[1])) if port else ("", 0)
        yield Proxy(started.process, log_file, address)


ANY_PORT = "127.0.0.1:0"


def may_be_forked(command: Sequence[str]) -> bool:
    """Whether it is all the same to start the command by itself: it is plain Python of ours."""
    return bool(
        command[0] == sys.executable and re.search("runscrape_proxy|proxy.fake", command[2])
    )


def refused(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    command: Sequence[str] = COMMAND,
    **options: Any,
) -> tuple[int, str, float]:
    """Run a command that must not start: its code, what it says, the seconds that it took."""
    environment = clean_environment() | dict(env or {})
    forked = not options and may_be_forked(command)
    words = [*command, *map(str, arguments)]
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        program(words, Path(folder, "log"), env=environment, forked=forked, **options) as started,
    ):
        code = started.process.wait(PATIENCE)
        return code, started.log, time.monotonic() - began
