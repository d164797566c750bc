"""The world: its defaults, what it refuses, how it changes under a running emulator."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
import requests

from emulator import Emulator, WorldError
from emulator.faults import ApiFault, IssuerFault
from emulator.regions import REGIONS, abbreviation
from emulator.schema import Part
from emulator.world import big, load
from tests.conftest import DEMO_WORLD, MakeEmulator
from tests.emulator.support import API, many_services, one_service, scrape, uri
from tests.kit import fast_yaml as yaml
from tests.kit.waiting import until

README = Path(__file__).parents[2] / "examples" / "emulator" / "README.md"
NUMBER = 123456789012


def test_default_names() -> None:
    """Services get URLs as Cloud Run makes them: one hash for a project and region."""
    project = load(DEMO_WORLD).projects["demo"]
    api, shop, hello, _ = project.services
    assert re.fullmatch(r"https://api-[a-z0-9]{10}-uc\.a\.run\.app", api.uri or "")
    assert (api.uri or "").partition("-")[2] == (shop.uri or "").partition("-")[2]
    assert (hello.uri or "").endswith("-ew.a.run.app")
    assert api.urls == (f"https://api-{NUMBER}.us-central1.run.app", api.uri)
    assert api.key == API


def test_names_are_the_same_each_time() -> None:
    """Two readings of one world give the same URLs, ids and revisions."""
    assert load(DEMO_WORLD) == load(DEMO_WORLD)


def test_abbreviations_differ() -> None:
    """No two regions share their two letters."""
    assert len({abbreviation(region) for region in REGIONS}) == len(REGIONS)


def test_default_identities() -> None:
    """Identities are named after the first project and are each service's invokers."""
    world = load(DEMO_WORLD)
    assert world.settings.identity == "prometheus@demo.iam.gserviceaccount.com"
    assert world.settings.metadata_identity == world.settings.identity
    assert world.service(API).invokers == (world.settings.identity, world.settings.impersonated)


def project(**fields: Any) -> dict[str, Any]:
    return {"projects": {"demo": {"number": NUMBER} | fields}}


@pytest.mark.parametrize(
    ("world", "message"),
    [
        ([], "world: expected a mapping, got list"),
        ({}, "world: 'projects' is missing"),
        ({"projects": {}}, "world.projects: at least one project is needed"),
        (project() | {"fault": {}}, "world: unknown key 'fault'"),
        (one_service(lables={}), "world.projects.demo.services[0]: unknown key 'lables'"),
        (one_service(project="x"), "world.projects.demo.services[0]: unknown key 'project'"),
        (
            project(services=[{"region": "us-central1"}]),
            "world.projects.demo.services[0]: 'name' is missing",
        ),
        (project(number="1"), "world.projects.demo.number: expected a valid integer, got '1'"),
        (project(number=True), "world.projects.demo.number: expected a valid integer, got True"),
        (
            project(regions=["mars-north1"]),
            "world.projects.demo.regions: 'mars-north1' is no Cloud Run region",
        ),
        (
            project(regions=["us-east1"], services=[{"name": "a", "region": "us-west1"}]),
            "world.projects.demo.services[0].region: 'us-west1' is not in regions",
        ),
        (
            project(services=[{"name": "a", "region": "us-west1"}] * 2),
            "world.projects.demo.services[1]: 'a' is there twice",
        ),
        (
            one_service(ingress="outernal"),
            "world.projects.demo.services[0].ingress: expected 'all', 'internal',",
        ),
        (
            one_service(labels={"a": 1}),
            "world.projects.demo.services[0].labels.a: expected a valid string, got 1",
        ),
        (
            one_service(domains="a.example"),
            "world.projects.demo.services[0].domains: expected a list, got 'a.example'",
        ),
        (one_service(app={"paths": {"/": {"bodymb": 1}}}), "unknown key 'bodymb'"),
        (
            project() | {"faults": {"list_services": [{"code": "OOPS"}]}},
            "world.faults.list_services[0].code: expected 'CANCELLED', 'UNKNOWN',",
        ),
        (
            project() | {"faults": {"issuers": [{"kind": "sts", "refuse": True}]}},
            "world.faults.issuers[0].refuse: only kind metadata can refuse",
        ),
        (
            project() | {"settings": {"identity": None}},
            "world.settings.identity: expected a valid string, got None",
        ),
    ],
)
def test_bad_worlds(world: Any, message: str) -> None:
    """A mistake in the world is an error that names the place."""
    with pytest.raises(WorldError, match=re.escape(message)):
        load(world)


def test_every_mistake_is_named() -> None:
    """All mistakes of a world are told at once, one a line."""
    with pytest.raises(WorldError) as caught:
        load(one_service(lables={}, ready="yes") | {"fault": {}})
    assert str(caught.value).splitlines() == [
        "world.projects.demo.services[0].ready: expected a valid boolean, got 'yes'",
        "world.projects.demo.services[0]: unknown key 'lables'",
        "world: unknown key 'fault'",
    ]


def test_readme_example() -> None:
    """The README's world is a good one and names every key that there is."""
    example = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)[0]
    loaded = load(yaml.safe_load(example))
    assert loaded.faults.list_services[0].first == 3
    for kind in Part.__subclasses__():
        for name in kind.model_fields:
            assert re.search(rf"\b{name}\b", example), name
    for name in (*ApiFault.model_fields, *IssuerFault.model_fields):
        assert re.search(rf"\b{name}\b", example), name


def test_big() -> None:
    """The benchmark's world has the services asked for, spread evenly."""
    world = load(big(projects=2, regions=3, services=60))
    scopes = [(s.project, s.region) for p in world.projects.values() for s in p.services]
    assert {scopes.count(scope) for scope in scopes} == {10}
    assert len(set(scopes)) == 6


def test_file_is_re_read(tmp_path: Path, make_emulator: MakeEmulator) -> None:
    """A changed world file holds from the next request on; a bad one keeps the old world."""
    path = tmp_path / "world.yaml"
    path.write_text(json.dumps(one_service()))
    emulator = make_emulator(path)
    audience = uri(emulator)
    assert scrape(emulator, emulator.id_token(audience)).status_code == 200
    for text, status in (
        (json.dumps(one_service(ingress="internal")), 404),
        ("projects: {demo: {nummer: 1}}", 404),
        ("projects: {demo: [", 404),
        (json.dumps(one_service(invokers=[])), 403),
    ):
        path.write_text(text)
        assert scrape(emulator, emulator.id_token(audience)).status_code == status


def test_file_is_watched(tmp_path: Path, make_emulator: MakeEmulator) -> None:
    """A metadata server comes up by an edit of the file, though no request can ask for it."""
    path = tmp_path / "world.yaml"
    down = one_service() | {"faults": {"issuers": [{"kind": "metadata", "refuse": True}]}}
    path.write_text(json.dumps(down))
    emulator = make_emulator(path)
    path.write_text(json.dumps(one_service()))

    def up() -> bool:
        try:
            return requests.get(f"http://{emulator.metadata_host}/", timeout=5).ok
        except requests.exceptions.ConnectionError:
            return False

    until(up, "the address to answer")


def test_bad_update_changes_nothing(emulator: Emulator) -> None:
    """update() with a bad world raises, and the old one stays."""
    before = emulator.world
    with pytest.raises(WorldError):
        emulator.update({"projects": {"demo": {}}})
    assert emulator.world is before


def test_close_leaves_nothing(make_emulator: MakeEmulator) -> None:
    """After close() no thread is left, though connections were open; closing again is harmless."""
    before = set(threading.enumerate())
    emulator = make_emulator(many_services(2))
    for service in emulator.world.projects["demo"].services:
        assert scrape(emulator, emulator.id_token(service.uri or ""), service.key).ok
    started = set(threading.enumerate()) - before
    assert started
    emulator.close()
    emulator.close()
    until(lambda: not any(each.is_alive() for each in started), "the last threads to end")


def test_no_secret_in_reprs(emulator: Emulator) -> None:
    """What the emulator describes names files, and holds neither keys nor tokens."""
    described = json.dumps(emulator.describe())
    secret = json.loads(emulator.credentials("authorized_user").read_text())["refresh_token"]
    assert secret not in described
    assert "PRIVATE KEY" not in described
