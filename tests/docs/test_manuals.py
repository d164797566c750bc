"""All that the two programs show of themselves is in the manual of the right one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from emulator import Emulator
from runscrape_generator import errors
from runscrape_generator.cli import commands
from runscrape_generator.cli import main as cli
from runscrape_proxy import cli as proxy_cli
from runscrape_proxy.serving import descriptors
from runscrape_proxy.settings import WARM_THREADS, Settings
from tests.docs.reference import GENERATOR, PROXY
from tests.proxy.harness import Proxy, fake, running

MANUALS = {path: path.read_text("utf-8") for path in (GENERATOR, PROXY)}


def help_of(command: click.Command, *words: str) -> str:
    return CliRunner().invoke(command, [*words, "--help"]).output


def options(page: str) -> set[str]:
    """Give the flags of a help page that a manual has to have."""
    listed = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", page, re.MULTILINE))
    return listed - {"--help", "--version"}


def in_code(name: str, manual: Path) -> bool:
    """Whether a manual has a name in backticks, by itself or with what belongs to it."""
    return (
        re.search(rf"`(?:[^`\n]*[ ,])?{re.escape(name)}(?![\w-])[^`\n]*`", MANUALS[manual])
        is not None
    )


@pytest.mark.parametrize("command", sorted(commands.group().commands))
def test_each_command_of_the_generator(command: str) -> None:
    """A command, and each option on its help page, is in the generator's manual."""
    page = help_of(commands.group(), command)
    assert len(options(page)) > 10
    assert in_code(f"runscrape {command}", GENERATOR)
    assert {option for option in options(page) if not in_code(option, GENERATOR)} == set()


def test_each_option_of_the_proxy() -> None:
    """Each option on the proxy's help page, and its variable, is in the proxy's manual."""
    found = options(help_of(proxy_cli.command))
    assert len(found) > 20
    found |= {f"RUNSCRAPE_PROXY{name[1:].replace('-', '_').upper()}" for name in found}
    assert {name for name in found if not in_code(name, PROXY)} == set()


@pytest.mark.parametrize("command", ["generate", "targets", "explain"])
def test_each_variable_of_the_generator(
    command: str, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each key that --print-config shows has its variable in the generator's manual."""
    assert cli.main([command, "--api-endpoint", emulator.api, "--print-config"]) == 0
    keys = set(re.findall(r"^(?:# )?([a-z_]+):", capsys.readouterr().out, re.MULTILINE))
    assert len(keys) > 10
    names = {f"RUNSCRAPE_{key.upper()}" for key in keys - {"rules"}}
    assert {name for name in names if not in_code(name, GENERATOR)} == set()


def test_each_metric_of_the_generator(
    tmp_path: Path, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each metric that a run writes is in the generator's manual."""
    own = ["--project", "demo", "--api-endpoint", emulator.api, "--promtool", "none"]
    files = ["--output", str(tmp_path / "out.yml"), "--metrics-file", str(tmp_path / "run.prom")]
    assert cli.main(["generate", *own, *files]) == 0, capsys.readouterr().err
    found = set(metrics((tmp_path / "run.prom").read_text("utf-8")))
    assert len(found) > 5
    assert {name for name in found if not in_code(name, GENERATOR)} == set()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("proxy")
    inventory = folder / "inventory.json"
    inventory.write_text('{"version": 1, "scopes": {}}')
    with running(folder, fake(), "--gateway", "--inventory", inventory) as started:
        yield started


def test_each_metric_of_the_proxy(proxy: Proxy) -> None:
    """Each metric that the proxy serves, with the gateway's, is in the proxy's manual."""
    found = set(metrics(proxy.get("/metrics").text))
    assert len(found) > 8
    assert {name for name in found if not in_code(name, PROXY)} == set()


def metrics(exposition: str) -> Iterator[str]:
    for family in text_string_to_metric_families(exposition):
        if family.name.startswith("runscrape_"):
            yield f"{family.name}_total" if family.type == "counter" else family.name


def test_each_exit_code() -> None:
    """Each error's exit code, and those that are no error, have a row in the generator's manual."""
    codes = {kind.exit_code for kind in errors.RunscrapeError.__subclasses__()}
    assert codes >= {2, 4, 5, 6, 7, 8, 9}
    rows = set(map(int, re.findall(r"^\| (\d+) \|", MANUALS[GENERATOR], re.MULTILINE)))
    assert rows >= codes | {0, 3, 130, 143}


def test_how_many_descriptors_the_proxy_needs() -> None:
    """The manual's figures are those by which a start is refused."""
    for settings in Settings(), Settings(gateway=True):
        for threads in settings.threads, WARM_THREADS + 1:
            assert f"{descriptors.needed(settings, threads):,}" in MANUALS[PROXY]
