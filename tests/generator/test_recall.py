"""What exists where Google lists a part: the rest as the inventory has it."""

from __future__ import annotations

import pytest

from runscrape_generator.cloudrun.recall import LastKnown, Recalled, recall
from runscrape_generator.errors import DiscoveryError
from runscrape_generator.model import Discovery, Scope, ScopeFailure, Service
from runscrape_generator.publish import inventory
from runscrape_generator.publish.inventory import parse
from tests.generator.recorder import Recorder
from tests.generator.test_inventory import EU, US, kept, service


def failed(region: str | None, project: str = "demo") -> ScopeFailure:
    return ScopeFailure(project=project, region=region, reason="down", remedy="wait")


def remembered(*found: Service, scopes: tuple[Scope, ...] = ()) -> LastKnown:
    """Give what an inventory of these services and scopes holds."""
    return parse(inventory.render([kept(s) for s in found], scopes)).scopes


def test_recall_without_failures() -> None:
    """What was listed whole beats the inventory, also where services are gone."""
    found = Discovery(scopes={US: (service("new"),), EU: ()})
    known = remembered(service("old"), service("old", EU), service("x", Scope("other", "r")))
    talk = Recorder()
    recalled = recall(found, known)
    assert recalled == Recalled(services=(service("new"),), scopes=(EU, US))
    assert talk.told == []


def test_recall_of_a_region() -> None:
    """A region that failed keeps its services, the rest is as listed, and a warning says so."""
    found = Discovery(scopes={EU: (service("b", EU),)}, failures=(failed("us-central1"),))
    talk = Recorder()
    recalled = recall(found, remembered(service("a"), service("x", EU)))
    assert [s.id for s in recalled.services] == ["demo/europe-west1/b", "demo/us-central1/a"]
    assert recalled.stale == (US,)
    assert recalled.scopes == (EU, US)
    assert talk.of("warning") == [
        "project demo, region us-central1: down; wait; kept 1 service of the inventory"
    ]


def test_recall_of_a_project() -> None:
    """A project whose regions could not be listed keeps every scope that is known of it."""
    found = Discovery(scopes={}, failures=(failed(None),))
    known = remembered(service("a"), service("b", Scope("other", "r")), scopes=(EU,))
    recalled = recall(found, known)
    assert recalled.stale == (EU, US)
    assert recalled.services == (service("a", latest_ready_revision=""),)


@pytest.mark.parametrize("known", [{}, remembered(service("a", EU))], ids=["none", "others"])
def test_what_was_never_listed_costs_itself(known: LastKnown) -> None:
    """A scope that fails and that no inventory knows is missing, and named; the rest is there."""
    found = Discovery(scopes={EU: (service("b", EU),)}, failures=(failed("us-central1"),))
    talk = Recorder()
    recalled = recall(found, known)
    assert [one.id for one in recalled.services] == ["demo/europe-west1/b"]
    assert (recalled.stale, recalled.scopes) == ((), (EU,))
    assert [one.where for one in recalled.missing] == ["demo/us-central1"]
    assert talk.of("warning") == [
        "project demo, region us-central1: down; wait; missing until it can be listed"
    ]


def test_known_and_unknown_scopes_are_told_apart() -> None:
    """Of regions that failed alike, those in the inventory are kept and the others missing."""
    both = (failed("us-central1"), failed("europe-west1"))
    talk = Recorder()
    recalled = recall(Discovery(scopes={}, failures=both), remembered(service("a")))
    assert (recalled.stale, [one.where for one in recalled.missing]) == ((US,), [EU.key])
    assert talk.of("warning") == [
        "project demo, region us-central1: down; wait; kept 1 service of the inventory",
        "project demo, region europe-west1: down; wait; missing until it can be listed",
    ]


@pytest.mark.parametrize("known", [{}, remembered(service("a", EU))], ids=["none", "others"])
def test_nothing_at_all(known: LastKnown) -> None:
    """Where nothing could be listed and the inventory knows nothing of it, nothing is published."""
    found = Discovery(scopes={}, failures=(failed("us-central1"),))
    with pytest.raises(DiscoveryError, match=r"us-central1: down; wait\n.*nothing is published"):
        recall(found, known)


def test_an_empty_project_is_something() -> None:
    """A project that was listed and has no services counts as listed."""
    found = Discovery(scopes={}, failures=(failed(None, "other"),), listed=True)
    assert [one.where for one in recall(found, {}).missing] == ["other"]


def test_recall_of_an_empty_scope() -> None:
    """A scope known to be empty is known: its failure costs nothing."""
    found = Discovery(scopes={EU: ()}, failures=(failed("us-central1"),))
    assert recall(found, remembered(scopes=(US,))).stale == (US,)


def test_stale_entries_carry_on() -> None:
    """A stale scope is written back byte for byte."""
    one = service("a", uri="https://a.a.run.app", labels={"x": "y"}, latest_ready_revision="r")
    before = inventory.render([kept(one)], [US])
    found = Discovery(scopes={}, failures=(failed("us-central1"),))
    recalled = recall(found, parse(before).scopes)
    assert inventory.render([kept(s) for s in recalled.services], recalled.scopes) == before
