"""How far this machine's clock is from Google's, by the Date header of its answers."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from runscrape_generator.doctor.evidence import Answer, Evidence, Exchange

TOLERATED = 30.0
"""Seconds; Date has whole seconds, and an answer takes time."""


def offset(made: Exchange | None) -> float | None:
    """Give Google's clock less ours in seconds; None where no Google says the time."""
    if made is None or made.answer is None or not is_googles(made.answer):
        return None
    try:
        date = parsedate_to_datetime(made.answer.headers.get("date", ""))
        return date.timestamp() - (made.began + made.seconds / 2)
    except (ValueError, OverflowError):
        return None


def is_googles(answer: Answer) -> bool:
    """Whether the Date is Google's own, and not that of some server by hand."""
    return answer.headers.get("server", "").lower() == "google frontend"


def google_now(evidence: Evidence) -> float:
    """Give Google's time, as of the scrape; by our clock where its answer had no Date."""
    made = evidence.scrape
    if made is None:
        first = evidence.token.exchanges[:1] if evidence.token else ()
        return first[0].began if first else 0.0
    return made.began + made.seconds / 2 + (offset(made) or 0.0)
