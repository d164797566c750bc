"""The generator's commands in README, manuals and examples do what they are shown for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator
from runscrape_generator.cli import main as cli
from tests.docs.reference import ROOT
from tests.docs.test_commands import TEXTS, is_call, typed

WORLD: dict[str, Any] = {
    "projects": {
        project: {
            "number": number,
            "folders": ["123456789012"],
            "services": [
                {
                    "name": name,
                    "region": "us-central1",
                    "max_instances": 1,
                    "custom_audiences": ["https://metrics.example.com"],
                }
                for name in ("api", "shop")
            ],
        }
        for number, project in enumerate(("my-project", "my-other-project"), 1)
    }
}
FILES = {"--output", "--into", "--inventory", "--config"}
WRITTEN = {"--output", "--into"}

COMMANDS = sorted(
    {
        (settings if (ROOT / settings).exists() else "examples/gateway/runscrape.yaml", *words)
        for name, text in TEXTS.items()
        for settings in [f"{Path(name).parent}/runscrape.yaml"]
        for program, words in typed(text)
        if program == "runscrape" and is_call(program, words) and len(words) > 1
        if not any(word.isupper() for word in words)  # FILE and the like stand for something
    }
)
"""A runscrape.yaml that goes with the text, and the command."""


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(WORLD, tmp_path_factory.mktemp("google")) as running:
        yield running


def here(words: Sequence[str], folder: Path) -> list[str]:
    """Give the command for this machine: its files in one folder, one run, nobody to reload."""
    done = [words[0]]
    for option, word in itertools.pairwise(words):
        if {"--watch", "--prometheus"} & {option, word}:
            continue
        if option == "--reload":
            done.append("http://127.0.0.1:1/-/reload")
        else:
            done.append(str(folder / Path(word).name) if option in FILES else word)
    return done


@pytest.fixture
def folder(tmp_path: Path, google: Emulator, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with credentials for the emulated Google."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "my-project")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(google.credentials("service_account")))
    monkeypatch.setenv("RUNSCRAPE_API_ENDPOINT", google.api)
    monkeypatch.setenv("RUNSCRAPE_PROMTOOL", "none")  # which takes longer than all else here
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[1:]))
def test_the_command_works(
    command: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command line ends with 0 on a project like the one it names, and gives its services."""
    settings, *words = command
    text = (ROOT / settings).read_text("utf-8").replace("/var/lib/runscrape", str(folder))
    (folder / "runscrape.yaml").write_text(text)
    if words[0] == "bootstrap" and "--platform" not in words:  # it updates an older bundle
        assert cli.main(["bootstrap", words[1], "--platform", "compose"]) == 0
    if "--into" in words:
        output_of(words, folder).write_text("scrape_configs:\n- job_name: mine\n")
    expected = 1 if words[0] == "doctor" else 0  # no proxy runs here, and that is what it says
    assert cli.main(here(words, folder)) == expected, capsys.readouterr().err
    if "--diff" in words:
        return
    result = capsys.readouterr().out if writes_nothing(words) else written(words, folder)
    assert "proxy_url" in result if gateway_job(words) else "api" in result


def writes_nothing(words: Sequence[str]) -> bool:
    return words[0] in {"explain", "doctor", "iam"} or bool(
        {"--dry-run", "--print-config"} & set(words)
    )


def gateway_job(words: Sequence[str]) -> bool:
    return words[0] == "generate" and ("gateway" in words or "--config" in words)


def written(words: Sequence[str], folder: Path) -> str:
    if words[0] == "bootstrap":
        assert (folder / words[1] / "README.md").exists()
        return next((folder / words[1]).rglob("inventory.json")).read_text("utf-8")
    return output_of(words, folder).read_text("utf-8")


def output_of(words: Sequence[str], folder: Path) -> Path:
    named = [word for option, word in itertools.pairwise(words) if option in WRITTEN]
    return folder / Path(named[0] if named else "targets.json").name
