"""A day of two hundred audiences, simulated: the ledger is driven without threads and sleep."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from runscrape_proxy.model import Token
from runscrape_proxy.tokens.entry import Entry, Pool
from runscrape_proxy.tokens.ledger import Ledger
from runscrape_proxy.tokens.schedule import expires_in, is_usable
from tests.proxy.google_by_hand import Clock, Issuer

if TYPE_CHECKING:
    from collections.abc import Callable

AUDIENCES = 200
DAY = 24 * 3600.0
HOUR = 3600.0
LATENCY = 0.1
TIMEOUT = 4.0
SCRAPE_INTERVAL = 60.0
CLIENT_DROPS_EARLY = 10.0  # golang.org/x/oauth2 lets go of a token 10 s before its end
SLOTS = {Pool.COLD: 32, Pool.RENEWING: 8}


@dataclass
class Day:
    """One day: each audience has a Prometheus that asks again when its token is about to end."""

    repeats: bool = False
    repeats_until_left: float = 300.0
    hours: float = 24.0
    outage: tuple[float, float] = (-1.0, -1.0)
    answers: list[float] = field(default_factory=list)
    """What was left of each token that was answered with, in seconds."""
    refused: Counter[str] = field(default_factory=Counter)
    most_running: Counter[str] = field(default_factory=Counter)
    least_left: float = DAY
    """The least that was left of any token held during the outage and the minutes after it."""

    def __post_init__(self) -> None:
        rng = random.Random(4)
        self.clock = Clock()
        self.began = self.clock.now
        self.issuer = Issuer(self.repeats, repeats_until_left=self.repeats_until_left)
        self.ledger = Ledger(random=rng.random, retry_slots=16, limit=2 * AUDIENCES)
        self.running = Counter[str]()
        self.busy = Counter[Pool]()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._ticket = itertools.count()
        for number in range(AUDIENCES):
            audience = f"https://service-{number}.run.app"
            self._at(self.began + rng.random() * SCRAPE_INTERVAL, lambda a=audience: self.scrape(a))  # type: ignore[misc]

        since, until = self.outage
        if until > 0:
            for second in range(int(since), int(until) + 120, 2):
                self._at(self.began + second, self._look)

    def _look(self) -> None:
        """What a Prometheus that asks just now would get."""
        tokens = [entry.token for entry in self.ledger.entries.values()]
        left = [token.ends_at - self.clock.now for token in tokens if token is not None]
        self.least_left = min(self.least_left, *left)

    def run(self) -> Day:
        while self._events[0][0] < self.began + self.hours * HOUR:
            self.clock.now, _, event = heapq.heappop(self._events)
            event()
            self.ledger.step(self.clock.now)
            self._begin_mints()
            due = self.ledger.next_due()
            if due < self._events[0][0]:
                self._at(due, lambda: None)
        return self

    def scrape(self, audience: str) -> None:
        """Prometheus needs a token now; it asks again when this one ends, or at its next scrape."""
        now = self.clock.now
        entry = self.ledger.entries.get(audience)
        if entry is not None and entry.token is not None and is_usable(entry.token, now):
            entry.asked_at = now
            self.answers.append(entry.token.ends_at - now)
            promise = expires_in(entry.token, now)
            assert promise is not None
            assert promise < entry.token.ends_at - now
            wait = max(promise - CLIENT_DROPS_EARLY, SCRAPE_INTERVAL)
            self._at(now + wait, lambda: self.scrape(audience))
            return
        self.ledger.ask(audience, now, patience=TIMEOUT)
        self.refused[audience] += entry is not None
        self._at(now + 1.0, lambda: self.scrape(audience))

    def _begin_mints(self) -> None:
        for pool, slots in SLOTS.items():
            while self.busy[pool] < slots:
                entry = self.ledger.take(pool, self.clock.now)
                if entry is None:
                    break
                self._begin(pool, entry)

    def _begin(self, pool: Pool, entry: Entry) -> None:
        self.busy[pool] += 1
        self.running[entry.audience] += 1
        self.most_running[entry.audience] = max(
            self.most_running[entry.audience], self.running[entry.audience]
        )
        since, until = self.outage
        hangs = since <= self.clock.now - self.began < until
        self._at(
            self.clock.now + (TIMEOUT if hangs else LATENCY),
            lambda: self._end(pool, entry, failed=hangs),
        )

    def _end(self, pool: Pool, entry: Entry, *, failed: bool) -> None:
        self.busy[pool] -= 1
        self.running[entry.audience] -= 1
        if failed:
            self.ledger.failed(entry, "Google hangs", self.clock.now)
        else:
            now = self.clock.now
            minted = self.issuer.issue(entry.audience, now)
            token = Token(minted.value, now + minted.seconds, minted.repeats)
            self.ledger.minted(entry, token, now)

    def _at(self, when: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._ticket), event))


@pytest.fixture(scope="module")
def key_day() -> Day:
    return Day().run()


@pytest.fixture(scope="module")
def metadata_day() -> Day:
    return Day(repeats=True).run()


def test_a_key_mints_about_48_tokens_a_day(key_day: Day) -> None:
    """One-hour tokens from a key cost about 48 mints per audience and day, never more than 54."""
    mints = key_day.issuer.mints
    assert len(mints) == AUDIENCES
    assert max(mints.values()) <= 54
    assert 47 < sum(mints.values()) / AUDIENCES < 50


def test_the_metadata_server_is_asked_half_as_often(metadata_day: Day, key_day: Day) -> None:
    """The metadata server repeats its token until its last 5 minutes, and is asked accordingly."""
    mints = sum(metadata_day.issuer.mints.values())
    assert 0.45 < mints / sum(key_day.issuer.mints.values()) < 0.6
    assert max(metadata_day.issuer.mints.values()) <= 54 / 2 + 2


@pytest.mark.parametrize("day_of", ["key_day", "metadata_day"])
def test_no_answer_is_about_to_end(day_of: str, request: pytest.FixtureRequest) -> None:
    """While Google is up every answer has a minute left, and none but the first waits."""
    day: Day = request.getfixturevalue(day_of)
    assert len(day.answers) > 20 * AUDIENCES
    assert min(day.answers) >= 60
    assert sum(day.refused.values()) == 0
    assert set(day.most_running.values()) == {1}


@pytest.mark.parametrize("until_left", [60, 20, 10])
def test_a_metadata_server_that_keeps_tokens_long(until_left: float) -> None:
    """Where the same token comes until its last seconds, every request is answered all the same."""
    day = Day(repeats=True, repeats_until_left=until_left, hours=4).run()
    assert sum(day.refused.values()) == 0
    assert min(day.answers) > 5


@pytest.mark.parametrize("hour", [3.0, 7.3])
def test_an_outage_of_26_minutes_loses_nothing(hour: float) -> None:
    """Google hangs for 26 minutes: every request of that day is answered all the same."""
    day = Day(outage=(hour * HOUR, hour * HOUR + 26 * 60)).run()
    assert sum(day.refused.values()) == 0
    assert min(day.answers) > 5
    assert 5 < day.least_left < 240
    assert max(day.issuer.mints.values()) <= 54
    assert all(entry.failures == 0 for entry in day.ledger.entries.values())
