"""Checks beliefs at a site, and says which hold, without a word that is secret or names anybody."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import requests
from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError

from tests.google.belief import Belief, CannotAskError, DiffersError
from tests.google.site import Site

Verdict = Literal["holds", "differs", "not asked"]
_LONGEST = 1500
_PATTERNS = (
    (re.compile(r"eyJ[\w-]+(?:\.[\w-]*)*|ya29\.[\w.-]+"), "TOKEN"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "EMAIL"),
    (re.compile(r"[\w-]+((?:\.[\w-]+)?\.run\.app|\.cloudfunctions\.net)\b"), r"HOST\1"),
    (re.compile(r"\b\d{6,}\b"), "NUMBER"),
    (re.compile(r"\b[0-9a-f]{16,}\b"), "HEX"),
)


@dataclass(frozen=True)
class Outcome:
    """What became of a belief; ``seen`` is what was seen in its place, or what was missing."""

    belief: Belief
    verdict: Verdict
    seen: str = ""


def check(beliefs: Iterable[Belief], site: Site) -> Iterator[Outcome]:
    """Check one belief after the other."""
    for belief in beliefs:
        verdict, seen = _judged(belief, site)
        yield Outcome(belief, verdict, without_names(seen, site))


def _judged(belief: Belief, site: Site) -> tuple[Verdict, str]:
    try:
        belief.check(site)
    except DiffersError as error:
        return "differs", str(error)
    except CannotAskError as error:
        return "not asked", f"needs {error}"
    except (requests.RequestException, GoogleAPICallError, GoogleAuthError) as error:
        return "differs", f"{type(error).__name__}: {error}"
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration) as error:
        return "differs", f"another shape of answer ({type(error).__name__}: {error})"
    return "holds", ""


def without_names(text: str, site: Site) -> str:
    """Replace tokens, emails, hosts, numbers, and the names of project and services."""
    (tokens, token), *others = _PATTERNS
    text = tokens.sub(token, text)
    try:
        services = {each["name"].rpartition("/")[2] for each in site.services}
    except requests.RequestException:
        services = {site.name}
    names = dict.fromkeys(services, "SERVICE") | {site.project: "PROJECT"}
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", names[name], text)
    for pattern, replacement in others:
        text = pattern.sub(replacement, text)
    return text[:_LONGEST]


def markdown(outcomes: list[Outcome]) -> str:
    """A report that an issue can carry."""
    when = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d")
    lines = [
        "# What Google does, held against what runscrape believes",
        "",
        f"{when}: {tally(outcomes)}.",
    ]
    for outcome in outcomes:
        if outcome.verdict == "differs":
            about = outcome.belief
            lines += ["", f"## {about.name} differs", "", about.says, ""]
            lines += [f"Source: {about.source} ({about.sure}). Seen:", "", "```text"]
            lines += [*outcome.seen.replace("```", "'''").splitlines(), "```"]
    lines += ["", "| belief | sure | |", "|---|---|---|"]
    for outcome in outcomes:
        said = f"not asked: {outcome.seen}" if outcome.verdict == "not asked" else outcome.verdict
        lines.append(
            f"| {outcome.belief.name} | {outcome.belief.sure} | {said.replace('|', '/')} |"
        )
    return "\n".join(lines) + "\n"


def tally(outcomes: list[Outcome]) -> str:
    """How many hold, differ, were not asked."""
    verdicts = [outcome.verdict for outcome in outcomes]
    words: tuple[tuple[Verdict, str], ...] = (
        ("holds", "hold"),
        ("differs", "differ"),
        ("not asked", "could not be asked"),
    )
    return ", ".join(f"{verdicts.count(verdict)} {word}" for verdict, word in words)
