"""``make demo``: the main job, end to end, as a newcomer sees it."""

from __future__ import annotations

import ast
import contextlib
import importlib.metadata
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.processes import free_port
from tests.kit.waiting import until

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
DEMO = [sys.executable, "-m", "demo"]
KEPT = ["api", "billing", "checkout", "search", "status-page"]
SKIPPED = ["backoffice", "batch", "launching", "ledger"]


def environment(tmp_path: Path, **extra: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "examples"), "TMPDIR": str(tmp_path), **extra}


def test_it_needs_no_more_than_it_installs() -> None:
    """What demo and emulator import is runscrape's own or the extra's that make demo installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extra = project["optional-dependencies"]["demo"]
    installed = {name_of(one) for one in (*project["dependencies"], *extra)}
    # google-cloud-run's own needs, which its users take for granted.
    installed |= {"grpcio", "googleapis-common-protos", "protobuf"}
    packages = importlib.metadata.packages_distributions()
    for file in [
        *(ROOT / "examples/demo").glob("*.py"),
        *(ROOT / "examples/emulator").glob("*.py"),
    ]:
        for module in imported(file) - {"emulator", "demo", "__future__"} - sys.stdlib_module_names:
            found = {name_of(one) for one in packages[module]}
            assert found & installed, f"{file.name}: {module}"
    (said,) = re.findall(r'"installing into \$\(VENV\): runscrape; (.*) for its Google"', MAKEFILE)
    assert set(re.split(", | and ", said)) == {name_of(one) for one in extra}


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=! ]", requirement)[0].lower()


def imported(file: Path) -> set[str]:
    """The top-level modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {one.name.split(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def left_running(tmp_path: Path) -> list[str]:
    """Command lines of processes that speak of the demo's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(tmp_path) in line:
                found.append(line)
    return found


def until_nothing_is_left(tmp_path: Path) -> None:
    """Wait until all of the demo has ended, also what it was just about to start."""
    until(
        lambda: not left_running(tmp_path),
        "the end of the demo",
        changing=lambda: left_running(tmp_path),
        pause=0.2,
    )


def check_table(text: str) -> None:
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    for name in KEPT:
        assert re.search(
            rf"^{name} +\S+ +cloudrun/demo/\S+/{name} +yes +[1-9]", text, re.MULTILINE
        ), text
    for name in SKIPPED:
        assert "none: " in lines[name], text


def test_it_scrapes_by_itself_where_there_is_no_prometheus(tmp_path: Path) -> None:
    """Without a terminal, and Prometheus, the demo ends with a table, 0 and nothing left behind."""
    tools = tmp_path / "bin"
    tools.mkdir()
    env = environment(tmp_path, PATH=str(tools))
    done = subprocess.run(DEMO, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("no Prometheus here") == 1
    check_table(done.stdout)
    assert not re.search("(?i)error|warning", done.stderr), done.stderr
    assert left_running(tmp_path) == []
    assert list(tmp_path.iterdir()) == [tools]


def test_a_port_that_is_taken_is_no_obstacle() -> None:
    """The usual ports are only the first choice."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port


class Terminal:
    """A process on a terminal of its own, and what it has printed."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        ours, theirs = pty.openpty()
        self.fd = ours
        self.process = subprocess.Popen(
            argv, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self.text = ""

    def wait_for(self, found: Callable[[str], object], seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while not found(self.text):
            assert time.monotonic() < end, self.text
            assert self.process.poll() is None, self.text
            if select.select([self.fd], [], [], 0.2)[0]:
                self.text += os.read(self.fd, 65536).decode("utf-8", "replace")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        os.close(self.fd)


@pytest.mark.skipif(
    shutil.which("prometheus") is None and "CI" not in os.environ, reason="needs Prometheus"
)
def test_services_come_and_go_while_it_stays(tmp_path: Path) -> None:
    """On a terminal the demo stays; edits of Google's world show, and complaints about them. A
    closed terminal takes make with it, without a signal to the demo, which ends as well.
    """
    make = ["sh", "-c", '"$@" & wait', "sh", *DEMO]
    with contextlib.closing(Terminal(make, environment(tmp_path))) as terminal:
        terminal.wait_for(lambda text: "Ctrl-C ends" in text)
        assert "no Prometheus here" not in terminal.text
        check_table(terminal.text)
        match = re.search(r"Google's services: +(\S+)", terminal.text)
        assert match
        world = Path(match[1])
        assert re.search(r"http://127.0.0.1:\d+/targets", terminal.text)
        before = world.read_text("utf-8")
        world.write_text(before + "      - {name: newcomer, region: us-central1}\n", "utf-8")
        terminal.wait_for(lambda text: "/us-central1/newcomer: up" in text)
        world.write_text(before, "utf-8")
        terminal.wait_for(lambda text: "/us-central1/newcomer: gone" in text)
        world.write_text(before + "      - {nam: newcomer, region: us-central1}\n", "utf-8")
        kept = "emulator: the world is kept as it was: world.projects.demo.services[10]: "
        terminal.wait_for(lambda text: f"{kept}unknown key 'nam'" in text)
        few = re.sub(r".*\{name: .*(us-central1|europe-west1),.*\n", "", before)
        world.write_text(few, "utf-8")
        terminal.wait_for(lambda text: "runscrape: error: refused to remove" in text)
        assert left_running(tmp_path)
        terminal.process.kill()
        until_nothing_is_left(tmp_path)


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    """It ends with 0 and leaves nothing behind, also while it starts."""
    with contextlib.closing(Terminal(DEMO, environment(tmp_path))) as terminal:
        terminal.wait_for(lambda text: "$ runscrape generate" in text)
        assert left_running(tmp_path)
        os.killpg(terminal.process.pid, signal.SIGINT)  # as a terminal does
        assert terminal.process.wait(60) == 0
        until_nothing_is_left(tmp_path)
