"""What a rule's ``scrape_config`` may say: anything of a Prometheus job but what we promise of it.

Left out are the job's name, its targets and its authentication (runscrape sets these, and the
inventory repeats them to the proxy), whatever would carry the token elsewhere, and secrets written
out in full, because settings are printed by ``--print-config`` and the output is world-readable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runscrape_generator.config.kinds import Kind
from runscrape_generator.config.values import Mistakes, Value, expected

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
_SCHEMA = {
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

_Finding = tuple[Value, str]


def _read(value: Value, mistakes: Mistakes) -> dict[str, Any] | None:
    if not isinstance(value.data, Mapping):
        mistakes.add(value, expected("a mapping", value.data))
        return None
    findings = (*_refused(value), *_connection(value), *_oauth2(value), *_headers(value))
    for place, message in (*findings, *_empty(value)):
        mistakes.add(place, message)
    plain: dict[str, Any] = value.plain()
    return plain


def _refused(job: Value) -> Iterator[_Finding]:
    for key, value in job.data.items():
        if key in REFUSED:
            yield value, f"may not be set here: {REFUSED[key]}"
        elif key.endswith("_sd_configs"):
            yield value, f"may not be set here: {_SD_CONFIGS}"


def _oauth2(job: Value) -> Iterator[_Finding]:
    for oauth2 in _get(job, "oauth2"):
        yield from _mapping(oauth2)
        yield from _connection(oauth2)
        for key, value in _items(oauth2):
            if key not in _OAUTH2:
                yield value, f"may not be set here: only {', '.join(_OAUTH2)} may"


def _headers(job: Value) -> Iterator[_Finding]:
    for headers in _get(job, "http_headers"):
        yield from _mapping(headers)
        for _, header in _items(headers):
            yield from _mapping(header)
            yield from ((secret, f"{_SECRET}: use 'files'") for secret in _get(header, "secrets"))


def _connection(block: Value) -> Iterator[_Finding]:
    for tls in _get(block, "tls_config"):
        yield from _mapping(tls)
        yield from ((key, f"{_SECRET}: use 'key_file'") for key in _get(tls, "key"))
    for proxy in _get(block, "proxy_url"):
        if not isinstance(proxy.data, str):
            yield proxy, expected("a URL", proxy.data)
        elif "@" in proxy.data:
            yield proxy, f"{_SECRET}: leave user and password out of the URL"


def _mapping(value: Value) -> Iterator[_Finding]:
    if not isinstance(value.data, Mapping):
        yield value, expected("a mapping", value.data)


def _empty(value: Value) -> Iterator[_Finding]:
    """Find keys and list entries without a value, which Prometheus would take for a zero."""
    if value.data is None:
        yield value, "has no value: leave it out, or give it one"
    children = value.data if isinstance(value.data, list) else [each for _, each in _items(value)]
    for child in children:
        yield from _empty(child)


def _items(value: Value) -> list[tuple[str, Value]]:
    return list(value.data.items()) if isinstance(value.data, Mapping) else []


def _get(value: Value, key: str) -> tuple[Value, ...]:
    """Give the value of *key*, if there is one."""
    found = value.data.get(key) if isinstance(value.data, Mapping) else None
    return () if found is None else (found,)


SCRAPE_CONFIG = Kind(metavar="", read=_read, schema=_SCHEMA)
"""A mapping that is merged into the rendered job."""
