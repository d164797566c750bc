"""The command line and the environment."""

from __future__ import annotations

import dataclasses
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from runscrape_proxy import cli
from runscrape_proxy.errors import StartError
from runscrape_proxy.option_types import parse_duration
from runscrape_proxy.settings import Settings
from tests.proxy.harness import COMMAND, clean_environment, refused


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("4s", 4.0), ("500ms", 0.5), ("1m30s", 90.0), ("1h", 3600.0), ("1d", 86_400.0)],
)
def test_durations(text: str, seconds: float) -> None:
    """Durations are written as Prometheus writes them."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "4", "s", "4 s", "-4s", "4x", "1.5s", "٤s"])
def test_bad_durations(text: str) -> None:
    """Anything else is refused, a bare number included."""
    with pytest.raises(click.BadParameter, match="is not a duration"):
        parse_duration(text)


def test_help_imports_nothing_heavy() -> None:
    """--help must not wait for gunicorn, Flask or google-auth."""
    code = (
        "import sys; from runscrape_proxy import cli\n"
        "assert cli.main(['--help']) == 0\n"
        "heavy = {'gunicorn', 'flask', 'google', 'requests', 'jinja2', 'ssl'}\n"
        "sys.exit(f'imported {heavy & set(sys.modules)}' if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "RUNSCRAPE_PROXY_" in done.stdout


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    """--version prints name and version on standard output, as runscrape's does."""
    assert cli.main(["--version"]) == 0
    assert re.fullmatch(r"runscrape-proxy \d+\.\d+\.\d+\S*\n", capfd.readouterr().out)


def test_every_setting_has_an_option_and_is_used() -> None:
    """Each field of the settings comes from one option, and some module reads it."""
    options = {parameter.name for parameter in cli.command.params if parameter.name}
    fields = {field.name for field in dataclasses.fields(Settings)}
    assert options - {"delegate", "verbose", "version"} == fields - {"delegates"}
    source = Path(cli.__file__).parent
    code = "".join(path.read_text() for path in source.rglob("*.py") if path.name != "cli.py")
    assert [name for name in sorted(fields) if f"settings.{name}" not in code] == []


def settings(*arguments: str) -> Settings:
    with cli.command.make_context("runscrape-proxy", list(arguments)) as context:
        return cli.settings_of(context)


def test_options() -> None:
    """Options become settings; -v is --log-level debug; repeatable ones repeat."""
    assert settings() == Settings()
    given = settings("--listen", "[::1]:1", "--listen", "unix:/x", "--mint-timeout", "1m", "-v")
    assert given.listen == ("[::1]:1", "unix:/x")
    assert given.mint_timeout == 60.0
    assert given.log_level == "debug"
    restricted = settings("--listen", "unix:/x", "--socket-mode", "600")
    assert (settings().socket_mode, restricted.socket_mode) == (0o660, 0o600)
    assert settings("--inventory", "a", "--inventory", "b c").inventory == (Path("a"), Path("b c"))
    impersonating = settings("--impersonate-service-account", "a@x", "--delegate", "b@x")
    assert impersonating.delegates == ("b@x",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--delegate", "b@x"], "--delegate needs --impersonate-service-account"),
        (["--client-id", "x"], "--client-id needs --client-secret-file"),
        (["--tls-key", "x"], "--tls-key needs --tls-cert"),
        (["--tls-client-ca", "x"], "--tls-client-ca needs --tls-cert"),
        (["--prewarm"], "--prewarm needs --inventory"),
        (["--gateway-credentials", "."], "--gateway-credentials needs --gateway"),
        (["--gateway-concurrency", "9"], "--gateway-concurrency needs --gateway"),
        (["--gateway-per-host", "9"], "--gateway-per-host needs --gateway"),
        (["--gateway-connections", "9"], "--gateway-connections needs --gateway"),
        (["--gateway-max-body", "9MB"], "--gateway-max-body needs --gateway"),
        (["--mint-timeout", "4"], "is not a duration"),
        (["--mint-timeout", "1h"], "not between 100ms and 1m"),
        (["--threads", "10"], "10 is not in the range"),
        (["--socket-mode", "rw"], "is not a mode such as 0660"),
        (["--socket-mode", "0888"], "is not a mode such as 0660"),
        (["--socket-mode", "0600"], "--socket-mode needs --listen unix:PATH"),
        (["--workers", "2"], "No such option"),
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], message: str) -> None:
    """A setting that would do nothing, or harm, is a usage error."""
    with pytest.raises(click.ClickException, match=message):
        settings(*arguments)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option is a variable too; commas or blanks stand between several values."""
    monkeypatch.setenv("RUNSCRAPE_PROXY_LISTEN", "127.0.0.1:1 [::1]:1")
    monkeypatch.setenv("RUNSCRAPE_PROXY_ALLOW_AUDIENCE", "https://a, https://b")
    monkeypatch.setenv("RUNSCRAPE_PROXY_INVENTORY", "/srv/jobs.json,/srv/targets.json")
    monkeypatch.setenv("RUNSCRAPE_PROXY_PREWARM", "true")
    monkeypatch.setenv("RUNSCRAPE_PROXY_CLIENT_ID", "")
    read = cli.settings_from_environment()
    assert read.listen == ("127.0.0.1:1", "[::1]:1")
    assert read.allow_audience == ("https://a", "https://b")
    assert read.inventory == (Path("/srv/jobs.json"), Path("/srv/targets.json"))
    assert read.prewarm


def test_a_flag_beats_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written on the command line wins."""
    monkeypatch.setenv("RUNSCRAPE_PROXY_THREADS", "100")
    assert settings("--threads", "200").threads == 200


@pytest.mark.parametrize("name", ["RUNSCRAPE_PROXY_CLIENT_SECRETFILE", "RUNSCRAPE_PROXY_X"])
def test_unknown_variables(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A mistyped variable is an error that names it: it may have been the secret file."""
    monkeypatch.setenv(name, "x")
    with pytest.raises(StartError, match=f"{name} is not a setting"):
        cli.settings_from_environment()


@pytest.mark.parametrize("name", ["LISTEN", "INVENTORY", "ALLOW_AUDIENCE", "ALLOWED_HOST"])
def test_a_list_of_nothing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Commas and blanks alone would be no listener at all, or tokens for every service."""
    monkeypatch.setenv(f"RUNSCRAPE_PROXY_{name}", " , ")
    with pytest.raises(StartError, match=f"RUNSCRAPE_PROXY_{name} names nothing"):
        cli.settings_from_environment()


def test_the_version_is_no_setting() -> None:
    """An image may have its version in such a variable: the proxy would end with 0 at once."""
    code, error, _ = refused(env={"RUNSCRAPE_PROXY_VERSION": "1"})
    assert (code, "RUNSCRAPE_PROXY_VERSION is not a setting" in error) == (2, True), error


def test_service_links_are_nobodys_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes sets such variables for a Service named runscrape-proxy."""
    for rest in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_7777_TCP_ADDR"):
        monkeypatch.setenv(f"RUNSCRAPE_PROXY_{rest}", "x")
    assert cli.settings_from_environment() == Settings()


def test_bad_options_end_the_start_in_one_line() -> None:
    """A usage error is exit 2 and one line on stderr."""
    code, error, _ = refused("--threads", "x")
    assert code == 2
    assert error == (
        "runscrape-proxy: Invalid value for '--threads': 'x' is not a valid integer range.\n"
    )


@pytest.mark.parametrize("where", ["2>/dev/full", "2>&-"])
def test_bad_options_end_the_start_where_nobody_reads_why(where: str) -> None:
    """The exit code is the same where standard error is full, or closed."""
    command = shlex.join([*COMMAND, "--threads", "x"])
    env = clean_environment() | {"PYTHONUNBUFFERED": ""}
    done = subprocess.run(["sh", "-c", f"exec {command} {where}"], check=False, env=env)
    assert done.returncode == 2


def test_unknown_variables_end_the_start() -> None:
    """So does an unknown variable, whatever else is right."""
    code, error, _ = refused(env={"RUNSCRAPE_PROXY_CLIENT_SECRET": "x"})
    assert (code, error.count("\n")) == (2, 1)
    assert "RUNSCRAPE_PROXY_CLIENT_SECRET is not a setting" in error
