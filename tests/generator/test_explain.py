"""`runscrape explain`: the table and the JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import pytest

from runscrape_generator.cli.overview import Overview, as_json, reasons, table
from runscrape_generator.model import Decision, Endpoint, Job, Scope, ScopeFailure, Service
from runscrape_generator.text import width


def kept(
    name: str,
    *,
    audience: str | None = "https://a.example",
    paths: int = 1,
    target: str | None = None,
) -> Decision:
    service = Service(project="demo", region="us-central1", name=name)
    return Decision(
        service=service,
        endpoints=tuple(
            Endpoint(
                service=service,
                job=f"cloudrun/demo/us-central1/{name}{number or ''}",
                audience=audience,
                target=target or f"{name}.example:443",
            )
            for number in range(paths)
        ),
        warnings=("maxInstances is 5",),
    )


def skipped(name: str, reason: str) -> Decision:
    return Decision(
        service=Service(project="demo", region="europe-west1", name=name), reason=reason
    )


def jobs(*decisions: Decision) -> tuple[Job, ...]:
    return tuple(
        Job(name=endpoint.job, endpoints=(endpoint,))
        for decision in decisions
        for endpoint in decision.endpoints
    )


def overview(
    decisions: Sequence[Decision],
    stale: Sequence[Scope] = (),
    missing: Sequence[ScopeFailure] = (),
) -> Overview:
    return Overview(decisions=decisions, jobs=jobs(*decisions), stale=stale, missing=missing)


DECISIONS = (
    skipped("back-office", "ingress is internal"),
    skipped("old", "opted out"),
    skipped("older", "opted out"),
    kept("api"),
    kept("hello", audience=None),
    kept("shop", paths=2),
)


def test_every_service_has_an_aligned_line() -> None:
    """Not cut: a heading, a line per service with its columns below each other, the counts."""
    decisions = (skipped("old", "opted out"), kept("api"))
    assert table(overview(decisions), width=None) == (
        "SERVICE  REGION        PROJECT  JOB OR REASON                  "
        "AUDIENCE           TARGET           PATH      WARNINGS\n"
        "old      europe-west1  demo     opted out                      "
        "-                  -                -\n"
        "api      us-central1   demo     cloudrun/demo/us-central1/api  "
        "https://a.example  api.example:443  /metrics  maxInstances is 5\n"
        "\n"
        "2 services: 1 kept in 1 job, 1 skipped\n"
        "  1 skipped: opted out\n"
    )


def test_a_service_with_several_endpoints_is_one_line() -> None:
    """Its jobs stand side by side, what they share once; a public service has no audience."""
    lines = table(overview(DECISIONS), width=None).splitlines()
    shop = next(line for line in lines if line.startswith("shop"))
    job = "cloudrun/demo/us-central1/shop"
    assert f"  {job}, {job}1  https://a.example  shop.example:443 " in shop
    assert "  public  " in next(line for line in lines if line.startswith("hello"))
    assert "6 services: 3 kept in 4 jobs, 3 skipped" in lines


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    """Cells are cut, with an ellipsis where; names stay as long as they can."""
    wide = (*DECISIONS, kept("東京サービス"))
    body = table(overview(wide), width=columns).split("\n\n")[0].splitlines()
    assert len(body) == len(wide) + 1
    assert max(width(line) for line in body) <= columns
    if columns >= 80:
        assert any(line.startswith("back-office  ") for line in body)


HOST = "checkout-x7k2mq4wza-uc.a.run.app"
LONG = (
    skipped("back-office", "ingress is internal: it answers only inside the VPC; and so on"),
    kept("checkout-service-production-v1", audience=f"https://{HOST}", target=f"{HOST}:443"),
    kept("checkout-service-production-v2", audience="https://v2.dev", target=f"{HOST}:8443"),
    kept("hello", audience=None, target=f"{HOST}:443"),
)


@pytest.mark.parametrize("columns", [80, 100, 130, 200])
def test_audience_target_and_path_have_the_room_first(columns: int) -> None:
    """At any usual width no host and no audience is cut; a reason and a name may be."""
    lines = table(overview(LONG), width=columns).splitlines()
    start = lines[0].index("AUDIENCE AND TARGET, OR REASON")
    reason, one, two, three = (line[start:].split("  ")[0] for line in lines[1:5])
    assert reason.startswith("ingress is internal: it answers")
    assert (one, two) == (f"https://{HOST}", f"https://v2.dev at {HOST}:8443")
    assert three == f"public at {HOST}"
    assert all("  /metrics" in line for line in lines[2:5])
    assert lines[2].split("  ")[0] != lines[3].split("  ")[0]  # cut in the middle: still told apart


def test_all_columns_are_shown_where_they_fit() -> None:
    """Job, audience, target, path and warnings have a column each where the terminal is wide."""
    heading = table(overview(LONG), width=250).splitlines()[0]
    expected = "SERVICE REGION PROJECT JOB OR REASON AUDIENCE TARGET PATH WARNINGS"
    assert " ".join(heading.split()) == expected


def test_what_has_no_room_is_said() -> None:
    """Columns that are left out are named in the last line, warnings that are cut counted."""
    lines = table(overview(LONG), width=80).splitlines()
    assert lines[-2:] == [
        "  3 warned: maxInstances is 5",
        "no room here for REGION, PROJECT, JOB, WARNINGS: runscrape explain | cat has all",
    ]
    assert "no room here" not in table(overview(LONG), width=250)


def test_many_warnings_are_counted() -> None:
    """Of warnings without room the five most frequent are told, the rest counted."""
    many = [
        dataclasses.replace(kept(f"svc-{n}"), warnings=(f"warning {n}", "the usual one"))
        for n in range(8)
    ]
    tail = table(overview(many), width=60).splitlines()[-7:]
    assert tail[0] == "  8 warned: the usual one"
    assert tail[5] == "  4 more warnings"


def test_a_project_that_all_share_gives_way() -> None:
    """Projects are shown where there are several of them, before jobs and warnings."""
    other = Service(project="other", region="us-central1", name="api")
    both = (*LONG, Decision(service=other, reason="opted out"))
    heading = table(overview(both), width=120).splitlines()[0]
    assert heading.split()[:4] == ["SERVICE", "REGION", "PROJECT", "AUDIENCE"]
    heading = table(overview(LONG), width=120).splitlines()[0]
    assert heading.split()[:3] == ["SERVICE", "REGION", "AUDIENCE"]


def test_columns_align_for_wide_and_combining_characters() -> None:
    """A column begins at the same place whatever the script of the names before it."""
    names = ("東京サービス", "cafe\u0301", "plain")
    lines = table(overview([kept(name) for name in names]), width=None).splitlines()[1:4]
    starts = {width(line[: line.index("us-central1  demo")]) for line in lines}
    assert len(starts) == 1


def test_hostile_text_is_shown_not_obeyed() -> None:
    """Control characters in names, reasons and warnings come out escaped, each on its line."""
    shown = table(overview([skipped("a\x1b[2J\nb", "why\u202e\r")]), width=None)
    assert "a\\x1b[2J\\x0ab" in shown
    assert "why\\u202e\\x0d" in shown
    assert len(shown.splitlines()) == 5


def test_one_long_cell_does_not_lengthen_all_lines() -> None:
    """What one service says at length is shown whole, and not padded for in every other line."""
    long = "https://" + "a" * 30_000
    lines = table(overview([kept("one", audience=long), kept("two")]), width=None).splitlines()
    assert long in lines[1]
    assert len(lines[2]) < 2_000


def test_no_service_at_all_says_so() -> None:
    """With nothing found there is no heading, and a reason why there are no jobs."""
    assert table(overview(()), width=80) == (
        "0 services: 0 kept in 0 jobs, 0 skipped\n"
        "0 jobs: no service was found in the projects and regions listed\n"
    )


def test_stale_scopes_are_named() -> None:
    """What comes from the inventory and not from Google is said to."""
    stale = (Scope("demo", "us-central1"), Scope("demo", "us-east1"))
    last = table(overview(DECISIONS, stale=stale), width=None).splitlines()[-1]
    assert last == "not listed now, taken from the inventory: demo/us-central1, demo/us-east1"


def test_what_is_missing_is_named() -> None:
    """What could not be listed and is in no inventory is said to be missing, in both forms."""
    missing = [
        ScopeFailure(project="demo", region="us-east1", reason="down", remedy="wait"),
        ScopeFailure(project="other", region=None, reason="denied", remedy="grant"),
    ]
    last = table(overview(DECISIONS, missing=missing), width=None).splitlines()[-1]
    assert last == "not listed, and in no inventory: demo/us-east1, other"
    content = json.loads(as_json(overview(DECISIONS, missing=missing)))
    assert content["missing"] == ["demo/us-east1", "other"]


def test_reasons_are_counted_most_frequent_first() -> None:
    """Each reason with its number; equal numbers in the order of the alphabet."""
    decisions = (*DECISIONS, skipped("x", "another"))
    assert reasons(decisions) == (
        ("opted out", 2),
        ("another", 1),
        ("ingress is internal", 1),
    )


def test_json_has_it_all_for_programs() -> None:
    """Every service with its endpoints or its reason, the counts, the stale scopes; in ASCII."""
    text = as_json(overview(DECISIONS, stale=[Scope("demo", "us-east1")]))
    content = json.loads(text)
    assert text.isascii()
    assert content["skipped"] == {"opted out": 2, "ingress is internal": 1}
    assert content["stale"] == ["demo/us-east1"]
    assert len(content["jobs"]) == 4
    services = {service["name"]: service for service in content["services"]}
    assert services["old"] == {
        "project": "demo",
        "region": "europe-west1",
        "name": "old",
        "state": "skipped",
        "reason": "opted out",
        "endpoints": [],
        "warnings": [],
    }
    assert services["hello"]["state"] == "kept"
    assert services["hello"]["warnings"] == ["maxInstances is 5"]
    assert services["hello"]["endpoints"] == [
        {
            "job": "cloudrun/demo/us-central1/hello",
            "audience": None,
            "scheme": "https",
            "target": "hello.example:443",
            "metrics_path": "/metrics",
        }
    ]
    assert "reason" not in services["hello"]
