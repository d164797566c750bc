"""Fields of a scrape_config: their types, who knows them, and which no rule may set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, ValidationInfo
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from runscrape_generator.config.fields import Marker, Number, Scalar, Text

OLDEST_PROMETHEUS, OLDEST_VMAGENT = "2.27", "1.79"
SECRET = "a secret does not belong in this file"


class FieldBlock(BaseModel):
    """A mapping of fields."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


@dataclass(frozen=True, slots=True)
class FirstReleases:
    """The first release of each reader that knows a field or value; None where none does."""

    prometheus: str | None = OLDEST_PROMETHEUS
    vmagent: str | None = None
    renamed: str = ""
    """What Prometheus 3.0 calls it."""
    values: Mapping[str, FirstReleases] = field(default_factory=dict)
    """Of values that came later than the field."""

    def __call__(self, schema: dict[str, Any]) -> None:
        """Tell it in the JSON Schema."""
        if self.prometheus is None:
            schema["description"] = f"vmagent {self.vmagent} and later only."
        elif self.prometheus != OLDEST_PROMETHEUS:
            schema["description"] = f"Prometheus {self.prometheus} and later."


def since(
    prometheus: str | None = OLDEST_PROMETHEUS,
    vmagent: str | None = None,
    *,
    key: str | None = None,
    renamed: str = "",
    values: Mapping[str, FirstReleases] | None = None,
) -> Any:
    """Declare a field by the releases that brought it; *key* is its name in the file."""
    notes: Any = FirstReleases(prometheus, vmagent, renamed, values or {})
    return Field(default=None, alias=key, json_schema_extra=notes)


def known(info: FieldInfo) -> FirstReleases:
    """Who knows the field; a field that no rule may set is no reader's business."""
    notes: Any = info.json_schema_extra
    if isinstance(notes, FirstReleases):
        return notes
    return FirstReleases(OLDEST_PROMETHEUS, OLDEST_VMAGENT)


@dataclass(frozen=True, slots=True)
class Refused(Marker):
    """No rule may set it."""

    why: str

    def check(self, _kind: Any, _value: Any, _info: ValidationInfo) -> NoReturn:
        """Refuse whatever is given."""
        raise ValueError(f"may not be set here: {self.why}")

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Allow nothing."""
        return {"not": {}}


AnyText = Annotated[str, Scalar("text", r"[\s\S]*")]
Limit = Annotated[int, Number("a whole number, 0 or above", 0, 2**63 - 1)]
Factor = Annotated[float, Number("a number, 0 or above", 0, 1e300)]
Size = Annotated[str, Scalar("a size such as 10MB", r"0|(?:[0-9]+(?:\.[0-9]+)?(?:B|[KMGTPE]i?B))+")]
VmagentSize = Annotated[str, Scalar("a size such as 10MB", r"[0-9]+(?:\.[0-9]+)?(?:[KMGT]i?B)?")]
ProxyUrl = Annotated[
    str,
    Text(
        "a URL such as http://proxy:3128",
        r"[a-z][a-z0-9+]*://[^@\s]+",
        hint=lambda url: f": {SECRET}, leave user and password out" if "@" in url else "",
    ),
]
