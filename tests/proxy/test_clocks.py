"""What a wrong clock, ours or the issuer's, does to tokens: nothing."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest
from google.auth.compute_engine import _metadata

from runscrape_proxy.clock import GoogleClock, monotonic
from runscrape_proxy.google.credentials import Credentials
from runscrape_proxy.settings import Settings
from tests.proxy.google_by_hand import Clock
from tests.proxy.issuer import Asked, Told, jwt, key_for, serving

if TYPE_CHECKING:
    from pathlib import Path

    from emulator import Emulator

AUDIENCE = "https://api.run.app"
NOW = 1_800_000_000.0


class Google:
    """A token endpoint and metadata server whose clock is ``ahead`` seconds ahead of ours."""

    def __init__(self, ahead: float, *, dated: bool, age: float = 0.0) -> None:
        self.ahead, self.dated, self.age = ahead, dated, age

    def __call__(self, asked: Asked) -> Told:
        now = time.time() + self.ahead
        made = int(now - self.age)
        token = jwt({"aud": AUDIENCE, "iat": made, "exp": made + 3600, "email": "a@b.example"})
        headers = {"Date": formatdate(now, usegmt=True)} if self.dated else {}
        if asked.path.startswith("/computeMetadata/"):
            return Told(200, token, headers)
        return Told(200, f'{{"id_token": "{token}"}}', headers)


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("ahead", [-7200.0, -120.0, 0.0, 120.0, 7200.0])
def test_a_token_lives_as_long_as_it_says(
    emulator: Emulator, tmp_path: Path, ahead: float, *, dated: bool
) -> None:
    """However far the clocks are apart, a token of an hour is good for an hour from now."""
    with serving(Google(ahead, dated=dated)) as address:
        path = key_for(emulator, f"http://{address}/token", tmp_path / "key.json")
        credentials = Credentials(Settings(credentials_file=path), environ={})
        assert 3595 < credentials.mint(AUDIENCE, timeout=30).seconds <= 3600
    if not dated:
        assert credentials.clock.skew is None
    else:
        assert credentials.clock.skew == pytest.approx(-ahead, abs=5)
        assert credentials.clock.is_wrong == (abs(ahead) > 30)


@pytest.mark.parametrize("ahead", [-5000.0, 0.0, 5000.0])
def test_a_token_that_was_made_a_while_ago(ahead: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the metadata server has kept for 50 minutes has 10 left, by its own time."""
    with serving(Google(ahead, dated=True, age=3000)) as address:
        monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", address)
        minted = Credentials(Settings(), environ={}).mint(AUDIENCE, timeout=30)
    assert 590 < minted.seconds <= 601
    assert minted.repeats


def test_the_skew_follows_each_step_of_the_clock(caplog: pytest.LogCaptureFixture) -> None:
    """A clock that is set shows in the skew at once; each trouble is a warning, once."""
    caplog.set_level("INFO")
    wall, clock = Clock(NOW), Clock(5.0)
    google = GoogleClock(wall=wall, clock=clock)
    assert (google.skew, google.now, google.is_wrong) == (None, None, False)
    google.note(NOW)
    assert google.skew == -0.5
    wall.now -= 300
    for _ in range(3):
        google.check()
    assert google.skew == -300.5
    wall.now += 10
    clock.now += 10
    google.note(NOW + 10)
    assert caplog.text.count("clock is 300 s behind Google's") == 1
    wall.now += 7500
    assert google.in_words() == "this machine's clock is 7200 s ahead of Google's"
    wall.now -= 7200
    google.check()
    assert "agrees with Google's again" in caplog.text


def test_a_clock_that_is_wrong_by_just_so_much(caplog: pytest.LogCaptureFixture) -> None:
    """Answers differ by a moment: a skew of about 30 s is one line, not one for each of them."""
    caplog.set_level("INFO")
    google = GoogleClock(wall=lambda: 1000.0, clock=lambda: 0.0)
    for skew in (29.5, 30.5, 29.5, 30.5, 29.5):
        google.note(1000.0 - 0.5 - skew)
    assert len(caplog.records) == 1
    google.note(1000.0)
    assert "agrees with Google's again" in caplog.text


def test_monotonic_goes_on() -> None:
    """The clock of the tokens counts seconds, and is not that of the wall."""
    began = monotonic()
    assert 0 <= monotonic() - began < 60
    assert abs(began - time.time()) > 1e6
