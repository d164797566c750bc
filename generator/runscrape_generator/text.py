"""Text from strangers made fit for a message or a terminal: one line, no control characters."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

_ESCAPED = {"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"}
"""Categories that move the cursor, reorder text, break lines, or show nothing at all."""
_LATIN_1 = 0xFF
SURROGATES = re.compile("[\ud800-\udfff]")
"""Halves of pairs, which are no characters: Python makes them of bytes that are no UTF-8."""
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def printable(text: str) -> str:
    r"""Give *text* with every character that a terminal might act on written as ``\x1b``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(char) for char in text)


def _escaped(char: str) -> str:
    if unicodedata.category(char) not in _ESCAPED:
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code <= _LATIN_1 else f"\\u{code:04x}"


def width(text: str) -> int:
    """Columns that printable *text* takes: 2 for wide characters, 0 for combining ones (UAX 11)."""
    return len(text) if text.isascii() else sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """Shorten *text* to *columns*, the last of them an ellipsis."""
    if width(text) <= columns:
        return text
    kept, used = [], 0
    for char in text:
        used += _columns(char)
        if used > columns - 1:
            break
        kept.append(char)
    return "".join(kept) + ELLIPSIS if columns > 0 else ""


def cut_middle(text: str, columns: int) -> str:
    """Shorten *text* to *columns* in its middle: what begins alike differs at the end."""
    if width(text) <= columns:
        return text
    start = cut(text, columns // 4 + 1)
    kept, used = [], width(start)
    for char in reversed(text):
        used += _columns(char)
        if used > columns:
            break
        kept.append(char)
    return start + "".join(reversed(kept))


def plural(number: int, noun: str) -> str:
    """Count: ``1 job``, ``2 jobs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def pad(text: str, columns: int) -> str:
    """Fill *text* with spaces up to *columns*."""
    return text + " " * (columns - width(text))


def shortened(text: str, limit: int = 300) -> str:
    """Put *text* on one line of at most *limit* characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + ELLIPSIS


def from_json(data: str | bytes) -> Any:
    """Read JSON of strangers. Raises ValueError, also for what is nested without end."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("is nested without end") from None


def one_line(error: BaseException, limit: int = 300) -> str:
    """Shorten an error to one line of at most *limit* characters, for messages."""
    return shortened(str(error.args[0] if error.args else error), limit) or type(error).__name__


def show(text: str, limit: int = 60) -> str:
    """Quote *text* for one line of a message, as JSON does, shortened to *limit* characters."""
    short = text if len(text) <= limit else text[: limit - 1] + ELLIPSIS
    return printable(json.dumps(short, ensure_ascii=False))
