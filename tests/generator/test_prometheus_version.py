"""``--prometheus-version auto``: the server's own, else promtool's; and no way back and forth."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator
from runscrape_generator import run
from runscrape_generator.cli import main as cli
from runscrape_generator.config.settings import Format, Rule, Settings
from runscrape_generator.errors import ConfigError, ValidationError
from runscrape_generator.publish import prometheus_version
from runscrape_generator.publish.prometheus_version import Found, find
from tests.generator.commands_kit import make_settings
from tests.generator.recorder import Recorder
from tests.kit.odd_server import OddServer, answers, drips
from tests.kit.ports import free_port
from tests.kit.prometheus import prometheus

FALLBACK = "fallback_scrape_protocol"
"""What the output has for Prometheus 3, and not before."""


def buildinfo(version: object) -> bytes:
    return json.dumps({"status": "success", "data": {"version": version}}).encode()


@pytest.fixture
def server() -> Iterator[OddServer]:
    with OddServer(otherwise=answers(body=buildinfo("3.5.3+ds1"))) as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, google: Emulator) -> Settings:
    return make_settings(tmp_path, google)


def reloading(settings: Settings, server: OddServer, **more: Any) -> Settings:
    return replace(settings, reload=f"{server.url}/prometheus/-/reload", **more)


def rendered(settings: Settings) -> str:
    """Run once, and give the output."""
    run.once("generate", settings, Recorder(), stdout=io.StringIO())
    return (settings.output or Path()).read_text()


def fake_promtool(folder: Path, version: str) -> str:
    """A promtool that tells that version, and takes every file."""
    path = folder / "promtool"
    path.write_text(f"#!/bin/sh\necho 'promtool, version {version} (branch: x)'\n")
    path.chmod(0o755)
    return str(path)


def test_the_server_is_asked(settings: Settings, server: OddServer) -> None:
    """The release is that of the server that --reload names, below its own path; without patch."""
    assert find(reloading(settings, server)).version == "3.5"
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("GET", "/prometheus/api/v1/status/buildinfo")
    assert FALLBACK in rendered(reloading(settings, server))


def test_a_real_prometheus_tells_it(settings: Settings, tmp_path: Path) -> None:
    """A real server tells the version that its own binary has."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "prometheus.yml").write_text("")
    with prometheus(tmp_path / "p" / "prometheus.yml") as address:
        found = find(replace(settings, reload=f"{address}/-/reload"))
    assert found.told_by == f"{address} says so"
    said = subprocess.run(["prometheus", "--version"], capture_output=True, text=True, check=True)
    assert f"version {found.version}." in said.stdout + said.stderr


@pytest.mark.parametrize(
    "script",
    [
        answers(404),
        answers(401),
        answers(302, Location="/elsewhere"),
        answers(body=b"<html>"),
        answers(body=b"[]"),
        answers(body=b"[" * 60_000),
        answers(body=buildinfo(None)),
        answers(body=buildinfo("2.24.0")),
        answers(body=buildinfo("x" * 100_000)),
    ],
)
def test_a_server_that_does_not_tell_it_is_passed_over(
    settings: Settings, script: Any, tmp_path: Path
) -> None:
    """Whatever else a server answers, promtool is asked, or the usual release is taken."""
    with OddServer(otherwise=script) as server:
        chosen = reloading(settings, server)
        assert find(chosen).version == "2.42"
        told = find(replace(chosen, promtool=fake_promtool(tmp_path, "2.53.3+ds1")))
    assert told == Found(
        "2.53", f"{tmp_path / 'promtool'} is of that version", ("promtool", "2.53")
    )


def test_a_server_that_drips_is_given_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that takes for ever is as good as none."""
    monkeypatch.setattr(prometheus_version, "TIMEOUT", 0.2)
    slow = drips(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{", b" ")
    with OddServer(otherwise=slow) as server:
        assert find(reloading(settings, server)).version == "2.42"


def test_nobody_tells_it(settings: Settings) -> None:
    """Then it is 2.42, or the release that brought the newest field of the rules."""
    assert find(settings).version == "2.42"
    rules = (Rule(scrape_config={"always_scrape_classic_histograms": True}),)
    assert find(replace(settings, rules=rules)).version == "3.0"


def test_a_server_that_is_down_changes_nothing(settings: Settings, server: OddServer) -> None:
    """What the server said last stands in for it, and no run flips the output."""
    chosen = reloading(settings, server)
    first = rendered(chosen)
    down = replace(chosen, reload=f"http://127.0.0.1:{free_port()}/-/reload")
    server.otherwise = answers(503)
    assert rendered(chosen) == first
    assert find(chosen).told_by.endswith("said so last, and does not answer now")
    assert find(down).version == "2.42"  # another server, which has told nothing yet
    server.otherwise = answers(body=buildinfo("2.53.0"))
    assert FALLBACK not in rendered(chosen)


def test_a_promtool_that_is_not_found_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    """A shell that finds no promtool renders as the one before did, which found one."""
    program = fake_promtool(tmp_path, "3.5.0")
    chosen = replace(settings, promtool=program)
    first = rendered(chosen)
    assert FALLBACK in first
    Path(program).unlink()
    assert find(chosen).version == "3.5"
    assert find(replace(chosen, promtool="none")).version == "2.42"


def test_a_dry_run_remembers_nothing(settings: Settings, server: OddServer) -> None:
    """A dry run asks as a real one does, and leaves nothing behind."""
    chosen = reloading(settings, server)
    run.once("generate", replace(chosen, dry_run=True), Recorder(), stdout=io.StringIO())
    assert list((settings.output or Path()).parent.iterdir()) == []


@pytest.mark.parametrize(
    "memory", ["", "{", "[]", "[" * 100_000, '{"promtool": 5}', '{"promtool": "rm -rf"}']
)
def test_a_broken_memory_is_none(settings: Settings, memory: str) -> None:
    """What is remembered is checked as it is read."""
    folder = (settings.output or Path()).parent
    (folder / ".inventory.json.runscrape-prometheus").write_text(memory)
    assert find(replace(settings, promtool=str(folder / "no-promtool"))).version == "2.42"


def test_a_given_version_is_not_asked_for(settings: Settings, server: OddServer) -> None:
    """Who gives a version gets it, whatever the server says."""
    assert FALLBACK not in rendered(reloading(settings, server, prometheus_version="2.53"))
    assert not [asked for asked in server.asked if "buildinfo" in asked.path]


def test_vmagent_and_the_operator_are_not_asked(settings: Settings, server: OddServer) -> None:
    """A reload that is not of the Prometheus that reads the output tells nothing of it."""
    for other in (Format.VMAGENT, Format.OPERATOR):
        text = rendered(reloading(settings, server, format=other))
        assert FALLBACK not in text
        assert "fallbackScrapeProtocol" not in text
    assert not [asked for asked in server.asked if "buildinfo" in asked.path]


def test_what_that_version_does_not_know_is_refused(settings: Settings, server: OddServer) -> None:
    """A rule's field that came after the server's release is a mistake that says who told it."""
    server.otherwise = answers(body=buildinfo("2.53.0"))
    rules = (Rule(scrape_config={"scrape_native_histograms": True}),)
    with pytest.raises(ConfigError) as caught:
        rendered(reloading(settings, server, rules=rules))
    assert str(caught.value) == (
        "rules[0].scrape_config.scrape_native_histograms: Prometheus knows "
        "scrape_native_histograms from 3.8 on, and the output is for 2.53 "
        f"({server.url}/prometheus says so; else --prometheus-version)"
    )


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_a_refusal_of_promtool_names_the_option(settings: Settings) -> None:
    """Where promtool refuses the output, the version that it is for is told, and the option."""
    wrong = replace(settings, promtool="promtool", prometheus_version="99.9"[1:])
    rules = (Rule(scrape_config={"scrape_native_histograms": True}),)
    with pytest.raises(ValidationError, match=r"it is for Prometheus 9\.9, --prometheus-version"):
        rendered(replace(wrong, rules=rules))


def test_explain_and_print_config_say_it(
    google: Emulator, server: OddServer, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Both say which release was taken, and who told it."""
    path = tmp_path / "runscrape.yaml"
    path.write_text(f"reload: {server.url}/-/reload\noutput: x.yml\n")
    flags = ["--config", str(path), "--project", "demo", "--api-endpoint", google.api]
    assert cli.main(["explain", *flags]) == 0
    assert f"\nfor Prometheus 3.5: {server.url} says so\n" in capfd.readouterr().out
    assert cli.main(["explain", "--json", *flags]) == 0
    told = json.loads(capfd.readouterr().out)["prometheus_version"]
    assert told == {"value": "3.5", "origin": f"{server.url} says so"}
    assert cli.main(["generate", "--print-config", *flags]) == 0
    line = f'prometheus_version: "auto"  # default: 3.5, {server.url} says so'
    assert line in capfd.readouterr().out.splitlines()
