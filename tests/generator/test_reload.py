"""What counts as done, refused and unknown, against real servers and a real Prometheus."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runscrape_generator.cloudrun.network import CA_VARIABLES
from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import ConfigError
from runscrape_generator.publish import reload
from runscrape_generator.publish.reload import Outcome, ReloadResult
from runscrape_generator.publish.server import Login, Server
from tests.generator.publishing_kit import PATIENCE, free_port, get, prometheus, until
from tests.kit.odd_server import OddServer, sends
from tests.kit.vmagent import vmagent

CONFIG = "scrape_configs:\n- job_name: one\n  static_configs: [{targets: ['localhost:1']}]\n"


class Listener(ThreadingHTTPServer):
    """Answers every POST with one status, and remembers what was asked."""

    daemon_threads = True
    status = 200
    body = b""
    hang = False
    metrics: Iterator[str] | None = None
    """What to show at /metrics each time; None: nothing."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, str | None]] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/-/reload"


class Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        self.server.asked.append((self.command, self.path, self.headers["Authorization"]))
        if self.server.hang:
            self.server.over.wait(PATIENCE)
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def do_GET(self) -> None:
        login = self.headers["Authorization"]
        if self.server.metrics is None or self.path != "/metrics":
            self.send_error(404)
            return
        self.server.asked.append((self.command, self.path, login))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"# HELP a b\na 1\n{next(self.server.metrics)}z 2\n".encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Listener]:
    with Listener() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.over.set()
        running.shutdown()
        thread.join()


def test_done(server: Listener) -> None:
    """200 is done, asked for by one POST."""
    assert reload.by_url(Server(server.url)) == ReloadResult(Outcome.DONE)
    assert server.asked == [("POST", "/-/reload", None)]


@pytest.mark.parametrize(
    ("status", "outcome", "said"),
    [
        (500, Outcome.REFUSED, "answered 500: bad thing in line 3"),
        (403, Outcome.REFUSED, "--web.enable-lifecycle"),
        (404, Outcome.REFUSED, "it ends in /-/reload"),
        (401, Outcome.REFUSED, "--reload-user and --reload-password-file"),
        (302, Outcome.REFUSED, "a redirect is not followed: name the address that it leads to"),
        (999, Outcome.REFUSED, "answered 999"),
        (502, Outcome.UNKNOWN, "answered 502"),
        (503, Outcome.UNKNOWN, "answered 503"),
        (504, Outcome.UNKNOWN, "answered 504"),
    ],
)
def test_answers(server: Listener, status: int, outcome: Outcome, said: str) -> None:
    """A no is refused, with the reason in one line and a remedy; a proxy's excuse is unknown."""
    server.status, server.body = status, b"bad \x1b[31mthing\n\tin line 3"
    answer = reload.by_url(Server(server.url))
    assert answer.outcome is outcome
    assert said.replace("bad thing", "bad [31mthing") in answer.reason
    assert answer.reason.isprintable()
    assert len(server.asked) == 1


def test_nobody_there() -> None:
    """A Prometheus that is down is unknown, not refused."""
    answer = reload.by_url(Server(f"http://127.0.0.1:{free_port()}/-/reload"))
    assert answer.outcome is Outcome.UNKNOWN
    assert "Connection refused" in answer.reason


def test_no_http() -> None:
    """What answers in another protocol is told in words, and not in Python's."""
    with OddServer(otherwise=sends(b"\0no http\r\n\r\n")) as odd:
        answer = reload.by_url(Server(f"{odd.url}/-/reload"))
    assert answer.outcome is Outcome.UNKNOWN
    assert answer.reason.endswith("could not be asked: what answers there is no HTTP server")


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_ca_file_that_is_not_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told before anything is published, as it is for Google's APIs."""
    for each in CA_VARIABLES:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, "/nowhere/ca.pem")
    settings = Settings(reload="https://127.0.0.1:9/-/reload")
    with pytest.raises(ConfigError, match=f"{name}: /nowhere/ca.pem cannot be read"):
        reload.reloading(settings)


def test_too_slow(server: Listener) -> None:
    """A Prometheus that does not answer in time is unknown."""
    server.hang = True
    answer = reload.by_url(Server(server.url), timeout=0.1)
    assert answer.outcome is Outcome.UNKNOWN
    assert "did not answer in 0.1 s" in answer.reason


def test_user_and_password(server: Listener) -> None:
    """User and password are sent as UTF-8, and never shown."""
    server.status = 401
    answer = reload.by_url(Server(server.url, Login("jo@x", "s3cr ét:")))
    expected = base64.b64encode("jo@x:s3cr ét:".encode()).decode()
    assert server.asked == [("POST", "/-/reload", f"Basic {expected}")]
    assert "s3cr" not in answer.reason
    assert "--reload-password-file" in answer.reason
    assert "s3cr" not in repr(Login("jo@x", "s3cr ét:"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b" s3cret\r\n", ""),
        (None, "No such file"),
        (b"\n", "holds no password"),
        (b"x" * 5000, "larger than 4096 bytes"),
        (b"\xff", "is not UTF-8 text"),
    ],
)
def test_the_password_is_in_a_file(
    server: Listener, tmp_path: Path, content: bytes | None, said: str
) -> None:
    """It is read for each run, white space around it left out; a file without one is told."""
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    settings = Settings(reload=server.url, reload_user="jo", reload_password_file=path)
    if said:
        with pytest.raises(ConfigError, match=said) as caught:
            reload.reloading(settings)
        assert "x" * 50 not in str(caught.value)
    else:
        found = reload.reloading(settings)
        assert found is not None
        assert found.call().outcome is Outcome.DONE
        expected = base64.b64encode(b"jo:s3cret").decode()
        assert server.asked == [("POST", "/-/reload", f"Basic {expected}")]


def test_a_pipe_is_no_password(tmp_path: Path) -> None:
    """What is no regular file is not waited for."""
    os.mkfifo(tmp_path / "pipe")
    chosen = Settings(
        reload="http://x/-/reload", reload_user="a", reload_password_file=tmp_path / "pipe"
    )
    with pytest.raises(ConfigError, match="not a regular file"):
        reload.reloading(chosen)


VM = "vm_promscrape_config_"


@pytest.mark.parametrize(
    ("shown", "outcome", "looks"),
    [
        (["prometheus_config_last_reload_successful 1\n"] * 2, Outcome.DONE, 2),
        (["prometheus_config_last_reload_successful 0\n"] * 2, Outcome.REFUSED, 2),
        ([""], Outcome.DONE, 1),
        (
            [f"{VM}last_reload_successful 1\n{VM}reloads_errors_total 0\n"] * 5
            + [f"{VM}last_reload_successful 0\n{VM}reloads_errors_total 1\n"],
            Outcome.REFUSED,
            6,
        ),
        (
            [f"{VM}last_reload_successful 0\n{VM}reloads_total 0\n"] * 3
            + [f"{VM}last_reload_successful 1\n{VM}reloads_total 1\n"],
            Outcome.DONE,
            4,
        ),
        ([f"{VM}last_reload_successful 1\n"] * 200, Outcome.DONE, 102),
    ],
)
def test_what_the_metrics_say(
    server: Listener, shown: list[str], outcome: Outcome, looks: int
) -> None:
    """A 200 counts only where the server's own metrics do not say that the reload failed."""
    server.metrics = iter(shown)
    answer = reload.by_url(Server(server.url, Login("a", "b")), sleep=lambda _: None)
    assert answer.outcome is outcome
    asked = [method for method, _, _ in server.asked]
    assert (asked.count("GET"), asked.count("POST")) == (looks, 1)
    assert len({login for _, _, login in server.asked}) == 1
    assert ("is 0" in answer.reason) == (outcome is Outcome.REFUSED)


def test_no_credentials_of_others(
    server: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ``.netrc`` holds for that host is for other programs."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    reload.by_url(Server(server.url))
    assert server.asked == [("POST", "/-/reload", None)]


def test_no_proxy_for_loopback(server: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is left out for loopback, which it could not reach."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert reload.by_url(Server(server.url)).outcome is Outcome.DONE


@pytest.mark.parametrize(
    ("command", "outcome", "said"),
    [
        ("true", Outcome.DONE, ""),
        ("echo fine && test 1 = 1", Outcome.DONE, ""),
        ("echo out; echo '\x1b[31merr' >&2; exit 3", Outcome.REFUSED, "code 3: out [31merr"),
        ("kill -9 $$", Outcome.REFUSED, "ended by signal 9: it said nothing"),
        ("no-such-program-here", Outcome.REFUSED, "not found"),
    ],
)
def test_commands(command: str, outcome: Outcome, said: str) -> None:
    """A command runs in a shell; anything but 0 is refused, with what it said in one line."""
    answer = reload.by_command(command)
    assert answer.outcome is outcome
    assert said in answer.reason


def test_slow_command_ends_with_its_children(tmp_path: Path) -> None:
    """A command that takes too long is killed with what it started, and is unknown."""
    pid = tmp_path / "pid"
    answer = reload.by_command(f"sleep 300 & echo $! > {pid}; wait", timeout=0.3)
    assert answer == ReloadResult(Outcome.UNKNOWN, "the reload command took more than 0.3 s")
    until(lambda: not alive(int(pid.read_text())), why="the child to end")


def test_daemon_does_not_hold_up(tmp_path: Path) -> None:
    """A daemon that the command leaves behind holds its output open, and nobody waits for it."""
    pid, begun = tmp_path / "pid", time.monotonic()
    answer = reload.by_command(f"sleep 300 & echo $! > {pid}")
    os.kill(int(pid.read_text()), signal.SIGKILL)
    assert answer.outcome is Outcome.DONE
    assert time.monotonic() - begun < PATIENCE


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except FileNotFoundError:
        return False


def test_read_only_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a temporary folder a command runs all the same; what it says is lost."""
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    assert reload.by_command("echo fine").outcome is Outcome.DONE
    answer = reload.by_command("echo bad; exit 3")
    assert answer.outcome is Outcome.REFUSED
    assert answer.reason.endswith("exit code 3: it said nothing")


def test_no_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that cannot even be started is refused, with the system's reason."""

    def no_shell(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, os.strerror(2), "/bin/sh")

    monkeypatch.setattr("subprocess.Popen", no_shell)
    answer = reload.by_command("true")
    assert answer.outcome is Outcome.REFUSED
    assert "/bin/sh" in answer.reason


def test_neither_way() -> None:
    """Without URL and command there is nothing to call."""
    assert reload.reloading(Settings()) is None


def test_real_prometheus(tmp_path: Path) -> None:
    """A real Prometheus says yes to a good file, and why not to a bad one."""
    config = tmp_path / "etc" / "prometheus.yml"
    config.parent.mkdir()
    config.write_text(CONFIG)
    with prometheus(config, "--web.enable-lifecycle") as address:
        assert reload.by_url(Server(f"{address}/-/reload")).outcome is Outcome.DONE
        config.write_text(CONFIG + "nonsense: 1\n")
        answer = reload.by_url(Server(f"{address}/-/reload"))
    assert answer.outcome is Outcome.REFUSED
    assert "field nonsense not found" in answer.reason


@pytest.mark.skipif(shutil.which("vmagent") is None, reason="vmagent not installed")
def test_real_vmagent(tmp_path: Path) -> None:
    """A real vmagent answers 200 to everything; where its metrics tell more, they are believed."""
    jobs = tmp_path / "jobs.yml"
    jobs.write_text("[]")
    (tmp_path / "main.yml").write_text("scrape_config_files: [jobs.yml]\n")
    with vmagent(tmp_path) as address:
        tells = "vm_promscrape_config_last_reload_successful" in get(f"{address}/metrics")
        for text, good in (
            ("- job_name: a\n", True),
            ("- job_name: a\n  nonsense: 1\n", False),
            ("- job_name: b\n", True),
        ):
            jobs.write_text(text)
            expected = Outcome.DONE if good or not tells else Outcome.REFUSED
            assert reload.by_url(Server(f"{address}/-/reload")).outcome is expected
