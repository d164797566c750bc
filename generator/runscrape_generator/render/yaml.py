r"""Text and data as YAML that every reader takes for exactly what it was.

The one way by which a value reaches an output. Every string is double-quoted with escapes that
JSON, YAML 1.1 (PyYAML, go-yaml v2) and YAML 1.2 (go-yaml v3) read alike, so that nothing in it can
be taken for structure, a boolean, a number or a comment. ``%{`` is written ``\u0025{``: vmagent
expands ``%{VAR}`` in the bytes of a file, before it parses them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache

from runscrape_generator.errors import ValidationError

_RAW_UNSAFE = (*range(0x7F, 0xA0), 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF)
"""What ``json.dumps`` leaves as it is, yet is no printable character or a line break of YAML."""

_ESCAPES = {code: f"\\u{code:04x}" for code in _RAW_UNSAFE}

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Plain words that YAML 1.1 takes for a boolean or null, in any case."""

_LONGEST_KEY = 1000
"""Characters; a YAML key may have 1024 bytes unless it is marked with ``?``."""


_in_json = json.JSONEncoder(ensure_ascii=False).encode
"""Of one for all, because ``json.dumps`` makes one for each call."""


def _escape(json_text: str) -> str:
    if json_text.isascii() and "\x7f" not in json_text and "%{" not in json_text:
        return json_text
    return json_text.translate(_ESCAPES).replace("%{", "\\u0025{")


def encode(text: str) -> bytes:
    """*text* as UTF-8; raises ValidationError for half a surrogate pair, which is no character."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        line = text[max(0, error.start - 40) : error.start + 10]
        raise ValidationError(f"not Unicode text, half a surrogate pair in {line!a}") from None


def quoted(text: str) -> str:
    """*text* as a double-quoted scalar, on one line."""
    return _escape(_in_json(text))


def as_json(value: object) -> str:
    """*value* as indented JSON that is the same value to a YAML reader, with a newline."""
    return _escape(json.dumps(value, ensure_ascii=False, indent=2)) + "\n"


@lru_cache(maxsize=1024, typed=True)
def key(text: object) -> str:
    """A mapping's key: plain where every YAML reader takes it for a string, else quoted."""
    if isinstance(text, bool) or not isinstance(text, str | int):
        raise ValidationError(f"{text!r} cannot be a key in YAML here: write it as a string")
    if isinstance(text, int):
        return str(text)
    plain = _PLAIN_KEY.fullmatch(text) and text.lower() not in _RESERVED
    scalar = text if plain else quoted(text)
    if len(scalar.encode(errors="surrogatepass")) > _LONGEST_KEY:
        raise ValidationError(f"a key of {len(text)} characters is too long: {scalar[:60]}…")
    return scalar


def block(value: object, indent: int) -> str:
    """*value* as what follows ``key:``, its own lines *indent* columns to the right.

    Starts with a space (a scalar, a list of scalars, anything empty) or with a newline; does not
    end with one. Raises ValidationError for what is no string, number, boolean, null, list or
    mapping.
    """
    if isinstance(value, str):
        return " " + quoted(value)
    if isinstance(value, Mapping) and value:
        return "".join(_entries(value, indent))
    if isinstance(value, list | tuple) and any(isinstance(i, Mapping) and i for i in value):
        return "".join(_item(item, indent) for item in value)
    return " " + _inline(value)


def _entries(mapping: Mapping[object, object], indent: int) -> list[str]:
    pad = "\n" + " " * indent
    return [f"{pad}{key(name)}:{block(value, indent + 2)}" for name, value in mapping.items()]


def _item(item: object, indent: int) -> str:
    """One entry of a list; a mapping's first line stands beside the dash."""
    dash = "\n" + " " * indent + "- "
    if not (isinstance(item, Mapping) and item):
        return dash + _inline(item)
    return dash + "".join(_entries(item, indent + 2)).lstrip()


def _inline(value: object) -> str:
    """*value* in flow style, on one line."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key(k)}: {_inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    return _scalar(value)


def _scalar(value: object) -> str:
    """A boolean, null or number; YAML 1.1 reads ``1e+20`` as a string, so it gets a point."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return ".nan" if math.isnan(value) else (".inf" if value > 0 else "-.inf")
        text = repr(value)
        return text if "." in text else text.replace("e", ".0e")
    raise ValidationError(f"{value!r} has no form in YAML here: write it as a string")
