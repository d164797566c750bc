"""Files that the programs read: the inventory, secrets, runscrape.yaml."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from runscrape_generator.cli.main import main
from runscrape_generator.config.settings import Settings
from runscrape_proxy.access import callers
from runscrape_proxy.gateway.request import is_name
from runscrape_proxy.gateway.targets import find, index
from runscrape_proxy.inventory import parse
from tests.fuzz import http
from tests.fuzz.target import Target

TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            "kept",
            "https",
            "api.a.run.app:443",
            "/metrics",
            "https://api.a.run.app",
            "../x",
            "a:b",
        ]
    ),
    st.text(max_size=12),
)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
FIELDS = [
    *("state", "audience", "scheme", "target", "metrics_path", "token_header", "app_credentials"),
    *("urls", "endpoints", "name", "version"),
]
ENDPOINTS = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6)
SERVICES = st.builds(
    lambda service, endpoints: service | ({"endpoints": endpoints} if endpoints else {}),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=9).map(
        lambda service: {"state": "kept", "scheme": "https", "target": "a.run.app:443"} | service
    ),
    st.lists(ENDPOINTS, max_size=2),
)
DOCUMENTS = st.builds(
    lambda version, services: {"version": version, "scopes": {"p/r": services}},
    st.one_of(st.just(1), LEAVES),
    st.one_of(st.lists(SERVICES, max_size=3), VALUES),
)


@contextlib.contextmanager
def inventories() -> Iterator[Target]:
    """An inventory is read, or refused in one line; the gateway's targets are names, over https."""
    texts = st.one_of(DOCUMENTS, VALUES).map(lambda found: json.dumps(found).encode())
    yield Target(http.spoilt(texts), _check_inventory)


def _check_inventory(content: bytes) -> None:
    try:
        read = parse(content)
    except (ValueError, RecursionError):
        return
    assert all(audience.strip() and audience.isprintable() for audience in read.audiences)
    found = index(read.endpoints)
    for (host, port), by_path in found.items():
        assert is_name(host)
        for path, target in by_path.items():
            assert (target.host, target.port) == (host, port)
            assert target.audience is None or target.audience in read.audiences
            assert target.credentials is None or re.fullmatch(r"\w[\w.-]*", target.credentials)
            assert find(found, host, port, path) is not None


@contextlib.contextmanager
def secrets() -> Iterator[Target]:
    """A secret file is read, or refused; what is in it is known, and nothing else."""
    yield Target(st.binary(max_size=80), _check_secrets)


def _check_secrets(content: bytes) -> None:
    try:
        read = callers.parse_secrets(content)
    except ValueError:
        assert b"\0" in content or not content.replace(codecs.BOM_UTF8, b"").strip()
        return
    lines = [line.strip() for line in content.splitlines()]
    assert all(read.holds(line) for line in lines if line.removeprefix(codecs.BOM_UTF8).strip())
    assert not read.holds(b"")
    assert not read.holds(b"never in it" + content)


NAMES = (
    [*Settings.model_fields, "rules", "nonsense"]
    if hasattr(Settings, "model_fields")
    else [
        *("project", "region", "format", "mode", "output", "scrape_interval", "rules", "job_name"),
        *("audience", "labels", "include", "exclude", "watch", "token_url", "nonsense"),
    ]
)
SETTINGS_VALUES = st.recursive(
    st.one_of(
        LEAVES,
        st.sampled_from(
            ["30s", "5m", "1ms", "280y", "prometheus", "oauth2", "http://x", "{service}"]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["match", "project", "labels", "skip", "audience", "endpoints", "path"]
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)
YAMLS = st.dictionaries(st.sampled_from(NAMES), SETTINGS_VALUES, max_size=5).map(
    lambda found: yaml.safe_dump(found, allow_unicode=True).encode("utf-8", "surrogatepass")
)


@contextlib.contextmanager
def settings() -> Iterator[Target]:
    """runscrape.yaml is read, or each mistake gets one line with its place; never a traceback."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "runscrape.yaml"

        def check(content: bytes) -> None:
            file.write_bytes(content)
            code, said = _print_config(file)
            assert code in {0, 2}, said
            assert "Traceback" not in said
            assert code == 0 or all(
                line.startswith(("runscrape: ", f"{file}", " "))
                for line in said.splitlines()
                if line
            ), said

        yield Target(http.spoilt(YAMLS), check)


def _print_config(file: Path) -> tuple[int, str]:
    said, output = io.StringIO(), io.TextIOWrapper(io.BytesIO())
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(output):
        code: Any = main(["generate", "--config", str(file), "--print-config"])
    return int(code), said.getvalue()
