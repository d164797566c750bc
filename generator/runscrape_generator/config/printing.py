"""``--print-config``: the settings in force, as a runscrape.yaml that says where each came from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from runscrape_generator.config.load import Loaded
from runscrape_generator.config.settings import OPTIONS, Option
from runscrape_generator.text import printable

_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def config(command: str, loaded: Loaded, notes: Mapping[str, str] | None = None) -> str:
    """Give the settings that *command* uses, a line each; those not set as comments.

    Paths are absolute, so that the text means the same wherever it is kept. *notes*, by key, go
    behind the place that a setting came from.
    """
    lines = [f"# What is in force for runscrape {command}, and where it came from."]
    for option in OPTIONS:
        if command in option.commands:
            note = (notes or {}).get(option.key, "")
            lines += (f"{line}{printable(note)}" for line in _lines(option, loaded))
    return "\n".join(lines) + "\n"


def _lines(option: Option, loaded: Loaded) -> Iterator[str]:
    origin = printable(loaded.origins[option.key])
    if option.key not in loaded.shown:
        yield f"# {option.key}: not set"
    elif option.key == "rules":
        yield f"rules:  # {origin}"
        for number, rule in enumerate(loaded.shown["rules"]):
            yield f"  - {_flow(rule)}  # {printable(loaded.settings.lines['rules', number])}"
    else:
        yield f"{option.key}: {_flow(loaded.shown[option.key])}  # {origin}"


def _flow(data: object) -> str:
    """Write *data* as JSON, which is YAML as long as no character in it is one that YAML bars."""
    text = json.dumps(data, ensure_ascii=False)
    return _NOT_IN_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
