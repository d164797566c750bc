r"""Regular expressions as Prometheus and vmagent read them: RE2's syntax, as Go has it.

Python's is no help to tell a bad one: it takes lookaheads, backreferences and ``a*+``, which RE2
refuses, and refuses ``\pL``, ``\z`` and ``(?i)`` in the middle. What is refused here Go refuses,
too; of the rest it may still refuse a class by its name, or a range that runs backwards.
https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

import re

from runscrape_generator.text import show

_LARGEST_REPEAT = 1000

_ESCAPE = (
    r"\\(?:0[0-7]{0,2}|[1-7][0-7]{1,2}|x[0-9a-fA-F]{2}|x\{[0-9a-fA-F]+\}|[afnrtv]"
    r"|[^0-9A-Za-z\x80-\U0010ffff])"
)
_NAMED = r"\\[pP](?:\{[^}]*\}|[^{])|\\[dDsSwW]"
_CHARACTER = rf"(?:{_ESCAPE}|[^\\])"
_ELEMENT = re.compile(
    rf"\[:\^?[a-z]+:\]|{_NAMED}|{_CHARACTER}(?:-(?!\]){_CHARACTER}|(?!-[^\]]))",
    re.DOTALL | re.ASCII,
)
"""Of a class; the first one may be a ``]``."""

_FLAGS = r"[imsU]*(?:-[imsU]+)?"
_COUNT = r"(?:0|[1-9][0-9]*)"
_TOKEN = re.compile(
    "|".join(
        (
            rf"(?P<open>\((?!\?)|\(\?{_FLAGS}:|\(\?P?<\w+>)",
            r"(?P<close>\))",
            r"(?P<bar>\|)",
            rf"(?P<repeat>(?:[*+?]|\{{{_COUNT}(?:,{_COUNT}?)?\}})\??)",
            rf"(?P<nothing>\(\?{_FLAGS}\)|\\Q\\E)",
            r"(?P<class>\[\^?)",
            rf"(?P<atom>\\Q.*?(?:\\E|\Z)|{_NAMED}|\\[AbBz]|{_ESCAPE}|[^\\\[(])",
        )
    ),
    re.DOTALL | re.ASCII,
)


def refused(regex: str) -> str:
    """Say why RE2 surely refuses a regular expression; empty where it may take it."""
    text = f"^(?:{regex})$"  # as Prometheus and vmagent compile it
    place, depth = 0, 0
    repeatable = repeated = False
    while place < len(text):
        token = _TOKEN.match(text, place)
        end = token and _end(token)
        if token is None or end is None:
            return _unknown(text[place:])
        kind, said = token.lastgroup, token[0]
        if kind == "repeat" and (repeated or not repeatable):
            return f"there is nothing that {said} could repeat"
        counts = [int(number) for number in re.findall(r"\d+", said)] if kind == "repeat" else []
        if counts != sorted(counts) or max(counts, default=0) > _LARGEST_REPEAT:
            return f"{said} is no number of times, from 0 to {_LARGEST_REPEAT}"
        depth += {"open": 1, "close": -1}.get(str(kind), 0)
        if depth < 0:
            return "a ) has no ("
        repeated = kind == "repeat"
        if kind != "nothing":
            repeatable = kind in {"atom", "class", "close", "repeat"}
        place = end
    return "a ( has no )" if depth else ""


def _end(token: re.Match[str]) -> int | None:
    """Where a token ends, a class with all of its elements; None for a class without an end."""
    place = token.end()
    if token.lastgroup != "class":
        return place
    while (element := _ELEMENT.match(token.string, place)) is not None:
        place = element.end()
        if token.string.startswith("]", place):
            return place + 1
    return None


_UNKNOWN = {
    r"\(\?<?[=!]": "it looks ahead or behind, which RE2 cannot",
    r"\(": "RE2 knows no such group",
    r"\\[1-9]": "it refers back to a group, which RE2 cannot",
    r"\\": "RE2 knows no such escape",
    r"\[": "its class has no end, or has an escape that RE2 does not know",
}


def _unknown(rest: str) -> str:
    why = next(why for start, why in _UNKNOWN.items() if re.match(start, rest))
    return f"{why}: {show(rest.removesuffix(')$'), 20)}"
