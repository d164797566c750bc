"""Whether a text of ours says what was meant: each structure is parsed, and every value compared.

A text is one document with a list of entries at column 0, and ten thousand entries differ in little
but their strings. A double-quoted string on one line can stand for another without moving anything
around it, so entries that are equal apart from such strings have one *shape*. YAML's parser reads
the document with the first entry of each shape in it; what the others hold besides their shape is
read as JSON, which has the same double-quoted strings, and compared as well. Where a text is not
made that way, all of it is parsed: that is slower, never laxer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import Any

from runscrape_generator.errors import ValidationError
from runscrape_generator.render import parsing

_ENTRY = re.compile(r"^(?=- )", re.MULTILINE)

_SAFE = r'[^"\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]*'
_ESCAPE = r'\\(?:["\\bfnrt]|u(?!d[89a-f])[0-9a-f]{4})'
_STRING = re.compile(rf'("{_SAFE}(?:{_ESCAPE}{_SAFE})*")(?=[\n,\]}}])')
"""A value that JSON, YAML 1.1 and YAML 1.2 read alike; a key, which has a colon after it, is part
of the shape. Half a surrogate pair is a character in JSON alone."""

_SLOT = re.compile(r'"slot ([0-9]+)"')

Shape = tuple[str, ...]


def says(text: str, entries: Sequence[Any], document: Callable[[list[Any]], Any]) -> bool:
    """Whether *text* is the one YAML document ``document(entries)``.

    Raises ValidationError for what is no YAML, or none that Prometheus takes.
    """
    head, *chunks = _ENTRY.split(text)
    if len(chunks) != len(entries):
        return parsing.documents(text) == [document(list(entries))]
    forms: dict[Shape, str | None] = {}
    parsed, meant = [head], []
    for chunk, entry in zip(chunks, entries, strict=True):
        parts = _STRING.split(chunk)
        shape = tuple(parts[::2])
        form = forms.get(shape)
        if form is None:
            parsed.append(chunk)
            meant.append(entry)
            if shape not in forms:
                forms[shape] = _form(shape)
        elif json.loads(form % tuple(parts[1::2])) != entry:
            return False
    return parsing.documents("".join(parsed)) == [document(meant)]


def _form(shape: Shape) -> str | None:
    """What an entry of *shape* holds, as JSON with a ``%s`` for each string of the text, in order.

    None where that cannot be said: the parser does not find every string as a value of its own,
    or JSON has no form for the rest.
    """
    slots = [f'"slot {number}"' for number in range(len(shape) - 1)]
    text = "".join(chain.from_iterable(zip_longest(shape, slots, fillvalue="")))
    try:
        ((entry,),) = parsing.documents(text)
        held = json.dumps(entry)
        same = json.loads(held) == entry
    except (ValidationError, ValueError, TypeError):
        return None
    pieces = _SLOT.split(held)
    in_order = pieces[1::2] == [str(number) for number in range(len(slots))]
    as_key = any(piece.startswith(":") for piece in pieces[2::2])
    if not same or not in_order or as_key:
        return None
    return "%s".join(piece.replace("%", "%%") for piece in pieces[::2])
