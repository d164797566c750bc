"""What Google says of services, from the protobuf message to every format."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import yaml
from google.cloud.run_v2.types import Service as Message
from hypothesis import strategies as st

from runscrape_generator.cloudrun.services import service_of
from runscrape_generator.config.settings import Format, Mode
from runscrape_generator.errors import ConfigError
from tests.fuzz.target import Target
from tests.generator.services import render, targets
from tests.generator.test_hostile import NASTY

KEYS = [
    *("prometheus.io/scrape", "prometheus.io/path", "prometheus.io/interval", "prometheus.io/x"),
    *(
        "prometheus.io/timeout",
        "prometheus.io/audience",
        "prometheus.io/param-a",
        "prometheus_io_path",
    ),
    *("prometheus.io/port", "team", "A b", ""),
]
TEXTS = st.one_of(
    st.sampled_from(NASTY),
    st.sampled_from(
        ["true", "false", "/a,/b", "5s", "1ms", "280y", "https://demo/us-central1/one"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
)
URLS = st.one_of(
    st.sampled_from(
        [
            "https://one-x7k2mq4wza-uc.a.run.app",
            "https://demo/us-central1/one",
            "http://x",
            "https://[::1",
        ]
    ),
    TEXTS,
)
SERVICES = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["one", "two", "three", "ONE", "a.b"]),
        "uri": URLS,
        "urls": st.lists(URLS, max_size=2),
        "custom_audiences": st.lists(URLS, max_size=2),
        "labels": st.dictionaries(st.sampled_from(KEYS), TEXTS, max_size=3),
        "annotations": st.dictionaries(st.sampled_from(KEYS), TEXTS, max_size=4),
        "ingress": st.integers(0, 5),
        "latest_ready_revision": st.sampled_from(["", "a/b/c", "x"]),
        "invoker_iam_disabled": st.booleans(),
        "iap_enabled": st.booleans(),
    }
)
WORLDS = st.tuples(
    st.lists(SERVICES, max_size=4, unique_by=lambda service: service["name"]),
    st.sampled_from(list(Format)),
    st.sampled_from(["uri", "custom"]),
)


@contextlib.contextmanager
def messages() -> Iterator[Target]:
    """Nothing that services say ends a run, or breaks what is written."""
    yield Target(WORLDS, _check)


def _check(world: tuple[list[dict[str, Any]], Format, str]) -> None:
    described, form, audience = world
    services = []
    for one in described:
        place = f"projects/demo/locations/us-central1/services/{one['name']}"
        message = Message(**one | {"name": place})
        services.append(service_of(Message.pb(message), "demo", None))
    try:
        text = render(services, format=form, audience=audience)
    except ConfigError as error:  # settings of the user's own that the format cannot have
        raise AssertionError(f"ended by {error}") from error
    assert list(yaml.safe_load_all(text)) is not None
    names = [
        job["job_name"]
        for document in yaml.safe_load_all(text)
        if isinstance(document, dict)
        for job in document.get("scrape_configs") or []
    ]
    assert len(names) == len(set(names))
    listed = json.loads(targets(services, mode=Mode.GATEWAY, audience=audience))
    assert all(":" in target for group in listed for target in group["targets"])
