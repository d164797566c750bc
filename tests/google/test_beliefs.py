"""Every belief about Google, held against the emulator; and the program that asks a real one."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator
from tests.conftest import MakeEmulator
from tests.google.__main__ import MODULES, main
from tests.google.belief import BELIEFS, Belief
from tests.google.real import real_site
from tests.google.report import check, without_names
from tests.google.site import Site
from tests.kit.programs import clean_environment, running
from tests.kit.waiting import QUIET

README = Path(__file__).with_name("README.md")
WORLD: dict[str, Any] = {
    "projects": {
        "demo-481516": {
            "number": 481516234200,
            "services": [
                {
                    "name": "api",
                    "region": "us-central1",
                    "custom_audiences": ["https://api.example.com"],
                    "traffic": [{"percent": 100}, {"tag": "canary"}],
                },
                {"name": "shop", "region": "europe-west1"},
                {"name": "ledger", "region": "us-central1", "invokers": []},
                {"name": "back-office", "region": "us-central1", "ingress": "internal"},
                {
                    "name": "office",
                    "region": "us-central1",
                    "iap_enabled": True,
                    "iap_clients": ["1234.apps.googleusercontent.com"],
                },
            ],
        }
    }
}
"""Whatever a belief is about is there."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that is found as a real one is, from the environment."""
    with (
        Emulator(WORLD, tmp_path_factory.mktemp("google")) as google,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in google.env("service_account").items():
            patch.setenv(name, value)
        found = real_site("demo-481516", "api", google.world.settings.impersonated)
        found.expired = lambda audience: google.id_token(audience, lifetime=-1)
        yield found


@pytest.mark.parametrize("belief", BELIEFS, ids=lambda belief: belief.name)
def test_the_emulator_does_as_google(belief: Belief, site: Site) -> None:
    """The emulator does what we believe of Google, and has what every belief is about."""
    (outcome,) = check([belief], site)
    assert (outcome.verdict, outcome.seen) == ("holds", "")


def test_every_belief_says_what_it_is() -> None:
    """Names are unique, and each has a sentence, a source and how sure it is."""
    names = [belief.name for belief in BELIEFS]
    assert len(set(names)) == len(names) > 10 * len(MODULES)
    for belief in BELIEFS:
        assert belief.says.endswith("."), belief.name
        assert belief.source
        assert belief.sure in ("A", "B", "C", "U")


def ask(google: Emulator, directory: Path, kind: str, *options: str) -> tuple[int | None, str, str]:
    """Run the program as ``make google`` does; gives code, output, report."""
    report = directory / "google.md"
    env = clean_environment() | google.env(kind)
    command = [sys.executable, "-m", "tests.google", "--project", "demo-481516", *options]
    command += ["--report", str(report)]
    with running(command, directory / "log", env=env, forked=True) as program:
        code = program.process.wait(QUIET)
        return code, program.log, report.read_text() if report.exists() else ""


def test_the_program_tells_what_differs(make_emulator: MakeEmulator, tmp_path: Path) -> None:
    """What differs is in a report that names no project, account or token, and the code is 1."""
    google = make_emulator(WORLD | {"settings": {"unreachable_as": "region"}})
    code, said, report = ask(google, tmp_path, "metadata", "--service", "api")
    assert code == 1, said
    assert re.findall(r"## (\S+) differs", report) == ["listing.unreachable-form"]
    assert "me-central2" in report
    assert "| front-end.garbage | B | holds |" in report
    assert "| iam-credentials.audience | A | not asked: needs an account to impersonate |" in report
    for secret in ("demo-481516", "481516234200", "@", "eyJ", "ya29", "api-", "back-office"):
        assert secret not in report, secret


def test_a_user_is_asked_less(
    make_emulator: MakeEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials that mint no ID token leave out what needs one, and the rest is asked."""
    report = tmp_path / "google.md"
    for name, value in make_emulator(WORLD).env("authorized_user").items():
        monkeypatch.setenv(name, value)
    options = ["--project", "demo-481516", "--service", "us-central1/api", "--report", str(report)]
    assert main(options) == 0
    text = report.read_text()
    assert "| audience.uri | A | not asked: needs credentials that mint ID tokens |" in text
    assert "| front-end.no-token | A | holds |" in text


def test_nothing_to_ask(
    make_emulator: MakeEmulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where the service is not there, the program says so and ends with 2."""
    for name, value in make_emulator(WORLD).env("service_account").items():
        monkeypatch.setenv(name, value)
    assert main(["--project", "demo-481516", "--service", "nothing"]) == 2
    assert "no service nothing in project demo-481516" in capsys.readouterr().err


def test_names_are_taken_out(site: Site) -> None:
    """Whatever is seen loses tokens, accounts, hosts, numbers and names before it is told."""
    text = json.dumps(
        {
            "token": site.mint(site.uri),
            "access": site.access_token(),
            "url": site.uri,
            "consumer": "projects/481516234200",
            "name": f"{site.parent}/services/ledger",
            "who": "serviceAccount:scraper@demo-481516.iam.gserviceaccount.com",
        }
    )
    assert json.loads(without_names(text, site)) == {
        "token": "TOKEN",
        "access": "TOKEN",
        "url": "https://HOST.a.run.app",
        "consumer": "projects/NUMBER",
        "name": "projects/PROJECT/locations/us-central1/services/SERVICE",
        "who": "serviceAccount:EMAIL",
    }


def test_the_readme_lists_every_belief() -> None:
    """README.md's table has every belief, as the code has it."""
    listed = re.findall(r"^\| ([\w.-]+) \| ([ABCU]) \| (.*) \|$", README.read_text(), re.MULTILINE)
    assert listed == [(one.name, one.sure, one.says) for one in BELIEFS]
