"""What a rule's ``scrape_config`` may say: anything of a Prometheus job but what we promise of it.

Left out are the job's name, its targets and its authentication (runscrape sets these, and the
inventory repeats them to the proxy), whatever would carry the token elsewhere, and secrets written
out in full, because settings are printed by ``--print-config`` and the output is world-readable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, ValidationError, ValidationInfo
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from runscrape_generator.config.messages import expected

_AUTHENTICATION = "runscrape sets how the job authenticates"
_SECRET = "a secret does not belong in this file"

REFUSED: Mapping[str, str] = {
    "job_name": "use the rule's 'job'",
    "scheme": "services are scraped over https, and runscrape sets it",
    "metrics_path": "use the rule's 'endpoints'",
    "params": "use the rule's 'params'",
    "scrape_interval": "use the rule's 'scrape_interval'",
    "scrape_timeout": "use the rule's 'scrape_timeout'",
    "follow_redirects": "it stays off, because a redirect would take the token along",
    "static_configs": "runscrape sets the targets; use the rule's 'target' and 'labels'",
    "basic_auth": _AUTHENTICATION,
    "authorization": _AUTHENTICATION,
    "bearer_token": _AUTHENTICATION,
    "bearer_token_file": _AUTHENTICATION,
    "sigv4": _AUTHENTICATION,
    "azuread": _AUTHENTICATION,
    "google_iam": _AUTHENTICATION,
    "proxy_connect_header": _SECRET,
}
"""Keys of a job that a rule may not set, and what to do instead (``*_sd_configs`` come on top)."""

_SD_CONFIGS = "runscrape finds the targets; use a job of your own beside the generated ones"
_OAUTH2 = ("tls_config", "proxy_url", "no_proxy", "proxy_from_environment")
"""How Prometheus reaches the proxy; who it is and what it asks for are settings of their own."""

_DATA = {"$ref": "#/$defs/data"}
DATA_SCHEMA: Mapping[str, Any] = {
    "anyOf": [
        {"type": ["string", "number", "boolean"]},
        {"type": "array", "items": _DATA},
        {"type": "object", "additionalProperties": _DATA},
    ]
}
"""Whatever YAML can say, but no nulls; ``$defs.data`` of the schema."""

_TLS_CONFIG = {"type": "object", "not": {"required": ["key"]}, "additionalProperties": _DATA}
_PROXY_URL = {"type": "string", "pattern": "^[^@]*$"}
_HEADERS = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "not": {"required": ["secrets"]},
        "additionalProperties": _DATA,
    },
}
_COMMON = {"tls_config": _TLS_CONFIG, "proxy_url": _PROXY_URL}
SCHEMA = {
    "type": "object",
    "propertyNames": {"not": {"pattern": f"^(?:{'|'.join(REFUSED)}|.*_sd_configs)$"}},
    "properties": {
        **_COMMON,
        "http_headers": _HEADERS,
        "oauth2": {
            "type": "object",
            "propertyNames": {"enum": list(_OAUTH2)},
            "properties": _COMMON,
            "additionalProperties": _DATA,
        },
    },
    "additionalProperties": _DATA,
}

Place = tuple[str | int, ...]
"""Keys and positions that lead to what is wrong."""
Finding = tuple[Place, str]


@dataclass(frozen=True, slots=True)
class _Fields:
    """Finds every field that may not be there, each at its own place."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check the mapping that pydantic has found."""
        return core_schema.with_info_after_validator_function(_checked, handler(source))


ScrapeConfig = Annotated[dict[str, Any], _Fields()]
"""A mapping that is merged into the rendered job."""


def _checked(job: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    found = [*_refused(job), *_connection(job, ()), *_oauth2(job), *_headers(job)]
    if found and info.context is not None:
        raise ValidationError.from_exception_data(
            "scrape_config",
            [
                InitErrorDetails(
                    type=PydanticCustomError("mistake", "{message}", {"message": message}),
                    loc=place,
                    input=None,
                )
                for place, message in found
            ],
        )
    return job


def _refused(job: Mapping[str, Any]) -> Iterator[Finding]:
    for key in job:
        if key in REFUSED:
            yield (key,), f"may not be set here: {REFUSED[key]}"
        elif key.endswith("_sd_configs"):
            yield (key,), f"may not be set here: {_SD_CONFIGS}"


def _oauth2(job: Mapping[str, Any]) -> Iterator[Finding]:
    if "oauth2" not in job:
        return
    yield from _mapping(job["oauth2"], ("oauth2",))
    yield from _connection(job["oauth2"], ("oauth2",))
    for key in _items(job["oauth2"]):
        if key not in _OAUTH2:
            yield ("oauth2", key), f"may not be set here: only {', '.join(_OAUTH2)} may"


def _headers(job: Mapping[str, Any]) -> Iterator[Finding]:
    if "http_headers" not in job:
        return
    yield from _mapping(job["http_headers"], ("http_headers",))
    for name, header in _items(job["http_headers"]).items():
        place = ("http_headers", name)
        yield from _mapping(header, place)
        if "secrets" in _items(header):
            yield (*place, "secrets"), f"{_SECRET}: use 'files'"


def _connection(block: Any, place: Place) -> Iterator[Finding]:
    fields = _items(block)
    if "tls_config" in fields:
        at = (*place, "tls_config")
        yield from _mapping(fields["tls_config"], at)
        if "key" in _items(fields["tls_config"]):
            yield (*at, "key"), f"{_SECRET}: use 'key_file'"
    if "proxy_url" in fields:
        url, at = fields["proxy_url"], (*place, "proxy_url")
        if not isinstance(url, str):
            yield at, expected("a URL", url)
        elif "@" in url:
            yield at, f"{_SECRET}: leave user and password out of the URL"


def _mapping(value: Any, place: Place) -> Iterator[Finding]:
    if not isinstance(value, Mapping):
        yield place, expected("a mapping", value)


def _items(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
