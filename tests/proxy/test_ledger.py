"""The state machine of the tokens, step by step and without threads."""

from __future__ import annotations

import pytest

from runscrape_proxy.errors import TemporarilyUnavailable
from runscrape_proxy.model import Token
from runscrape_proxy.tokens.entry import Entry, Pool, State
from runscrape_proxy.tokens.ledger import Ledger

A, B, C = "https://a.run.app", "https://b.run.app", "https://c.run.app"
HOUR = 3600.0
PATIENCE = 4.0


LISTED = "https://listed.run.app"


def ledger(*, retry_slots: int = 2, limit: int = 100) -> Ledger:
    return Ledger(
        random=lambda: 0.5,
        retry_slots=retry_slots,
        limit=limit,
        is_listed=lambda audience: audience == LISTED,
    )


def ask(book: Ledger, audience: str, now: float) -> Entry:
    return book.ask(audience, now, patience=PATIENCE)


def take(book: Ledger, now: float, pool: Pool = Pool.COLD) -> Entry:
    entry = book.take(pool, now)
    assert entry is not None
    return entry


def hold(book: Ledger, audience: str, token: Token, now: float) -> Entry:
    """Have ``book`` hold ``token``."""
    ask(book, audience, now)
    entry = take(book, now)
    assert book.minted(entry, token, now) == ""
    return entry


def test_one_mint_however_many_ask() -> None:
    """An audience is minted once, whoever asks while it is queued or in flight."""
    book = ledger()
    entries = {ask(book, A, 0), ask(book, A, 1)}
    taken = take(book, 1)
    assert entries == {taken, ask(book, A, 2)}
    assert book.take(Pool.COLD, 2) is None
    assert not taken.landed.is_set()
    book.minted(taken, Token("1", HOUR), 3)
    assert taken.landed.is_set()
    assert ask(book, A, 4).state is State.IDLE


def test_first_come_first_served() -> None:
    """Audiences that are waited for are minted in the order of asking."""
    book = ledger()
    for now, audience in enumerate((B, A, C, A)):
        ask(book, audience, now / 10)
    assert [take(book, 1).audience for _ in range(3)] == [B, A, C]


def test_a_held_token_is_never_replaced_by_a_failure() -> None:
    """A failed renewal leaves the token, and the audience is answered from it as before."""
    book = ledger()
    entry = hold(book, A, Token("good", HOUR), 0)
    assert book.next_due() == HOUR / 2
    book.step(HOUR / 2)
    assert take(book, HOUR / 2, Pool.RENEWING) is entry
    book.failed(entry, "Google is down", HOUR / 2)
    assert entry.token == Token("good", HOUR)
    assert (entry.last_error, entry.last_error_at) == ("Google is down", HOUR / 2)
    assert book.next_due() == HOUR / 2 + 1


@pytest.mark.parametrize("ends", [HOUR - 1, HOUR / 2 + 90, 100.0])
def test_a_held_token_is_never_replaced_by_one_that_ends_sooner(ends: float) -> None:
    """A new token that ends before the held one is thrown away; it is no failure."""
    book = ledger()
    entry = hold(book, A, Token("good", HOUR), 0)
    book.step(HOUR / 2)
    take(book, HOUR / 2, Pool.RENEWING)
    assert book.minted(entry, Token("worse", ends), HOUR / 2) == ""
    assert entry.token == Token("good", HOUR)
    assert entry.failures == 0
    assert book.next_due() == HOUR * 3 / 4


def test_metadata_server_is_polled_until_the_end_moves() -> None:
    """While the metadata server repeats its token, it is asked every 15 to 30 s, and no oftener."""
    book = ledger()
    same = Token("same", HOUR, repeats=True)
    entry = hold(book, A, same, 0)
    now = book.next_due()
    assert now == HOUR - 255
    for _ in range(3):
        book.step(now)
        assert book.minted(take(book, now, Pool.RENEWING), same, now) == ""
        assert book.next_due() == now + 22.5
        now = book.next_due()
    book.step(now)
    after = Token("next", now + HOUR, repeats=True)
    book.minted(take(book, now, Pool.RENEWING), after, now)
    assert entry.token == after
    assert book.next_due() == now + HOUR - 255


@pytest.mark.parametrize("said", [HOUR + 300, HOUR + 3600, 100.0])
def test_a_repeated_token_ends_when_it_was_said_to_at_first(said: float) -> None:
    """The same token again, with another end after a clock was set, lives no longer or shorter."""
    book = ledger()
    entry = hold(book, A, Token("same", HOUR, repeats=True), 0)
    book.step(HOUR - 255)
    book.minted(
        take(book, HOUR - 255, Pool.RENEWING), Token("same", said, repeats=True), HOUR - 255
    )
    assert entry.token is not None
    assert entry.token.ends_at == HOUR


def test_renewals_and_cold_mints_have_their_own_slots() -> None:
    """Neither pool takes the other's work, however much of it there is."""
    book = ledger()
    hold(book, A, Token("good", HOUR), 0)
    for number in range(50):
        ask(book, f"https://{number}.run.app", HOUR / 2)
    book.step(HOUR / 2)
    assert take(book, HOUR / 2, Pool.RENEWING).audience == A
    assert book.take(Pool.RENEWING, HOUR / 2) is None
    assert sum(book.take(Pool.COLD, HOUR / 2) is not None for _ in range(99)) == 50


def test_the_token_that_ends_first_is_renewed_first() -> None:
    """Renewals are taken in the order of what they keep alive, not of their turn."""
    book = ledger()
    for audience, ends in ((A, 5000.0), (B, 4000.0), (C, 4500.0)):
        hold(book, audience, Token("t", ends), 0)
    book.step(3000)
    taken = [take(book, 3000, Pool.RENEWING).audience for _ in range(3)]
    assert taken == [B, C, A]


def test_failing_audiences_leave_room_for_others() -> None:
    """Retries that nobody waits for take half of the cold slots at most."""
    book = ledger(retry_slots=2)
    for number in range(5):
        ask(book, f"https://{number}.run.app", 0)
        book.failed(take(book, 0), "no", 0)
    book.step(10)
    retries = [take(book, 10), take(book, 10)]
    assert book.take(Pool.COLD, 10) is None
    assert not book.has_work(Pool.COLD)
    ask(book, A, 10)
    assert take(book, 10).audience == A
    book.failed(retries[0], "no", 11)
    assert book.take(Pool.COLD, 11) is not None


def test_a_mint_that_nobody_waits_for_any_more_is_dropped() -> None:
    """A queue that grew while Google hung is not worked off: it empties by itself."""
    book = ledger()
    stale = ask(book, A, 0)
    ask(book, B, 3)
    assert take(book, 5).audience == B
    assert stale.state is State.IDLE
    assert "no mint slot came free" in stale.last_error
    assert stale.is_resting(5)


def test_no_mint_is_begun_too_late() -> None:
    """A mint has what is left of its callers' patience; with a tenth of it left none is begun."""
    book = ledger()
    _, late = ask(book, A, 0), ask(book, B, 0)
    assert take(book, 3.5).seconds_left() == pytest.approx(0.5)
    assert book.take(Pool.COLD, 3.7) is None
    assert late.is_resting(3.7)
    assert not late.landed.is_set(), "each caller is refused when its own patience ends"
    book.step(4.7)
    assert take(book, 4.7).seconds_left() > HOUR, "nobody waits for a retry"


def test_whoever_gives_up_last_drops_the_mint() -> None:
    """A caller that leaves ends the queued mint only where no later caller waits for it."""
    book = ledger()
    entry = ask(book, A, 0)
    ask(book, A, 2)
    book.give_up(entry, 4)
    assert book.has_work(Pool.COLD)
    book.give_up(entry, 6)
    assert entry.is_resting(6)
    assert book.take(Pool.COLD, 6) is None


def test_resting_after_a_failure() -> None:
    """Asking again during the back-off queues nothing; after it, one mint."""
    book = ledger()
    entry = ask(book, A, 0)
    book.failed(take(book, 0), "no", 0)
    assert ask(book, A, 0.5).is_resting(0.5)
    assert book.take(Pool.COLD, 0.5) is None
    assert not ask(book, A, 1.5).is_resting(1.5)
    assert take(book, 1.5) is entry


def test_whoever_gives_up_drops_only_what_it_waited_for() -> None:
    """A caller that leaves takes no mint away that was queued for the audience since."""
    book = ledger()
    old = ask(book, A, 0)
    book.forget(old)
    new = ask(book, A, 4)
    book.give_up(old, 4)
    assert take(book, 4) is new


def test_what_keeps_mints_from_beginning_is_named() -> None:
    """Where threads ran out, Google is not blamed for a mint that never began."""
    book = ledger()
    entry = ask(book, A, 0)
    book.obstacle = "no thread could be started"
    book.give_up(entry, 4)
    assert entry.last_error == "no thread could be started"


def test_a_retry_that_somebody_asks_for_moves_up() -> None:
    """A queued retry or renewal becomes a cold mint when a caller needs it, and is made once."""
    book = ledger(retry_slots=0)
    book.prewarm(A, 0)
    assert book.take(Pool.COLD, 0) is None
    ask(book, A, 0)
    assert book.minted(take(book, 0), Token("t", HOUR), 0) == ""
    book.step(HOUR / 2)
    ask(book, A, HOUR - 4)
    assert take(book, HOUR - 4).audience == A
    assert book.take(Pool.RENEWING, HOUR - 4) is None


@pytest.mark.parametrize(
    ("left", "said"),
    [(4, "ends in 4 s, and 5 s must be left"), (-5, "token has ended already")],
)
def test_a_token_about_to_end_is_no_success(left: float, said: str) -> None:
    """A new token that cannot be answered with is a failure that says so."""
    book = ledger()
    ask(book, A, 1000)
    entry = take(book, 1000)
    assert said in book.minted(entry, Token("t", 1000 + left), 1000)
    assert said in entry.last_error
    assert entry.is_resting(1000)


def test_other_credentials_are_tried_at_once() -> None:
    """What failed is tried again when the credentials were replaced, and what is held stays."""
    book = ledger()
    good = hold(book, A, Token("good", HOUR), 0)
    failing = ask(book, B, 0)
    for now in range(5):
        book.failed(take(book, now), "login expired", now)
        book.step(60 * (now + 1))
    book.failed(take(book, 300), "login expired", 300)
    assert failing.is_resting(300)
    book.retry_all(300)
    book.step(300)
    assert take(book, 300) is failing
    assert good.token == Token("good", HOUR)
    assert book.take(Pool.RENEWING, 300) is None


def test_another_identity_replaces_every_token() -> None:
    """Tokens of another identity take the place of those held, whichever ends first."""
    book = ledger()
    entry = hold(book, A, Token("old", HOUR), 0)
    book.replace_all(10)
    assert entry.token == Token("old", HOUR), "served until the next one is there"
    assert book.next_due() == 25
    book.step(25)
    assert book.minted(take(book, 25, Pool.RENEWING), Token("new", HOUR / 2), 25) == ""
    assert entry.token == Token("new", HOUR / 2)
    book.step(book.next_due())
    assert book.minted(take(book, 900, Pool.RENEWING), Token("worse", 1000), 900) == ""
    assert entry.token == Token("new", HOUR / 2), "of one identity the longest stays"


def test_a_mint_that_began_before_the_identity_changed() -> None:
    """A token that comes after the change, of the identity before it, is replaced at once."""
    book = ledger()
    ask(book, A, 0)
    entry = take(book, 0)
    book.replace_all(1)
    book.minted(entry, Token("old", HOUR), 2)
    assert book.next_due() == 2
    book.step(2)
    book.minted(take(book, 2, Pool.RENEWING), Token("new", HOUR / 2), 3)
    assert entry.token == Token("new", HOUR / 2)


def test_what_nobody_asks_for_is_forgotten() -> None:
    """After 3 h without a question an audience is let go instead of renewed."""
    book = ledger()
    hold(book, A, Token("0", HOUR), 0)
    renewals = 0
    while (now := book.next_due()) < 1e9:
        book.step(now)
        if (entry := book.take(Pool.RENEWING, now)) is not None:
            book.minted(entry, Token(f"t{now}", now + HOUR), now)
            renewals += 1
    assert book.entries == {}
    assert renewals == 6


def test_what_fails_and_nobody_asks_for_is_forgotten_sooner() -> None:
    """A mistyped audience does not keep the proxy unready, and Google busy, for hours."""
    book = ledger()
    ask(book, A, 0)
    book.failed(take(book, 0), "no", 0)
    tries = 0
    while (now := book.next_due()) < 1e9:
        book.step(now)
        if (entry := book.take(Pool.COLD, now)) is not None:
            book.failed(entry, "no", now)
            tries += 1
    assert book.entries == {}
    assert now == float("inf")
    assert 15 < tries < 30


def test_what_is_to_be_prewarmed_is_not_given_up() -> None:
    """An audience that --prewarm wants is tried until it has a token, though nobody asks."""
    book = ledger()
    book.prewarm(A, 0)
    now = 0.0
    while now < 2 * HOUR:
        book.failed(take(book, now), "no", now)
        now = book.next_due()
        book.step(now)
    book.minted(take(book, now), Token("t", now + HOUR), now)
    while (now := book.next_due()) < 1e9:
        book.step(now)
        if (entry := book.take(Pool.RENEWING, now)) is not None:
            book.minted(entry, Token(f"t{now}", now + HOUR), now)
    assert book.entries == {}, "it is forgotten as any other"


def test_the_longest_unasked_goes_first() -> None:
    """Beyond the limit a new audience takes the place of the one that nobody asked for longest."""
    book = ledger(limit=2)
    for now, audience in enumerate((A, B)):
        hold(book, audience, Token(audience, HOUR), now)
    ask(book, A, 10)
    ask(book, C, 11)
    assert set(book.entries) == {A, C}


def test_invented_audiences_do_not_push_out_listed_ones() -> None:
    """An audience of the inventory has its place, however many others there are."""
    book = ledger(limit=1)
    hold(book, LISTED, Token("t", HOUR), 0)
    for now, audience in enumerate((A, B, C)):
        hold(book, audience, Token(audience, HOUR), now)
    assert set(book.entries) == {LISTED, C}
    book.forget(book.entries[LISTED])
    ask(book, LISTED, 5)
    assert set(book.entries) == {LISTED, C}


def test_who_waits_is_not_pushed_out() -> None:
    """While each of the places is waited for, one more is told to come again."""
    book = ledger(limit=2)
    ask(book, A, 0)
    ask(book, B, 0)
    with pytest.raises(TemporarilyUnavailable, match="2 other audiences are being minted"):
        ask(book, C, 0)
    assert ask(book, A, 0).audience == A
    book.forget(book.entries[B])
    assert ask(book, C, 0).audience == C


def test_forgotten_while_in_flight() -> None:
    """What lands for a forgotten audience changes nothing."""
    book = ledger()
    ask(book, A, 0)
    entry = take(book, 0)
    book.forget(entry)
    book.minted(entry, Token("t", HOUR), 1)
    assert book.entries == {}
    assert book.next_due() == float("inf")
