"""What the kit promises to the tests that are built on it."""

from __future__ import annotations

import http.client
import os
import signal
import sys
from pathlib import Path

import pytest
import requests
from coverage import CoverageData

from tests.kit import coverage_files
from tests.kit.authority import Authority
from tests.kit.odd_server import OddServer, answers, hangs, sends
from tests.kit.programs import clean_environment, running
from tests.kit.waiting import until

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
time.sleep(600)
"""


def test_a_wait_ends_when_nothing_changes() -> None:
    """A wait fails once nothing has changed for long, with what was seen last."""
    with pytest.raises(AssertionError, match=r"for the moon; last seen: \[\]"):
        until(list, "the moon", quiet=0.2)


def test_a_wait_goes_on_while_something_changes() -> None:
    """What changes, in what is waited for or beside it, makes a wait go on."""
    turns = iter(range(1000))
    assert until(lambda: next(turns) > 30, "it", changing=lambda: next(turns), quiet=0.2)


def test_nobody_answers_yet() -> None:
    """A connection that is refused counts as nothing."""
    tries = []

    def look() -> bool:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionRefusedError
        return True

    assert until(look, "an answer")


def test_a_program_and_its_children_end(tmp_path: Path) -> None:
    """Whatever a program has started ends with the block."""
    with running([sys.executable, "-c", PARENT], tmp_path / "log") as program:
        child = int(program.until_it_says(r"child (\d+)")[1])
        assert Path(f"/proc/{child}").exists()
    assert program.code == -signal.SIGTERM
    until(lambda: not alive(child), "the child to end")


TESTS = """
import sys
from pathlib import Path
from tests.kit.programs import running
code = "import os, time; print('running', os.getpid(), flush=True); time.sleep(600)"
with (
    running([sys.executable, "-c", code], Path("log")) as one,
    running([sys.executable, "-c", code], Path("forked"), forked=True) as other,
):
    print("both", *(p.until_it_says(r"running (\\d+)")[1] for p in (one, other)), flush=True)
    other.process.wait(600)
"""


@pytest.mark.skipif(
    sys.platform != "linux", reason="nothing but Linux ends a child with its parent"
)
def test_a_program_ends_with_tests_that_are_killed(tmp_path: Path) -> None:
    """Tests that are killed leave none of the programs that they had started."""
    env = clean_environment() | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with running(
        [sys.executable, "-c", TESTS], tmp_path / "tests.log", cwd=tmp_path, env=env
    ) as tests:
        pids = tests.until_it_says(r"both (\d+) (\d+)").groups()
        assert tests.stop(signal.SIGKILL) == -signal.SIGKILL
        until(lambda: not any(alive(int(pid)) for pid in pids), "both to end")


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]
    except OSError:
        return False


def test_a_program_that_ends_early_is_told(tmp_path: Path) -> None:
    """A wait for a program that has ended fails at once, with its code and its words."""
    command = [sys.executable, "-c", "import sys; sys.exit('no such file: x')"]
    with (
        running(command, tmp_path / "log") as program,
        pytest.raises(AssertionError, match=r"(?s)exit 1 in place of ready.*no such file: x"),
    ):
        program.until(lambda: False, "ready")


def test_a_program_has_a_clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's credentials or proxies reach a program that is given none."""
    monkeypatch.setenv("GOOGLE_X", "mine")
    monkeypatch.setenv("https_proxy", "http://mine")
    show = "import os; print([os.environ.get(n) for n in ('PATH', 'https_proxy', 'GOOGLE_X')])"
    with running([sys.executable, "-c", show], tmp_path / "log") as program:
        assert program.process.wait(60) == 0
    assert program.log.strip() == repr([os.environ["PATH"], None, None])


def test_odd_server(tmp_path: Path) -> None:
    """It answers by path, over TLS or not, in pieces or not at all, and keeps what it was asked."""
    authority = Authority(tmp_path)
    scripts = {
        "/json": answers(201, {"a": 1}, X_Odd="yes"),
        "/cut": sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
        "/hang": hangs,
    }
    with (
        OddServer(scripts, tls=authority.server("localhost")) as server,
        requests.Session() as http_client,
    ):
        http_client.trust_env = False  # REQUESTS_CA_BUNDLE
        http_client.verify = str(authority.file)
        whole = http_client.post(f"{server.url}/json?a=b", b"body", timeout=10)
        assert (whole.status_code, whole.json(), whole.headers["X-Odd"]) == (201, {"a": 1}, "yes")
        asked = server.asked[0]
        assert (asked.method, asked.path, asked.body) == ("POST", "/json", b"body")
        assert http_client.get(f"{server.url}/else", timeout=10).status_code == 404
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            http_client.get(f"{server.url}/cut", timeout=10)
        with pytest.raises(requests.exceptions.ReadTimeout):
            http_client.get(f"{server.url}/hang", timeout=0.5)


def test_odd_server_behind_connect(tmp_path: Path) -> None:
    """As a proxy it is every host, but those that it refuses."""
    authority = Authority(tmp_path)
    refusal = sends(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
    with OddServer(
        otherwise=answers(200, b"it"),
        tunnel=authority.server("*.example.com"),
        refuse=lambda host: refusal if host.startswith("no.") else None,
    ) as server:
        for host, said in (("yes.example.com", b"it"), ("no.example.com", None)):
            context = authority.client()
            connection = http.client.HTTPSConnection(
                "127.0.0.1", server.port, context=context, timeout=10
            )
            connection.set_tunnel(host, 443)
            if said is None:
                with pytest.raises(OSError, match="502"):
                    connection.request("GET", "/")
            else:
                connection.request("GET", "/")
                assert connection.getresponse().read() == said
            connection.close()
    assert server.tunnels == {"yes.example.com": 1, "no.example.com": 1}


def test_half_written_coverage_data_is_deleted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files that a killed process left cut off, empty or torn go; those that are whole stay."""
    files = [tmp_path / f".coverage.{name}" for name in ("cut", "empty", "torn", "whole")]
    for file in files:
        data = CoverageData(str(file))
        data.add_lines({f"{name}.py": range(1, 200) for name in "abcdefgh"})
        data.write()
        data.close()
    cut, empty, torn, whole = files
    cut.write_bytes(cut.read_bytes()[:20_000])
    empty.write_bytes(b"")
    torn.write_bytes(torn.read_bytes()[:8192] + bytes(8192) + torn.read_bytes()[16_384:])
    coverage_files.clean(tmp_path)
    assert list(tmp_path.iterdir()) == [whole]
    assert sorted(line.split(":")[0] for line in capsys.readouterr().err.splitlines()) == [
        file.name for file in files[:3]
    ]
