"""What the worker does where the system gives no more threads or descriptors."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from gunicorn.config import Config
from gunicorn.workers.workertmp import WorkerTmp

from runscrape_proxy.errors import StartError
from runscrape_proxy.serving import server
from runscrape_proxy.serving.threads import Threads
from runscrape_proxy.serving.worker import ProxyWorker
from tests.proxy.harness import fake_with, refused

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from tests.proxy.conftest import StartProxy


def test_no_more_threads(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Work goes to the threads that there are; without any, the caller hears of it."""
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def only_one(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", only_one)
    with Threads(max_workers=8) as pool:
        assert list(pool.map(abs, range(-20, 0))) == list(range(20, 0, -1))
    assert "no more threads" in caplog.text
    with Threads(max_workers=8) as empty, pytest.raises(RuntimeError):
        empty.submit(abs, 1)


class Listener:
    """A listening socket that fails."""

    def __init__(self, code: int) -> None:
        self.code = code

    def accept(self) -> None:
        raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_no_more_descriptors(code: int, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that cannot be accepted now is left for later; gunicorn alone would end."""
    worker = ProxyWorker(0, 0, [], None, 30, Config(), None)
    with contextlib.closing(worker.tmp):
        worker.accept(cast("socket.socket", Listener(code)))
        assert f"cannot accept a connection: {os.strerror(code)} (ulimit -n: " in caplog.text
        with pytest.raises(OSError, match="Bad file"):
            worker.accept(cast("socket.socket", Listener(errno.EBADF)))


def test_nowhere_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any folder to write in the start ends with what to mount."""

    def nowhere() -> str:
        raise FileNotFoundError

    monkeypatch.setattr(server, "SHARED_MEMORY", "/nowhere")
    monkeypatch.setattr("tempfile.gettempdir", nowhere)
    with pytest.raises(StartError, match="mount a tmpfs"):
        server.heartbeat_folder()


LIMITED = """
import pathlib, threading
start = threading.Thread.start
def start_if_allowed(thread):
    allowed = int(pathlib.Path({file!r}).read_text())
    serving = sum(each.name.startswith("ThreadPool") for each in threading.enumerate())
    if thread.name.startswith("ThreadPool") and serving >= allowed:
        raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = start_if_allowed
"""
"""A system that has so many threads for requests as a file says."""


def test_threads_run_out(start_proxy: StartProxy, tmp_path: Path) -> None:
    """With few threads all are answered; with none it is a 503, and nothing of it stays."""
    allowed = tmp_path / "allowed"
    allowed.write_text("0")
    command = fake_with(LIMITED.format(file=str(allowed)), delay=0.01)
    proxy = start_proxy(command=command)
    for _ in range(2):
        answer = proxy.token()
        assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
        assert answer.headers["retry-after"] == "1"
    allowed.write_text("3")
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda n: proxy.token(f"https://a{n}.run.app"), range(60)))
    assert {answer.status for answer in answers} == {200}
    assert "no thread can be started" in proxy.log
    assert "no more threads from the system: 3 serve" in proxy.log
    assert proxy.log.count("no more threads") <= 3
    assert "Traceback" not in proxy.log


def test_no_thread_to_start_with() -> None:
    """The proxy ends with 1, and what to raise; whoever looks after it starts it again."""
    code = (
        "import threading\n"
        'def refuse(thread): raise RuntimeError("can\'t start new thread")\n'
        "threading.Thread.start = refuse"
    )
    ended, said, _ = refused("--listen", "127.0.0.1:0", command=fake_with(code))
    assert ended == 1
    assert "cannot start: can't start new thread (ulimit -u, or the container's pids" in said
    assert "Traceback" not in said


def test_a_worker_that_was_paused_with_us_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """After docker pause it has a while to show that it lives; one that hangs is ended."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    ended: list[int] = []
    arbiter = object.__new__(server.ProxyArbiter)
    arbiter.timeout = 30
    arbiter.log = logging.getLogger()
    arbiter.kill_worker = lambda pid, _signal: ended.append(pid)
    with contextlib.closing(WorkerTmp(Config())) as heartbeat:
        arbiter.WORKERS = {7: SimpleNamespace(tmp=heartbeat, aborted=False)}
        heartbeat.notify()
        for seconds in (1, 60, *[1] * 29):
            now[0] += seconds
            arbiter.murder_workers()
            assert ended == []
        now[0] += 2
        arbiter.murder_workers()
        assert ended == [7]
