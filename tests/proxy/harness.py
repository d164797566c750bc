"""Runs the real command as a process and talks to it over real sockets."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

PATIENCE = 30.0
"""Seconds until a test gives up waiting: much, for machines that are busy with other things."""

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


def eventually(check: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Poll until ``check`` holds."""
    deadline = time.monotonic() + patience
    while not check():
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.02)


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
class Proxy:
    """A running proxy and what it wrote to stderr."""

    process: subprocess.Popen[bytes]
    log_file: Path
    address: tuple[str, int] = field(default=("", 0))

    @property
    def log(self) -> str:
        return self.log_file.read_text()

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

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        return self.process.wait(PATIENCE)


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
    with (
        log_file.open("wb") as log,
        subprocess.Popen(
            [*command, *listen, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=clean_environment() | dict(env or {}),
            **options,
        ) as process,
    ):
        proxy = Proxy(process, log_file)
        try:
            eventually(lambda: _found(proxy), f"a listening proxy:\n{log_file.read_text()}")
            yield proxy
        finally:
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(15)
                process.kill()


ANY_PORT = "127.0.0.1:0"


def clean_environment() -> dict[str, str]:
    """The environment without anybody's Google or proxy settings."""
    foreign = re.compile(r"(?i)GOOGLE_|GCE_|CLOUDSDK_|RUNSCRAPE_|LISTEN_|NOTIFY_|https?_proxy")
    return {name: value for name, value in os.environ.items() if not foreign.match(name)}


def _found(proxy: Proxy) -> bool:
    if proxy.process.poll() is not None:
        raise AssertionError(f"exit {proxy.process.returncode}:\n{proxy.log}")
    listening = re.search(r"listening on (.*)\n", proxy.log)
    if not listening:
        return False
    found = re.search(r"(?:127\.0\.0\.1|0\.0\.0\.0):(\d+)", listening[1])
    if found:
        proxy.address = ("127.0.0.1", int(found[1]))
    return True


def refused(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    command: Sequence[str] = COMMAND,
    **options: Any,
) -> tuple[int, str, float]:
    """Run a command that must not start: its code, its stderr, the seconds that it took."""
    began = time.monotonic()
    done = subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=clean_environment() | dict(env or {}),
        **options,
    )
    return done.returncode, done.stderr, time.monotonic() - began
