"""The inventory: written whole, read strictly."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runscrape_generator.model import Decision, Endpoint, Scope, Service
from runscrape_generator.publish import inventory
from runscrape_generator.publish.inventory import FACTS, CorruptError, parse
from tests.generator.recorder import Recorder

US, EU = Scope("demo", "us-central1"), Scope("demo", "europe-west1")


def service(name: str, scope: Scope = US, **facts: Any) -> Service:
    return Service(project=scope.project, region=scope.region, name=name, **facts)


def kept(one: Service, *paths: str, **fields: Any) -> Decision:
    endpoints = (
        Endpoint(
            service=one,
            job=f"cloudrun/{one.id}{path.removeprefix('/metrics')}",
            audience=fields.get("audience", one.uri),
            target=f"{one.name}.a.run.app:443",
            metrics_path=path,
            token_header=fields.get("token_header", "Authorization"),
            app_credentials=fields.get("app_credentials"),
        )
        for path in paths or ("/metrics",)
    )
    return Decision(service=one, endpoints=tuple(endpoints))


def skipped(one: Service) -> Decision:
    return Decision(service=one, reason="opted out")


def loaded(text: str, path: Path) -> inventory.Inventory | None:
    path.write_text(text)
    return inventory.load(path)


texts = st.text(st.characters(codec="utf-8"), max_size=20)
mappings = st.dictionaries(texts, texts, max_size=3)
services = st.builds(
    Service,
    project=st.sampled_from(["demo", "example.com:old", "123456789012"]),
    region=st.sampled_from(["us-central1", "europe-west1"]),
    name=texts.filter(bool),
    uid=texts,
    uri=texts,
    urls=st.lists(texts, max_size=2).map(tuple),
    custom_audiences=st.lists(texts, max_size=2).map(tuple),
    labels=mappings,
    annotations=mappings,
    ingress=st.sampled_from(["all", "internal", "none"]),
    launch_stage=st.sampled_from(["GA", "BETA"]),
    latest_ready_revision=texts,
    min_instances=st.integers(0, 1000),
    max_instances=st.integers(0, 1000),
    invoker_iam_disabled=st.booleans(),
    default_uri_disabled=st.booleans(),
    iap_enabled=st.booleans(),
)


@given(st.lists(services, unique_by=lambda s: s.id, max_size=3), st.data())
def test_facts_round_trip(found: list[Service], data: st.DataObject) -> None:
    """Whatever Google says of a service comes back from the inventory exactly."""
    decisions = [kept(s) if data.draw(st.booleans()) else skipped(s) for s in found]
    text = inventory.render(decisions, [US])
    read = parse(text)
    assert {s.id: s for scope in read.scopes.values() for s in scope} == {s.id: s for s in found}
    assert US in read.scopes
    assert {job for job, _, _ in read.targets} == {e.job for d in decisions for e in d.endpoints}


@given(st.permutations([service("a"), service("b"), service("a", EU), service("c", EU)]))
def test_render_is_pure(order: list[Service]) -> None:
    """The order of discovery does not show in the file."""
    expected = inventory.render([kept(s) for s in sorted(order, key=lambda s: s.id)], [US, EU])
    assert inventory.render([kept(s) for s in order], [EU, US]) == expected


def test_every_fact_is_kept() -> None:
    """A fact added to the model cannot be forgotten in the inventory, or is one of the moment."""
    place, of_the_moment = {"project", "region", "name"}, {"failing", "newest_revision", "tag_urls"}
    assert {f.name for f in dataclasses.fields(Service)} - place - of_the_moment == set(FACTS)


def test_format() -> None:
    """Sorted keys, a line for each service; a scope without services is there."""
    api, web = service("api", uri="https://api.a.run.app"), service("web")
    text = inventory.render([kept(api), skipped(web)], [US, EU]).decode()
    content = json.loads(text)
    one, other = (json.dumps(each, sort_keys=True) for each in content["scopes"][US.key])
    assert text.splitlines() == [
        "{",
        '  "scopes": {',
        '    "demo/europe-west1": [],',
        '    "demo/us-central1": [',
        f"      {one},",
        f"      {other}",
        "    ]",
        "  },",
        '  "version": 1',
        "}",
    ]
    assert text.endswith("}\n")
    assert json.loads(inventory.render([], [])) == {"scopes": {}, "version": 1}
    assert content["version"] == 1
    assert content["scopes"]["demo/europe-west1"] == []
    entry, _ = content["scopes"]["demo/us-central1"]
    assert (
        entry.items()
        >= {
            "name": "api",
            "project": "demo",
            "region": "us-central1",
            "state": "kept",
            "job": "cloudrun/demo/us-central1/api",
            "audience": "https://api.a.run.app",
            "scheme": "https",
            "target": "api.a.run.app:443",
            "metrics_path": "/metrics",
        }.items()
    )
    assert "endpoints" not in entry
    assert "reason" not in entry


def test_skipped_entry() -> None:
    """A skipped service has its reason, and nothing that a token could be minted for."""
    (entry,) = json.loads(inventory.render([skipped(service("api"))], []))["scopes"][US.key]
    assert entry["state"] == "skipped"
    assert entry["reason"] == "opted out"
    assert all(entry[f] is None for f in ("job", "audience", "scheme", "target", "metrics_path"))


def test_public_entry() -> None:
    """A public service has a target and no audience."""
    decision = kept(service("api"), audience=None)
    (entry,) = json.loads(inventory.render([decision], []))["scopes"][US.key]
    assert entry["audience"] is None
    assert entry["target"] == "api.a.run.app:443"


@pytest.mark.parametrize(
    ("decision", "count"),
    [
        (kept(service("a"), "/metrics", "/more"), 2),
        (kept(service("a"), token_header="X-Serverless-Authorization"), 1),
        (kept(service("a"), token_header="X-Serverless-Authorization", app_credentials="x"), 1),
    ],
    ids=["two paths", "another header", "credentials of its own"],
)
def test_endpoints(decision: Decision, count: int) -> None:
    """All endpoints are listed where one line cannot say it; the first one is also the entry's."""
    text = inventory.render([decision], [])
    (entry,) = json.loads(text)["scopes"][US.key]
    assert len(entry["endpoints"]) == count
    assert entry["endpoints"][0]["job"] == entry["job"]
    assert entry["endpoints"][0]["token_header"] == decision.endpoints[0].token_header
    assert entry["endpoints"][0].get("app_credentials") == decision.endpoints[0].app_credentials
    assert parse(text).targets == {(e.job, e.target, e.metrics_path) for e in decision.endpoints}


MINIMAL = {
    "name": "api",
    "project": "demo",
    "region": "us-central1",
    "state": "kept",
    "job": "j",
    "audience": "https://api.a.run.app",
    "scheme": "https",
    "target": "api.a.run.app:443",
    "metrics_path": "/metrics",
}


def whole(*entries: Any, scope: str = US.key) -> str:
    return json.dumps({"version": 1, "scopes": {scope: list(entries)}})


@pytest.mark.parametrize(
    ("entry", "facts"),
    [
        ({}, {"uri": "https://api.a.run.app"}),
        ({"audience": None}, {"invoker_iam_disabled": True}),
        ({"audience": "https://x"}, {"custom_audiences": ("https://x",)}),
        ({"target": "[::1]:443"}, {"uri": "https://[::1]"}),
        ({"target": "h:8443"}, {"uri": "https://h:8443"}),
        ({"target": "h:80", "scheme": "http"}, {"uri": "http://h"}),
        ({"uri": "https://own", "latest_ready_revision": "r1"}, {"uri": "https://own"}),
    ],
)
def test_missing_facts(entry: dict[str, Any], facts: dict[str, Any], tmp_path: Path) -> None:
    """An inventory with the design's fields alone gives services that are kept again."""
    read = loaded(whole(MINIMAL | entry), tmp_path / "inventory.json")
    assert read is not None
    (one,) = read.scopes[US]
    assert one.latest_ready_revision
    assert {field: getattr(one, field) for field in facts} == facts


BAD: list[tuple[str, str]] = [
    ("", "Invalid JSON: EOF"),
    ('{"version": 1, "scopes": {"demo/us', "Invalid JSON: EOF"),
    ("[" * 100_000, "Invalid JSON: recursion limit exceeded"),
    ("[]", "Input should be an object"),
    ('{"version": 2, "scopes": {}}', "['version'] Input should be 1"),
    ('{"version": 1}', "['scopes'] Field required"),
    ('{"version": 1, "scopes": []}', "['scopes'] Input should be an object"),
    ('{"version": 1, "scopes": {"demo": []}}', "scope 'demo' is not PROJECT/REGION"),
    ('{"version": 1, "scopes": {"a/b/c": []}}', "scope 'a/b/c' is not PROJECT/REGION"),
    ('{"version": 1, "scopes": {"a/b": {}}}', "['a/b'] Input should be a valid array"),
    (whole("api"), "[0] Input should be an object"),
    (whole(MINIMAL, MINIMAL), "has a service twice"),
    (whole(MINIMAL, scope="demo/europe-west1"), "has a service that belongs elsewhere"),
    (whole(MINIMAL | {"name": ""}), "['name'] String should have at least 1 character"),
    (whole(MINIMAL | {"state": "lost"}), "does not match any of the expected tags"),
    (whole(MINIMAL | {"target": None}), "['target'] Input should be a valid string"),
    (whole(MINIMAL | {"audience": 1}), "['audience'] Input should be a valid string"),
    (whole(MINIMAL | {"endpoints": [1]}), "['endpoints'][0] Input should be an object"),
    (whole(MINIMAL | {"endpoints": [{}]}), "['endpoints'][0]['job'] Field required"),
    (whole(MINIMAL | {"urls": "https://x"}), "['urls'] Input should be a valid array"),
    (whole(MINIMAL | {"labels": {"a": 1}}), "['labels']['a'] Input should be a valid string"),
    (whole(MINIMAL | {"labels": []}), "['labels'] Input should be an object"),
    (whole(MINIMAL | {"min_instances": True}), "['min_instances'] Input should be a valid int"),
    (whole(MINIMAL | {"min_instances": -1}), "['min_instances'] Input should be greater than"),
    (whole(MINIMAL | {"iap_enabled": 1}), "['iap_enabled'] Input should be a valid boolean"),
    (whole({k: v for k, v in MINIMAL.items() if k != "state"}), "Unable to extract tag"),
]


@pytest.mark.parametrize(("text", "why"), BAD)
def test_corrupt(text: str, why: str, tmp_path: Path) -> None:
    """A file that is not whole is no inventory, and the warning says where it is broken."""
    path, talk = tmp_path / "inventory.json", Recorder()
    path.write_text(text)
    assert inventory.load(path) is None
    (warning,) = talk.of("warning")
    assert warning.startswith(f"inventory {path} cannot be used: ")
    assert why in warning
    assert "\n" not in warning


@given(st.data())
def test_truncated(data: st.DataObject) -> None:
    """No beginning of an inventory passes for an inventory with fewer services."""
    text = inventory.render([kept(service("a")), kept(service("b", EU))], [])
    cut = data.draw(st.integers(0, len(text.rstrip()) - 1))
    with pytest.raises(CorruptError):
        parse(text[:cut])


def test_missing_file(tmp_path: Path) -> None:
    """A first run has no inventory, and no warning either."""
    talk = Recorder()
    assert inventory.load(tmp_path / "inventory.json") is None
    assert talk.told == []


def test_not_a_file(tmp_path: Path) -> None:
    """A folder or a pipe in its place is named, and not waited for."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        talk = Recorder()
        assert inventory.load(path) is None
        assert "not a regular file" in talk.of("warning")[0]


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file too large to be an inventory is not read into memory."""
    monkeypatch.setattr(inventory, "MAX_BYTES", 10)
    path, talk = tmp_path / "inventory.json", Recorder()
    path.write_text(whole(MINIMAL))
    assert inventory.load(path) is None
    assert "larger than 10 bytes" in talk.of("warning")[0]
