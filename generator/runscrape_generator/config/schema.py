"""The JSON Schema (draft 2020-12) of runscrape.yaml, as pydantic gives it.

``runscrape.schema.json`` beside this module is its committed text, for editors; make it anew with
``python -m runscrape_generator.config.schema``. What no schema can say (a timeout longer than its
interval, duplicate keys, where files may lie) is found only when the file is read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from runscrape_generator.config.settings import Settings

FILE = Path(__file__).with_name("runscrape.schema.json")


class _Generator(GenerateJsonSchema):
    """Leaves out what says nothing in a file: titles, and that an unset value is null."""

    def field_title_should_be_set(self, _schema: Any) -> bool:
        """Set none: the key says it."""
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Allow no null: a key that is not set is left out."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Show a default only where something is set."""
        if isinstance(schema.get("default"), str | int):
            return super().default_schema(schema)
        return self.generate_inner(schema["schema"])

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Refuse keys that do not match."""
        made = super().dict_schema(schema)
        return made | ({"additionalProperties": False} if "patternProperties" in made else {})


def build() -> dict[str, Any]:
    """Give the schema as data."""
    made = TypeAdapter(Settings).json_schema(by_alias=True, schema_generator=_Generator)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "title": "runscrape.yaml",
        "description": "Settings of runscrape; flags and environment variables beat them.",
        # An empty file is a file without settings.
        "type": ["object", "null"],
    }


def text() -> str:
    """Give the schema as the committed file has it."""
    return json.dumps(build(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
