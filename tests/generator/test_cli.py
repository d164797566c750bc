"""The command line: flags in, messages and exit codes out."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

import pytest

from emulator import Emulator
from runscrape_generator import errors
from runscrape_generator.cli import main as cli
from runscrape_generator.cli.commands import group
from runscrape_generator.cli.console import Console
from runscrape_generator.config.settings import COMMANDS, OPTIONS, Option
from tests.conftest import DEMO_WORLD, MakeEmulator
from tests.generator.commands_kit import run_here, world
from tests.generator.test_configuration import SAMPLES
from tests.kit.programs import running

RUNSCRAPE = str(Path(sys.executable).with_name("runscrape"))
SLOW = {"google", "grpc", "jinja2", "yaml", "requests", "flask", "prometheus_client"}
PATIENCE = 30.0
"""Seconds; far more than anything here takes, even on a busy machine."""

BAD_FLAGS: Mapping[str, str] = {
    "project": "Demo",
    "organization": "example.com",
    "folder": "folders/12",
    "region": "-",
    "api_endpoint": "a b",
    "concurrency": "none",
    "timeout": "5",
    "include": "A*",
    "exclude": "",
    "label": "team",
    "ingress": "external",
    "audience": "uris",
    "format": "yaml",
    "mode": "proxy",
    "template": "a/",
    "token_url": "127.0.0.1:7777",
    "gateway_url": "http://a/b",
    "targets_from": "proxy",
    "targets_file": "",
    "client_id": "a:b",
    "client_secret_file": "",
    "job_name": "{name}",
    "scrape_interval": "1.5m",
    "scrape_timeout": "-1s",
    "metrics_path": "metrics",
    "prometheus_version": "two",
    "vmagent_version": "2",
    "output": "",
    "into": "a/",
    "inventory": "",
    "watch": "0",
    "max_removed": "101",
    "metrics_file": "",
    "promtool": "",
    "reload": "http://127.0.0.1:9090",
    "reload_user": "a:b",
    "reload_password_file": "",
    "reload_command": "",
    "log_format": "xml",
}


_OUTPUT = {"--output": "x.json"}
_RELOAD = _OUTPUT | {"--reload": "http://a/-/reload"}
NEEDED: Mapping[str, Mapping[str, str]] = {
    **{key: {"--mode": "gateway"} for key in ("gateway_url", "targets_file", "targets_from")},
    **dict.fromkeys(("dry_run", "watch", "reload", "reload_command"), _OUTPUT),
    "vmagent_version": {"--format": "vmagent"},
    "reload_user": _RELOAD | {"--reload-password-file": "p"},
    "reload_password_file": _RELOAD | {"--reload-user": "u"},
}
"""What a flag needs beside it."""


@pytest.fixture(autouse=True)
def _only_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave promtool out, which takes its time, and no other setting of the machine's in."""
    for name in list(os.environ):
        if name.startswith("RUNSCRAPE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("RUNSCRAPE_PROMTOOL", "none")


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(DEMO_WORLD, tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_here(arguments, {})


def shell(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``$0 ARGUMENTS`` as the script says."""
    return subprocess.run(
        ["bash", "-c", script, RUNSCRAPE, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def test_help_imports_nothing_slow() -> None:
    """The first page lists the commands without importing what they are made of; no --help, no
    mistyped flag, and no settings without a file wait for Google's clients, Jinja2 or PyYAML.
    """
    lines = [*([name, "--help"] for name in group().commands), ["generate", "--x"]]
    code = (
        "import sys; from runscrape_generator.cli.main import main; main(['--help'])\n"
        "has_settings = 'pydantic' in sys.modules\n"
        f"codes = [main(arguments) for arguments in {lines!r}]\n"
        "from runscrape_generator.config.load import load; load('generate', {}, {})\n"
        f"slow = sorted({SLOW!r} & {{name.partition('.')[0] for name in sys.modules}})\n"
        "print(has_settings, codes, slow)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert all(f"\n  {name} " in found.stdout for name in group().commands)
    expected = [0] * (len(lines) - 1) + [2]
    assert found.stdout.splitlines()[-1] == f"False {expected} []"


def test_help_names_every_option(capfd: pytest.CaptureFixture[str]) -> None:
    """Each command's help has its flags from the table, under their headings, and no other's."""
    for command in COMMANDS:
        assert cli.main([command, "--help"]) == 0
        text = capfd.readouterr().out
        for option in OPTIONS:
            shown = option.key != "verbosity" and not option.file_only
            assert (re.search(rf"(^|[ /]){option.flag}\b", text, re.MULTILINE) is not None) == (
                shown and command in option.commands
            )
            assert option.group in text


def test_each_command_has_the_flags_that_matter_to_it() -> None:
    """What only a rendered configuration needs is not offered where targets or lines come out."""
    rendering = {"format", "template", "token_url", "gateway_url", "targets_file", "client_id"}
    rendering |= {"client_secret_file", "prometheus_version", "promtool", "reload"}
    rendering |= {"vmagent_version"}
    rendering |= {"reload_command", "reload_user", "reload_password_file", "into", "targets_from"}
    writing = {"output", "dry_run", "watch", "max_removed", "metrics_file", "force"}
    asking = {"token_url", "client_id", "client_secret_file"}
    every = {option.key for option in OPTIONS}
    has = {name: {each.key for each in OPTIONS if name in each.commands} for name in COMMANDS}
    assert has == {
        "generate": every,
        "targets": every - rendering,
        "explain": every - rendering - writing,
        "doctor": every - rendering - writing | asking | {"gateway_url"},
        "iam": every - rendering - writing | asking,
    }


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    """--version prints name and version on standard output."""
    assert cli.main(["--version"]) == 0
    assert re.fullmatch(r"runscrape \d+\.\d+\.\d+\S*\n", capfd.readouterr().out)


USAGE: tuple[tuple[Sequence[str], str], ...] = (
    ((), "Missing command. (try runscrape --help)"),
    (("generat",), "No such command 'generat'"),
    (("generate", "--outptu", "x"), "No such option"),
    (("generate", "extra"), "Got unexpected extra argument (extra) (try runscrape generate --help"),
    (("generate", "--output"), "requires an argument"),
    (("explain", "-v", "-q"), "-v and -q exclude each other (try runscrape explain --help)"),
)


@pytest.mark.parametrize(("arguments", "message"), USAGE)
def test_wrong_usage_is_one_line(
    arguments: Sequence[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A mistyped command line is one line on standard error and exit 2."""
    assert cli.main(arguments) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("runscrape: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_every_flag_with_a_value_has_a_bad_one() -> None:
    """The samples of bad values cover the table."""
    assert set(BAD_FLAGS) == {
        option.key
        for option in OPTIONS
        if not (option.switch or option.file_only or option.key == "verbosity")
    }


@pytest.mark.parametrize(("key", "value"), BAD_FLAGS.items())
def test_a_bad_value_is_one_line_that_names_the_flag(
    key: str, value: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, and one line with the flag, what it got and what it wants."""
    option = next(option for option in OPTIONS if option.key == key)
    assert cli.main([option.commands[0], option.flag, value]) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"runscrape: error: {option.flag}: ")
    assert captured.err.count("\n") == 1
    assert (value in captured.err) if value else ("is empty" in captured.err)


@pytest.mark.parametrize(
    "option",
    [each for each in OPTIONS if not each.file_only and each.key != "verbosity"],
    ids=lambda option: option.key,
)
def test_every_flag_arrives(
    option: Option, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given on the command line, each flag beats its variable and is shown as its origin."""
    _, in_variable, by_flag = SAMPLES[option.key][0]
    monkeypatch.setenv(option.variable, in_variable)
    more = [word for key, value in NEEDED.get(option.key, {}).items() for word in (key, value)]
    given = [option.flag] if option.switch else [option.flag, by_flag]
    assert cli.main([option.commands[0], *given, *more, "--print-config"]) == 0
    line = next(
        line for line in capfd.readouterr().out.splitlines() if line.startswith(f"{option.key}:")
    )
    assert line.endswith(f"  # {option.flag}")
    assert by_flag.removeprefix("./").lower().partition("=")[0] in line


def test_a_switch_can_be_switched_off(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--no-opt-in beats a variable that says true."""
    monkeypatch.setenv("RUNSCRAPE_OPT_IN", "true")
    assert cli.main(["explain", "--no-opt-in", "--print-config"]) == 0
    assert "opt_in: false  # --opt-in" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("flags", "verbosity"), [(["-q"], -1), (["-v"], 1), (["-vv"], 2), (["-vvv"], 2), ([], 0)]
)
def test_loudness(flags: list[str], verbosity: int, capfd: pytest.CaptureFixture[str]) -> None:
    """-v, repeated, and -q are two faces of one setting."""
    assert cli.main(["generate", *flags, "--print-config"]) == 0
    assert f"\nverbosity: {verbosity}  # " in capfd.readouterr().out


def test_all_mistakes_are_said_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    """Two bad flags are two lines, and a number is told as it was typed."""
    assert cli.main(["generate", "--timeout", "x", "--max-removed", "101"]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[1].endswith("expected a percentage from 0 to 100, got the number 101")


def test_mistakes_of_a_file_begin_with_file_and_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """FILE:LINE stands at the start of the line, with nothing before it."""
    path = tmp_path / "runscrape.yaml"
    path.write_text("project: demo\ntimout: 5s\n")
    assert cli.main(["generate", "--config", str(path)]) == 2
    assert capfd.readouterr().err == f"{path}:2: timout: unknown key; did you mean 'timeout'?\n"


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_json_is_spoken_before_the_settings_are_read(
    how: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log collector gets JSON for a mistake in the settings, and for wrong usage, too."""
    more = ["--log-format", "json"] if how == "flag" else []
    if how == "variable":
        monkeypatch.setenv("RUNSCRAPE_LOG_FORMAT", "json")
    for wrong in (["--timeout", "x"], ["--bogus"]):
        assert cli.main(["generate", *more, *wrong]) == 2
        line = json.loads(capfd.readouterr().err)
        assert line["severity"] == "ERROR"
        assert wrong[0] in line["message"]


def test_strange_variables_are_named(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that is no setting is a warning, and the command goes on."""
    monkeypatch.setenv("RUNSCRAPE_REGIONS", "us-central1")
    assert cli.main(["explain", "--print-config"]) == 0
    assert capfd.readouterr().err == (
        "runscrape: warning: RUNSCRAPE_REGIONS: no such setting, ignored; "
        "did you mean 'RUNSCRAPE_REGION'?\n"
    )


def _tree(root: type[errors.RunscrapeError]) -> list[type[errors.RunscrapeError]]:
    return [root, *(each for child in root.__subclasses__() for each in _tree(child))]


@pytest.mark.parametrize("kind", _tree(errors.RunscrapeError), ids=lambda kind: kind.__name__)
def test_every_error_ends_with_its_exit_code(
    kind: type[errors.RunscrapeError], capfd: pytest.CaptureFixture[str]
) -> None:
    """Each class of the tree has the exit code of the design's table, and says what it holds."""
    Console(sys.stderr, environ={}).install()
    codes = {"ConfigError": 2, "DiscoveryError": 4, "RefusedError": 5, "ValidationError": 6}
    codes |= {"WriteError": 7, "ReaderGoneError": 7, "ReloadError": 8, "LockedError": 9}
    name = next((each.__name__ for each in kind.__mro__ if each.__name__ in codes), "")
    assert cli.report(kind("first\nsecond")) == codes.get(name, 1)
    said = (
        ""
        if kind.__name__ == "ReaderGoneError"
        else "runscrape: error: first\nrunscrape: error: second\n"
    )
    assert capfd.readouterr().err == said


def test_a_current_folder_that_is_gone(
    google: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told as what it is."""
    words = ("generate", "--project", "demo", "--api-endpoint", google.api, "--output")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    ended = run(*words, "prometheus.yml")
    said = "the current folder is gone: change to another one, or give whole paths\n"
    assert (ended.returncode, ended.stderr) == (2, f"runscrape: error: {said}")


def test_an_unforeseen_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug, such as a missing Jinja2, is one line with its type and place; with -v, a traceback.

    The exit code is 1.
    """

    def broken(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'jinja2'")

    monkeypatch.setattr("runscrape_generator.pipeline.discover", broken)
    ended = run("generate", "--project", "demo")
    assert ended.returncode == 1
    assert re.fullmatch(
        r"runscrape: error: unexpected ModuleNotFoundError in \w+\.py:\d+, a bug: "
        r"-v shows the traceback\n",
        ended.stderr,
    )
    ended = run("generate", "--project", "demo", "-v")
    assert ended.returncode == 1
    assert "Traceback (most recent call last)" in ended.stderr
    assert "ModuleNotFoundError" in ended.stderr


def test_explain_shows_what_became_of_each_service(google: Emulator) -> None:
    """The table goes to standard output, uncut where that is no terminal; nothing is written."""
    ended = run("explain", "--project", "demo", "--api-endpoint", google.api)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert [line.split()[0] for line in lines[:5]] == [
        "SERVICE",
        "back-office",
        "hello",
        "api",
        "shop",
    ]
    assert "ingress is internal" in lines[1]
    assert "  public  " in lines[2]
    assert "4 services: 3 kept in 3 jobs, 1 skipped" in lines


def test_explain_as_json(google: Emulator) -> None:
    """--json gives one object with every service."""
    ended = run("explain", "--json", "--project", "demo", "--api-endpoint", google.api)
    services = json.loads(ended.stdout)["services"]
    assert {service["name"]: service["state"] for service in services} == {
        "back-office": "skipped",
        "hello": "kept",
        "api": "kept",
        "shop": "kept",
    }


def test_explain_of_nothing_counts_the_reasons(google: Emulator) -> None:
    """0 jobs come with the reasons counted."""
    ended = run("explain", "--project", "demo", "--exclude", "*", "--api-endpoint", google.api)
    assert "4 services: 0 kept in 0 jobs, 4 skipped" in ended.stdout
    assert "  4 skipped: not matched" in ended.stdout


def test_explain_reads_the_configuration_that_the_jobs_go_into(
    make_emulator: MakeEmulator, tmp_path: Path
) -> None:
    """A timeout above the interval of the user's own global block is warned of, as by generate."""
    google = make_emulator(world("a", annotations={"prometheus.io/timeout": "20s"}))
    file, settings = tmp_path / "prometheus.yml", tmp_path / "runscrape.yaml"
    file.write_text("global: {scrape_interval: 15s}\n")
    settings.write_text("into: prometheus.yml\n")
    ended = run(
        *("explain", "--json", "--project", "demo", "--api-endpoint", google.api),
        *("--config", str(settings)),
    )
    warnings = json.loads(ended.stdout)["services"][0]["warnings"]
    clash = "scrape timeout 20s is longer than the interval 15s: the timeout is ignored"
    assert clash in warnings, ended.stderr


def test_explain_takes_from_the_inventory_what_google_does_not_give(
    make_emulator: MakeEmulator, tmp_path: Path
) -> None:
    """With a region that fails: its services from the inventory and exit 3; without one, too."""
    google = make_emulator()
    output = str(tmp_path / "prometheus.yml")
    listing = ("--project", "demo", "--api-endpoint", google.api)
    assert run("generate", *listing, "--output", output).returncode == 0
    fault = {"region": "us-*", "code": "PERMISSION_DENIED"}
    google.update({**DEMO_WORLD, "faults": {"list_services": [fault]}})
    ended = run("explain", *listing, "--inventory", str(tmp_path / "inventory.json"))
    assert ended.returncode == 3
    assert "taken from the inventory: demo/us-central1" in ended.stdout
    assert "api-" in ended.stdout
    assert "demo" in ended.stderr
    ended = run("explain", *listing)
    assert ended.returncode == 3
    assert "hello" in ended.stdout
    assert "not listed, and in no inventory: demo/us-central1" in ended.stdout


def test_cron_gets_one_line_and_none_with_q(
    google: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that works says one line; with -q nothing at all."""
    monkeypatch.chdir(tmp_path)
    listing = ("--project", "demo", "--api-endpoint", google.api, "--output", "prometheus.yml")
    ended = run("generate", *listing)
    assert ended.stdout == ""
    assert (
        ended.stderr == "runscrape: 4 services, 3 jobs (+3), 1 skipped, written to prometheus.yml\n"
    )
    ended = run("generate", "-q", *listing)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_the_variables_and_the_file_are_read(google: Emulator, tmp_path: Path) -> None:
    """The command reads its environment and the file named there."""
    config = tmp_path / "runscrape.yaml"
    config.write_text("project: demo\noutput: out.json\ninclude: [api]\n")
    variables = {"RUNSCRAPE_CONFIG": str(config), "RUNSCRAPE_API_ENDPOINT": google.api}
    assert run_here(["targets"], variables).returncode == 0
    (target,) = json.loads((tmp_path / "out.json").read_text())
    assert target["labels"]["service_name"] == "api"


def test_standard_output_is_utf8_whatever_the_locale(tmp_path: Path) -> None:
    """YAML is UTF-8, also under an ASCII locale that Python would otherwise follow."""
    config = tmp_path / "runscrape.yaml"
    config.write_text("client_id: größe\n", encoding="utf-8")
    ended = subprocess.run(
        [RUNSCRAPE, "generate", "--config", str(config), "--print-config"],
        check=True,
        capture_output=True,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )
    assert 'client_id: "größe"' in ended.stdout.decode()


PRINTING = [("generate", "--print-config"), ("generate", "--help"), ("--help",), ("--version",)]


@pytest.mark.parametrize("arguments", PRINTING)
def test_a_reader_that_is_gone_ends_it_quietly(arguments: Sequence[str]) -> None:
    """Whoever reads standard output may end before it: nothing is said, and the exit code is 7."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        assert run_into(closed, *arguments) == (7, "")


@pytest.mark.parametrize("arguments", PRINTING)
def test_a_full_standard_output_is_said(arguments: Sequence[str]) -> None:
    """What cannot be written to standard output is exit 7 with the reason."""
    said = "runscrape: error: standard output: No space left on device\n"
    with open("/dev/full", "w") as full:  # noqa: PTH123 - pathlib asks for its size
        assert run_into(full, *arguments) == (7, said)


def run_into(stdout: TextIO, *arguments: str) -> tuple[int, str]:
    """Run in this process with that standard output; gives the exit code, and what was said."""
    stderr = io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        return cli.main(arguments), stderr.getvalue()


def test_the_program_ends_as_quietly() -> None:
    """`runscrape … | true` leaves no traceback either, of Python's own end."""
    ended = shell('( sleep 0.1; "$0" "$@"; echo $? >&2 ) | true', "generate", "--print-config")
    assert ended.stderr == "7\n"


def test_a_closed_standard_output_is_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With nowhere to put the result, the run ends before it asks Google, with the remedy."""
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(["generate", "--project", "demo", "--api-endpoint", "http://127.0.0.1:1"]) == 7
    assert capfd.readouterr().err == (
        "runscrape: error: standard output is closed: name a file with --output\n"
    )


@pytest.mark.skipif(
    (3, 13) <= sys.version_info < (3, 13, 3),
    reason="imports of `python -c` fail there: https://github.com/python/cpython/issues/130932",
)
@pytest.mark.usefixtures("measured_programs")
def test_a_program_needs_neither_streams_nor_a_current_folder(
    google: Emulator, tmp_path: Path
) -> None:
    """With 0, 1 and 2 closed a run to a file works, and no file gets their numbers; nor does it
    need the current folder where it is given whole paths.
    """
    output, seen, gone = tmp_path / "prometheus.yml", tmp_path / "seen", tmp_path / "gone"
    code = (
        "import os, sys; from pathlib import Path\n"
        "from runscrape_generator.cli.main import main\n"
        "seen, gone, *words = sys.argv[1:]\n"
        "os.mkdir(gone); os.chdir(gone); os.rmdir(gone)\n"
        "os.closerange(0, 3); sys.stdin = sys.stdout = sys.stderr = None  # as Python begins then\n"
        "code, number = main(words), os.open(os.devnull, os.O_RDONLY)\n"
        "Path(seen).write_text(f'{code} {number > 2}')"
    )
    listing = ("--project", "demo", "--api-endpoint", google.api, "--promtool", "none")
    words = ("generate", "-v", *listing, "--output", output)
    command = (sys.executable, "-c", code, seen, gone, *words)
    with running(command, tmp_path / "log", forked=True) as program:
        program.process.wait(PATIENCE)
    assert seen.read_text() == "0 True"
    assert run("generate", *listing).stdout == output.read_text()


@pytest.mark.usefixtures("measured_programs")
def test_python_m(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Python -m runscrape_generator is the same command."""
    command = (sys.executable, "-m", "runscrape_generator", "--version")
    with running(command, tmp_path / "log", forked=True) as program:
        assert program.process.wait(PATIENCE) == 0
    assert cli.main(["--version"]) == 0
    assert program.log == capfd.readouterr().out
