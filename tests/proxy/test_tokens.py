"""Tokens behind real threads, with a Google that the test turns by hand."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from runscrape_proxy.errors import MintError, TemporarilyUnavailable
from runscrape_proxy.tokens.keeper import MintResult, Tokens
from tests.proxy.google_by_hand import Clock, Issued, Issuer, Minter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

A, B = "https://a.run.app", "https://b.run.app"
HOUR = 3600.0
LONG = 30.0  # a deadline that a busy machine keeps


class MakeTokens(Protocol):
    """Makes started tokens that end with the test."""

    def __call__(self, minter: Minter, **settings: Any) -> Tokens: ...


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def minter(clock: Clock) -> Minter:
    return Minter(clock)


@pytest.fixture
def make(clock: Clock) -> Iterator[MakeTokens]:
    before = set(threading.enumerate())
    made: list[tuple[Tokens, Minter]] = []

    def make(minter: Minter, **settings: Any) -> Tokens:
        defaults: dict[str, Any] = {
            "mint_timeout": LONG,
            "clock": clock,
            "look_every": 0.01,
            "random": lambda: 0.5,
        }
        tokens = Tokens(minter, **(defaults | settings))
        made.append((tokens, minter))
        tokens.start()
        return tokens

    yield make
    for tokens, minter in made:
        minter.gate.set()
        tokens.close()
    eventually(lambda: set(threading.enumerate()) <= before)


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.002)


def refused(tokens: Tokens, audience: str, timeout: float | None = None) -> TemporarilyUnavailable:
    with pytest.raises(TemporarilyUnavailable) as caught:
        tokens.get(audience, timeout=timeout)
    return caught.value


def test_a_cold_audience_waits_for_its_mint(make: MakeTokens, minter: Minter) -> None:
    """The first question mints; the next are answered from memory."""
    tokens = make(minter)
    token = tokens.get(A)
    assert token.ends_at == minter.clock() + HOUR
    assert tokens.expires_in(token) == HOUR - 30
    assert [tokens.get(A) for _ in range(5)] == [token] * 5
    assert minter.issuer.mints == {A: 1}


def test_a_hundred_at_once_make_one_mint(make: MakeTokens, minter: Minter) -> None:
    """However many ask for one audience at once, Google is asked once."""
    minter.gate.clear()
    tokens = make(minter)
    with ThreadPoolExecutor(100) as pool:
        answers = [pool.submit(tokens.get, A) for _ in range(100)]
        eventually(lambda: tokens.waiting == 100)
        minter.gate.set()
        assert len({answer.result(LONG) for answer in answers}) == 1
    assert minter.issuer.mints == {A: 1}


def test_renewed_ahead(make: MakeTokens, clock: Clock, minter: Minter) -> None:
    """A token is renewed in the background at half its life, and nobody waits for it."""
    tokens = make(minter)
    first = tokens.get(A)
    clock.now += HOUR / 2 - 1
    assert tokens.get(A) == first
    clock.now += 2
    eventually(lambda: tokens.get(A) != first)
    assert minter.issuer.mints == {A: 2}


def test_a_valid_token_is_never_replaced_by_a_failure(
    make: MakeTokens, clock: Clock, minter: Minter
) -> None:
    """While Google fails the held token is served for as long as it is good for an answer."""
    tokens = make(minter)
    first = tokens.get(A)
    minter.fault = MintError("Google answered 503", remedy="wait")
    clock.now += HOUR / 2
    eventually(lambda: tokens.statuses()[0].last_error == "Google answered 503: wait")
    assert tokens.get(A) == first
    assert tokens.ready()
    for left, promise in ((61, 31), (40, 30), (20, 15), (6, 1)):
        clock.now = first.ends_at - left
        assert tokens.get(A) == first
        assert tokens.expires_in(first) == promise
    clock.now = first.ends_at - 4
    assert not tokens.ready()
    with pytest.raises(TemporarilyUnavailable, match="about to end"):
        tokens.expires_in(first)
    assert "Google answered 503: wait" in refused(tokens, A).description
    minter.fault = None
    clock.now += 120
    eventually(tokens.ready)
    assert tokens.get(A) != first
    assert tokens.statuses()[0].last_error == ""


def test_the_second_post_makes_no_second_mint(
    make: MakeTokens, clock: Clock, minter: Minter
) -> None:
    """Prometheus asks again at once after an error: it is told the same, and Google not asked."""
    tried: list[MintResult] = []
    minter.fault = MintError("answered 403", remedy="grant the role")
    tokens = make(minter, on_mint=tried.append)
    first, second = refused(tokens, A), refused(tokens, A)
    assert first.description == second.description == "answered 403: grant the role"
    assert first.retry_after == second.retry_after == 1
    eventually(lambda: len(tried) == 1)
    for expected in (2, 4, 8, 16, 32, 50, 50):
        clock.now += 60
        eventually(lambda: tokens.statuses()[0].failed_ago == 0)
        assert refused(tokens, A).retry_after == expected
    eventually(lambda: len(tried) == 8)


def test_what_is_told_of_a_mint(make: MakeTokens, minter: Minter) -> None:
    """Each mint is reported with how long it took and how it ended, never with the token."""
    told: list[MintResult] = []
    tokens = make(minter, on_mint=told.append)
    token = tokens.get(A)
    eventually(lambda: len(told) == 1)
    assert (told[0].audience, told[0].ok, told[0].error) == (A, True, "")
    assert 0 <= told[0].seconds < LONG
    minter.fault = MintError("no")
    refused(tokens, B)
    eventually(lambda: len(told) == 2)
    assert (told[1].audience, told[1].ok, told[1].error) == (B, False, "no")
    assert token.value not in repr((told, tokens.statuses(), token, tokens))
    assert [status.failed_ago for status in tokens.statuses()] == [None, 0]


def test_an_observer_that_fails_harms_nobody(
    make: MakeTokens, minter: Minter, caplog: pytest.LogCaptureFixture
) -> None:
    """An observer's exception is logged and the workers go on."""

    def broken(_: MintResult) -> None:
        raise RuntimeError("the observer's own trouble")

    tokens = make(minter, mint_concurrency=1, on_mint=broken)
    assert tokens.get(A)
    assert tokens.get(B)
    eventually(lambda: caplog.text.count("the observer of mints failed") == 2)


def test_an_unexpected_exception_is_one_failure(make: MakeTokens, minter: Minter) -> None:
    """What a mint should never raise costs one 503, tells no secret and kills no worker."""
    minter.fault = ValueError("eyJ-the-token")
    tokens = make(minter, mint_concurrency=1)
    description = refused(tokens, A).description
    assert "unexpected ValueError" in description
    assert "eyJ" not in description
    minter.fault = None
    assert tokens.get(B)


def test_a_google_that_hangs_costs_a_quick_503(
    make: MakeTokens, clock: Clock, minter: Minter
) -> None:
    """With 1,000 cold audiences and a Google that hangs: 503s in time, few threads, all heals."""
    warm = "https://warm.run.app"
    tokens = make(minter, mint_timeout=1.0, mint_concurrency=16)
    held = tokens.get(warm)
    minter.gate.clear()
    threads = threading.active_count()
    with ThreadPoolExecutor(1000) as pool:
        began = time.monotonic()
        audiences = [f"https://{number}.run.app" for number in range(1000)]
        answers = [pool.submit(refused, tokens, audience) for audience in audiences]
        assert all(tokens.get(warm) is held for _ in range(100))
        errors = [answer.result(LONG) for answer in answers]
        assert time.monotonic() - began < 10
        assert threading.active_count() - threads <= 1000 + 16 + 4
    assert minter.most_at_once <= 16 + 4
    assert all(error.retry_after >= 1 for error in errors)
    assert {error.description for error in errors} <= {
        "Google did not answer within 0.95 s",
        "Google has not answered within 1 s",
        "Google answers too slowly: no mint slot came free in time",
    }
    minter.gate.set()

    def heals() -> bool:
        clock.now += 2
        time.sleep(0.05)
        return tokens.ready()

    eventually(heals)
    assert len(tokens.statuses()) == 1001


def test_a_thousand_cold_audiences_at_once(make: MakeTokens, minter: Minter) -> None:
    """A Prometheus that starts with 1,000 jobs gets 1,000 tokens from 1,000 mints."""
    tokens = make(minter)
    audiences = [f"https://{number}.run.app" for number in range(1000)]
    with ThreadPoolExecutor(200) as pool:
        values = list(pool.map(tokens.get, audiences))
    assert len(set(values)) == 1000
    assert set(minter.issuer.mints.values()) == {1}
    assert tokens.ready()


def test_no_more_wait_than_may(make: MakeTokens, minter: Minter) -> None:
    """One caller too many gets its 503 at once, and the mint it asked for is made all the same."""
    minter.gate.clear()
    tokens = make(minter, max_waiting=1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(tokens.get, A)
        eventually(lambda: tokens.waiting == 1)
        assert "1 requests wait for Google already" in refused(tokens, B).description
        minter.gate.set()
        assert waiting.result(LONG)
    eventually(tokens.ready)
    assert minter.issuer.mints == {A: 1, B: 1}


def test_who_gives_up_in_the_queue_rests(make: MakeTokens, minter: Minter) -> None:
    """A caller whose mint got no slot in time is told so, and again at once when it asks again."""
    minter.gate.clear()
    minter.overstay = LONG
    tokens = make(minter, mint_timeout=0.05, mint_concurrency=1)
    refused(tokens, A)
    first, second = refused(tokens, B), refused(tokens, B)
    assert "no mint slot came free" in first.description
    assert (second.description, second.retry_after) == (first.description, 1)


def test_a_mint_ends_with_its_callers_patience(
    make: MakeTokens, clock: Clock, minter: Minter
) -> None:
    """What was queued for long gets what is left, so that no slot hangs on when Google is back."""
    minter.gate.clear()
    tokens = make(minter, mint_timeout=LONG, mint_concurrency=1)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(tokens.get, A)
        eventually(lambda: minter.at_once == 1)
        waiting = pool.submit(tokens.get, B)
        eventually(lambda: tokens.waiting == 2)
        clock.now += LONG * 0.8
        late = pool.submit(tokens.get, "https://c.run.app")
        eventually(lambda: tokens.waiting == 3)
        minter.gate.set()
        assert all(answer.result(LONG) for answer in (first, waiting, late))
    assert minter.timeouts == pytest.approx([LONG * 0.95, LONG * 0.2 * 0.95, LONG * 0.95])


def test_a_retry_wakes_the_scheduler(make: MakeTokens) -> None:
    """A retry that is due sooner than all else is made when it is due, not at the next look."""
    minter = Minter(time.monotonic)
    minter.fault = MintError("no")
    tokens = make(minter, clock=time.monotonic, look_every=3600.0)
    refused(tokens, A)
    minter.fault = None
    eventually(tokens.ready)


def test_as_many_mints_at_once_as_may_be(make: MakeTokens, minter: Minter) -> None:
    """A pool grows to its slots while work waits, for cold audiences and for renewals alike."""
    tokens = make(minter, mint_concurrency=8)
    audiences = [f"https://{number}.run.app" for number in range(12)]
    minter.gate.clear()
    with ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(tokens.get, audience) for audience in audiences]
        eventually(lambda: minter.at_once == 8)
        minter.gate.set()
        assert all(answer.result(LONG) for answer in answers)
    assert minter.most_at_once == 8


def test_whoever_begins_a_mint_has_the_next_one_begun(make: MakeTokens, minter: Minter) -> None:
    """Mints that are queued together run side by side, though only one thread is woken for them."""
    tokens = make(minter, mint_concurrency=8, look_every=3600.0)
    minter.gate.clear()
    tokens.prewarm([f"https://{number}.run.app" for number in range(4)])
    eventually(lambda: minter.at_once == 4)


def test_renewals_grow_to_their_slots(make: MakeTokens, clock: Clock, minter: Minter) -> None:
    """Tokens that are due together are renewed side by side."""
    tokens = make(minter, mint_concurrency=16)
    for number in range(6):
        tokens.get(f"https://{number}.run.app")
    minter.gate.clear()
    clock.now += HOUR * 0.6
    eventually(lambda: minter.at_once == 4)
    minter.gate.set()
    eventually(lambda: set(minter.issuer.mints.values()) == {2})


class NoThreads:
    """A system that gives the tokens no more threads, while ``on``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = False
        start = threading.Thread.start

        def refuse(thread: threading.Thread) -> None:
            if self.on and thread.name.startswith("tokens-"):
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", refuse)


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> NoThreads:
    return NoThreads(monkeypatch)


def test_no_mint_is_lost_where_no_thread_can_be_started(
    make: MakeTokens, clock: Clock, minter: Minter, no_threads: NoThreads
) -> None:
    """With the threads of the start alone, every cold audience is minted, and every renewal."""
    tokens = make(minter, mint_concurrency=16)
    no_threads.on = True
    audiences = [f"https://{number}.run.app" for number in range(40)]
    with ThreadPoolExecutor(40) as pool:
        assert len(set(pool.map(tokens.get, audiences))) == 40
    clock.now += HOUR * 0.6
    eventually(lambda: set(minter.issuer.mints.values()) == {2})
    assert minter.most_at_once <= 2
    no_threads.on = False
    minter.gate.clear()
    with ThreadPoolExecutor(40) as pool:
        answers = [pool.submit(tokens.get, f"{audience}/") for audience in audiences]
        eventually(lambda: minter.at_once == 16)
        minter.gate.set()
        assert all(answer.result(LONG) for answer in answers)


def test_no_thread_at_all_is_named_and_heals(
    make: MakeTokens, minter: Minter, no_threads: NoThreads, caplog: pytest.LogCaptureFixture
) -> None:
    """Without any thread the refusal names what ran out, not Google; later all is minted."""
    no_threads.on = True
    tokens = make(minter)
    for _ in range(3):
        description = refused(tokens, A, timeout=0.05).description
        assert "at its limit of threads (ulimit -u" in description
    assert caplog.text.count("at its limit of threads") == 1
    no_threads.on = False
    assert tokens.get(B)
    eventually(tokens.ready)
    assert minter.issuer.mints == {A: 1, B: 1}


def test_a_minter_that_breaks_its_deadline(make: MakeTokens, clock: Clock, minter: Minter) -> None:
    """A mint that overstays its timeout (a resolver that hangs) holds no further caller up."""
    minter.gate.clear()
    minter.overstay = 2 * LONG
    tokens = make(minter)
    assert refused(tokens, A, timeout=0.05).description == "Google has not answered within 30 s"
    clock.now += LONG + 1
    began = time.monotonic()
    assert refused(tokens, A).retry_after >= 1
    assert time.monotonic() - began < LONG / 2
    minter.gate.set()
    eventually(tokens.ready)


def test_closing_does_not_wait_for_google(make: MakeTokens, minter: Minter) -> None:
    """Closing sends everybody away at once, though a mint hangs, and may be done twice."""
    minter.gate.clear()
    minter.overstay = LONG
    tokens = make(minter, mint_timeout=3600.0)
    told: list[str] = []
    waiting = threading.Thread(
        target=lambda: told.append(refused(tokens, A).description), daemon=True
    )
    waiting.start()
    eventually(lambda: tokens.waiting == 1)
    began = time.monotonic()
    tokens.close()
    tokens.close()
    assert time.monotonic() - began < 10
    waiting.join(LONG / 2)
    assert told == ["the proxy is stopping"]
    assert refused(tokens, B).retry_after == 1
    tokens.start()
    assert refused(tokens, B).retry_after == 1


def test_nothing_starts_by_itself(minter: Minter) -> None:
    """No thread runs before start(): gunicorn forks after the application is made."""
    before = threading.active_count()
    tokens = Tokens(minter, clock=minter.clock)
    tokens.prewarm([A])
    assert "starting" in refused(tokens, A).description
    assert threading.active_count() == before
    tokens.start()
    eventually(tokens.ready)
    tokens.close()
    assert minter.issuer.mints == {A: 1}


def test_prewarmed(make: MakeTokens, minter: Minter) -> None:
    """Audiences are minted before anybody asks; those that are known already are left alone."""
    tokens = make(minter)
    tokens.get(A)
    tokens.prewarm([A, B])
    assert not tokens.ready() or B in minter.issuer.mints
    eventually(tokens.ready)
    assert minter.issuer.mints == {A: 1, B: 1}
    assert [status.audience for status in tokens.statuses()] == [A, B]


def test_what_is_asked_for_is_kept(make: MakeTokens, clock: Clock, minter: Minter) -> None:
    """A warm answer counts as asking: an audience that is used is never forgotten."""
    tokens = make(minter)
    for mints in range(1, 12):
        tokens.get(A)
        clock.now += HOUR / 2
        eventually(lambda mints=mints: minter.issuer.mints[A] == mints + 1)  # type: ignore[misc]
        assert [status.audience for status in tokens.statuses()] == [A]


def test_only_what_is_allowed_is_kept(make: MakeTokens, minter: Minter) -> None:
    """An audience that left the inventory is forgotten: it keeps nothing unready."""
    tokens = make(minter)
    tokens.get(A)
    minter.fault = MintError("no")
    refused(tokens, B)
    assert not tokens.ready()
    tokens.retain(lambda audience: audience == A)
    assert tokens.ready()
    assert [status.audience for status in tokens.statuses()] == [A]


def test_ready_without_audiences(make: MakeTokens, minter: Minter) -> None:
    """A proxy that nobody has asked for anything is ready."""
    assert make(minter).ready()


def test_metadata_tokens_near_their_end(make: MakeTokens, clock: Clock) -> None:
    """A metadata server that keeps its token to the last: it is served until the next one comes."""
    minter = Minter(clock, Issuer(repeats=True, repeats_until_left=10))
    minter.issuer.held[A] = Issued("old", clock.now + 40)
    tokens = make(minter)
    for left, promise in ((40, 30), (20, 15), (11, 6)):
        clock.now = minter.issuer.held[A].ends_at - left
        held = tokens.get(A)
        assert (held.value, tokens.expires_in(held)) == ("old", promise)
    clock.now += 2
    eventually(lambda: tokens.get(A).value != "old")
    assert tokens.expires_in(tokens.get(A)) == HOUR - 30


def test_few_threads_for_few_audiences(make: MakeTokens, minter: Minter) -> None:
    """A small installation has a handful of threads, whatever the concurrency may be."""
    before = threading.active_count()
    tokens = make(minter, mint_concurrency=64)
    for number in range(20):
        tokens.get(f"https://{number}.run.app")
    assert threading.active_count() - before <= 5
