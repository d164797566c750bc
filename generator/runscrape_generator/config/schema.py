"""The JSON Schema (draft 2020-12) of runscrape.yaml, made from the table of options.

``runscrape.schema.json`` beside this module is its committed text, for editors; make it anew with
``python -m runscrape_generator.config.schema``. What no schema can say (a timeout longer than its
interval, duplicate keys, where files may lie) only the parser finds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runscrape_generator.config.kinds import record_schema
from runscrape_generator.config.options import OPTIONS
from runscrape_generator.config.scrape_config import DATA_SCHEMA

FILE = Path(__file__).with_name("runscrape.schema.json")


def build() -> dict[str, Any]:
    """Give the schema as data."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "runscrape.yaml",
        "description": "Settings of runscrape; flags and environment variables beat them.",
        **_with_defaults(record_schema(OPTIONS)),
        # An empty file is a file without settings.
        "type": ["object", "null"],
        "$defs": {"data": DATA_SCHEMA},
    }


def _with_defaults(schema: dict[str, Any]) -> dict[str, Any]:
    for option in OPTIONS:
        if option.default not in (None, ()):
            schema["properties"][option.key]["default"] = option.default
    return schema


def text() -> str:
    """Give the schema as the committed file has it."""
    return json.dumps(build(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
