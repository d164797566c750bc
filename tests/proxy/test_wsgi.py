"""The proxy under a gunicorn that somebody else set up: `gunicorn runscrape_proxy.wsgi:app`."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kit.programs import running
from tests.proxy.harness import PATIENCE, Proxy, clean_environment, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from emulator import Emulator

MANUAL = Path(__file__).parents[2] / "proxy" / "README.md"
OTHER = "https://other-uc.a.run.app"


@contextlib.contextmanager
def gunicorn(directory: Path, *arguments: str, env: Mapping[str, str]) -> Iterator[Proxy]:
    """Run plain gunicorn with what the environment says; gives it when its worker is there."""
    command = [sys.executable, "-m", "gunicorn", "--no-control-socket", *arguments]
    environment = clean_environment() | dict(env)
    words = [*command, "runscrape_proxy.wsgi:app"]
    with running(words, directory / "gunicorn.log", env=environment, forked=True) as started:
        eventually(lambda: started.code is not None or "Booting worker" in started.log, "gunicorn")
        found = re.search(r"Listening at: http://[\d.]+:(\d+)", started.log)
        address = ("127.0.0.1", int(found[1])) if found else ("", 0)
        yield Proxy(started.process, started.log_file, address)


@pytest.mark.parametrize("preload", [(), ("--preload",)])
def test_it_reads_the_variables(
    emulator: Emulator, tmp_path: Path, preload: tuple[str, ...]
) -> None:
    """The same variables through the same parser; those that gunicorn itself decides are named."""
    api = emulator.world.service("demo/us-central1/api").uri or ""
    env = emulator.env("service_account") | {
        "RUNSCRAPE_PROXY_ALLOW_AUDIENCE": f"https://first.example {api}",
        "RUNSCRAPE_PROXY_LISTEN": "127.0.0.1:1",
    }
    arguments = ("--bind", "127.0.0.1:0", "--worker-class", "gthread", "--threads", "4", *preload)
    with gunicorn(tmp_path, *arguments, env=env) as proxy:
        assert proxy.token(api).status == 200
        assert proxy.token(OTHER).json["error"] == "invalid_target"
        assert proxy.get("/-/healthy").status == 200
        assert "RUNSCRAPE_PROXY_LISTEN does nothing here" in proxy.log


def test_an_open_address_without_a_secret_answers_nobody(
    emulator: Emulator, tmp_path: Path
) -> None:
    """Here there is no start to refuse, so each request is, from loopback as well."""
    api = emulator.world.service("demo/us-central1/api").uri or ""
    env = emulator.env("service_account")
    with gunicorn(tmp_path, "--bind", "0.0.0.0:0", env=env) as proxy:
        for answer in (proxy.token(api), proxy.get("/"), proxy.get("/metrics")):
            assert answer.status == 403
            assert "--client-secret-file" in answer.json["error_description"]
    secret = tmp_path / "secret"
    secret.write_text("s")
    env["RUNSCRAPE_PROXY_CLIENT_SECRET_FILE"] = str(secret)
    with gunicorn(tmp_path, "--bind", "0.0.0.0:0", env=env) as proxy:
        form = {"client_id": "prometheus", "client_secret": "s"}
        assert proxy.token(api, form=form).status == 200


def test_a_client_that_names_a_script(emulator: Emulator, tmp_path: Path) -> None:
    """It is not heard by a gunicorn that is started as the manual says."""
    found = re.search(r"`gunicorn (.*) runscrape_proxy.wsgi:app`", MANUAL.read_text())
    assert found
    arguments = (*shlex.split(found[1]), "--bind", "127.0.0.1:0")
    with gunicorn(tmp_path, *arguments, env=emulator.env("service_account")) as proxy:
        assert proxy.get("/-/healthy", SCRIPT_NAME="/x").status == 200


def test_a_bad_setting_ends_gunicorn(tmp_path: Path) -> None:
    """Gunicorn ends with our line and does not start worker after worker."""
    env = {"RUNSCRAPE_PROXY_THREADS": "many"}
    with gunicorn(tmp_path, "--bind", "127.0.0.1:0", env=env) as proxy:
        assert proxy.process.wait(PATIENCE) == 4
        assert "runscrape-proxy: Invalid value for '--threads'" in proxy.log
        assert "Traceback" not in proxy.log
