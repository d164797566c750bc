"""What services say of themselves gets them no token of others, and takes no job from others."""

from __future__ import annotations

from typing import Any

import pytest

from runscrape_generator.config.settings import Format, Match, Mode, Rule, Settings
from runscrape_generator.errors import ConfigError
from runscrape_generator.model import Decision, Service
from runscrape_generator.selection.decide import decide as decide_beside
from runscrape_generator.selection.naming import kubernetes

from .services import assemble, decide, decision, endpoint, service, targets

X = "https://api.corp.example"
UNLISTED = "https://secret-x7k2mq4wza-uc.a.run.app"


def by_name(found: tuple[Decision, ...]) -> dict[str, Decision]:
    return {each.service.id: each for each in found}


def annotated(audience: str, **facts: Any) -> Service:
    return service(annotations={"prometheus.io/audience": audience}, **facts)


SECOND = "https://api-123456789012.us-central1.run.app"


@pytest.mark.parametrize("audience", [SECOND, X])
def test_its_own_audiences_count(audience: str) -> None:
    """Either of its URLs, or a custom audience that nobody else has."""
    first = service().uri
    one = annotated(audience, urls=(first, SECOND), custom_audiences=(X,))
    assert endpoint(one).audience == audience
    assert decision(one).warnings == ()


@pytest.mark.parametrize(
    "audience",
    [
        X,
        UNLISTED,
        "https://canary---api-x7k2mq4wza-uc.a.run.app",
        "https://api-x7k2mq4wza-uc.a.run.app/",
        "https://API-x7k2mq4wza-uc.a.run.app",
        "https://api-x7k2mq4wza-uc.a.run.app:443",
        "https://europe-west1-demo.cloudfunctions.net/api",
    ],
)
def test_no_other_audience_counts(audience: str) -> None:
    """Neither a tag's URL, nor a slash more, another case or a port, nor anybody else's."""
    found = decision(annotated(audience))
    assert found.endpoints[0].audience == service().uri
    (warning,) = found.warnings
    assert warning.endswith("neither a URL nor a custom audience of the service, to the letter")


@pytest.mark.parametrize("uri", ["https://api-x7k2mq4wza-uc.a.run.app", ""])
def test_a_custom_audience_that_is_empty(uri: str) -> None:
    """A token request for nothing would make a job that never works."""
    found = decision(
        service(custom_audiences=("",), uri=uri),
        audience="custom",
        rules=() if uri else (Rule(target="api.example.com"),),
    )
    assert [each.audience for each in found.endpoints] == ([uri] if uri else [])
    assert 'audience "" ignored: it is empty' in found.warnings or not uri


def test_a_function_may_name_its_own_url() -> None:
    """Cloud Functions puts it into both lists."""
    own = "https://us-central1-demo.cloudfunctions.net/api"
    found = decision(annotated(own, urls=(service().uri, own), custom_audiences=(own,)))
    assert found.endpoints[0].audience == own


GOOGLES = [
    UNLISTED,
    UNLISTED.upper(),
    UNLISTED + "/",
    UNLISTED + ":443",
    UNLISTED + ".",
    UNLISTED.removeprefix("https://"),
    "https://user@" + UNLISTED.removeprefix("https://"),
    UNLISTED.replace("run", "\uff52un"),
    "https://us-central1-other.cloudfunctions.net/fn",
    "https://other.uc.r.appspot.com",
    "123456789012-abc.apps.googleusercontent.com",
    "/projects/123456789012/locations/us-central1/services/secret",
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x",
    "https://sts.googleapis.com",
    "https://api.endpoints.other.cloud.goog",
]
"""What other services, functions, APIs and OAuth clients are called by Google."""


@pytest.mark.parametrize("audience", GOOGLES)
@pytest.mark.parametrize("mode", list(Mode))
def test_a_custom_audience_that_is_googles_counts_not(audience: str, mode: Mode) -> None:
    """Anybody may put it among the custom audiences of a service; only a rule can mean it."""
    thief = service(custom_audiences=(audience,), annotations={"prometheus.io/audience": audience})
    found = decision(thief, audience="custom", mode=mode)
    assert found.endpoints[0].audience == thief.uri
    assert any("only a rule's audience gives it" in each for each in found.warnings)
    rule = Rule(audience=audience)
    assert endpoint(thief, audience="custom", rules=(rule,)).audience == audience


def test_a_slash_after_its_own_url_is_its_own() -> None:
    """Such a custom audience is no other's."""
    own = service().uri + "/"
    assert endpoint(service(custom_audiences=(own,)), audience="custom").audience == own


def pair(theirs: str = X, **facts: Any) -> tuple[Service, Service]:
    victim = service("victim", custom_audiences=(X,), **facts)
    return victim, service("thief", project="evil", custom_audiences=(theirs,))


@pytest.mark.parametrize("theirs", [X, X + "/", X.upper(), X + ":443", "api.corp.example"])
@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"latest_ready_revision": ""},
        {"annotations": {"prometheus.io/scrape": "false"}},
        {"ingress": "none"},
    ],
    ids=["kept", "never ready", "opted out", "out of reach"],
)
def test_a_custom_audience_of_two_projects_is_nobodys(theirs: str, facts: dict[str, Any]) -> None:
    """Also where the other one is skipped, and however either writes it."""
    victim, thief = pair(theirs, **facts)
    found = by_name(decide(victim, thief, audience="custom"))
    assert found[thief.id].endpoints[0].audience == thief.uri
    assert found[thief.id].endpoints[0].job == "cloudrun/evil/us-central1/thief"
    assert any("project demo has it as well" in each for each in found[thief.id].warnings)
    if not facts:
        assert found[victim.id].endpoints[0].audience == victim.uri


def test_a_claim_counts_though_it_is_excluded() -> None:
    """The claim of a service that the user leaves out counts against others, too."""
    victim, thief = pair()
    found = by_name(decide(victim, thief, audience="custom", exclude=("victim",)))
    assert found[thief.id].endpoints[0].audience == thief.uri


def test_a_rule_decides_whose_an_audience_is() -> None:
    """It gives the audience to the services that it matches, and to no others."""
    victim, thief = pair()
    rule = Rule(match=Match(project="demo"), audience=X)
    found = by_name(decide(victim, thief, audience="custom", rules=(rule,)))
    assert found[victim.id].endpoints[0].audience == X
    assert found[thief.id].endpoints[0].audience == thief.uri


@pytest.mark.parametrize("others", [(), (service("victim"),)], ids=["none now", "one"])
def test_an_audience_of_a_rule_is_not_for_others(others: tuple[Service, ...]) -> None:
    """Also while the rule matches nothing: the service that it is for may be away."""
    _, thief = pair()
    rule = Rule(match=Match(project="demo"), audience=X)
    found = by_name(decide(*others, thief, audience="custom", rules=(rule,)))
    assert found[thief.id].endpoints[0].audience == thief.uri


def test_services_of_one_project_share() -> None:
    """They trust each other: one job for both."""
    both = [service(name, custom_audiences=(X,)) for name in ("a", "b")]
    (job,) = assemble(both, audience="custom")
    assert (job.shared.audience, len(job.endpoints)) == (X, 2)


def test_the_url_of_another_service() -> None:
    """It is told whose it is; the other one's own audience does not change."""
    victim = service("victim")
    thief = service("thief", custom_audiences=(victim.uri,))
    found = by_name(decide(thief, victim, audience="custom"))
    assert found[thief.id].warnings == (
        f'audience "{victim.uri}" ignored: it is the URL of {victim.id}',
    )
    assert found[victim.id].endpoints[0].audience == victim.uri


PLACE = "demo/us-central1/victim"


@pytest.mark.parametrize("each", list(Format))
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("name", ["attacker", "zzz"])
def test_an_audience_takes_no_job_of_another(each: Format, mode: Mode, name: str) -> None:
    """The shared job of an audience that reads like a place is not that place's."""
    victim = service("victim")
    thief = service(name, custom_audiences=(PLACE,))
    chosen: dict[str, Any] = {"audience": "custom", "format": each, "mode": mode}
    found = by_name(decide(thief, victim, **chosen))
    assert found[victim.id] == by_name(decide(victim, **chosen))[victim.id]
    assert found[thief.id].reason == (
        'job name "cloudrun/demo/us-central1/victim" is that of demo/us-central1/victim: '
        "a rule's job gives it another"
    )
    assert name not in targets([thief, victim], **chosen)


def test_names_that_run_together() -> None:
    """Where --job-name says all and two come out alike, the later service is skipped."""
    one = service("b-c", project="a", region="r")
    other = service("c", project="a-b", region="r")
    found = decide(other, one, job_name="{project}-{service}-{region}")
    assert [(each.service.id, each.kept) for each in found] == [
        ("a/r/b-c", True),
        ("a-b/r/c", False),
    ]


def test_a_path_takes_no_job_of_another() -> None:
    """Of several paths only the one that clashes is dropped, with a warning."""
    victim = service("a/b")
    thief = service("a", annotations={"prometheus.io/path": "/x,/b"})
    found = by_name(decide(thief, victim))
    assert found[victim.id].endpoints[0].job == "cloudrun/demo/us-central1/a/b"
    assert [one.metrics_path for one in found[thief.id].endpoints] == ["/x"]
    (warning,) = found[thief.id].warnings
    assert warning.startswith('"/b" is not scraped: job name "cloudrun/demo/us-central1/a/b"')


@pytest.mark.parametrize("template", ["{service}", "{region}-{service}", "all", "{project}"])
def test_settings_that_cannot_tell_services_apart_are_a_mistake(template: str) -> None:
    """Whatever the services are called, two of them would have one name."""
    both = [service("a"), service("a", project="zoo")]
    more = [service("b")] if "{service}" not in template else []
    with pytest.raises(ConfigError, match="is wanted by two services"):
        decide(*both, *more, job_name=template)


def test_two_rules_that_write_out_one_name_are_a_mistake() -> None:
    """It is in the settings alone."""
    rules = tuple(Rule(match=Match(service=name), job="x") for name in ("a", "b"))
    with pytest.raises(ConfigError, match="job name 'x' is wanted by two services"):
        decide(service("a"), service("b"), rules=rules)


def test_a_name_that_a_rule_writes_out_is_no_others() -> None:
    """A service that comes to have that name is skipped, and ends no run."""
    rule = Rule(match=Match(service="b"), job="special")
    found = by_name(decide(service("special"), service("b"), job_name="{service}", rules=(rule,)))
    assert found["demo/us-central1/b"].kept
    assert not found["demo/us-central1/special"].kept


@pytest.mark.parametrize("name", ["prometheus", "runscrape-proxy"])
def test_jobs_of_the_output_are_no_services(name: str) -> None:
    """A service named like another job of the file is skipped; a --job-name is a mistake."""
    settings = Settings(job_name="{service}")
    (found,) = decide_beside([service(name)], settings, taken={name})
    assert found.reason.startswith(f'job name "{name}" is that of another job of the output')
    with pytest.raises(ConfigError, match=f"job name '{name}' is that of a job which"):
        decide_beside([service("a")], Settings(job_name=name), taken={name})


def test_kubernetes_names_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two hashes were the same, the later resource would take the other's place."""
    monkeypatch.setattr("runscrape_generator.selection.naming.digest_of", lambda _: "0badcafe")
    assert kubernetes("cloudrun/a.b") == kubernetes("cloudrun/a-b")
    services = [service("thief", custom_audiences=("demo.us-central1.victim",))]
    services.append(service("victim"))
    found = by_name(decide(*services, format=Format.OPERATOR, audience="custom"))
    assert found[f"demo/us-central1/{'victim'}"].kept
    assert found["demo/us-central1/thief"].reason.endswith(
        "to Kubernetes: a rule's job gives it another"
    )


def test_names_differ_to_alloy() -> None:
    """Nothing that a service says makes its job another's to a reader that replaces signs."""
    thief = service("thief", custom_audiences=("demo.us-central1.victim",))
    found = by_name(decide(thief, service("victim"), audience="custom"))
    assert found["demo/us-central1/victim"].kept
    assert "is the same as" in found["demo/us-central1/thief"].reason
    assert "to Grafana Alloy" in found["demo/us-central1/thief"].reason


def test_what_the_user_chose_is_not_held_to_alloy() -> None:
    """Prometheus tells such names apart, and not everybody has Alloy."""
    rules = tuple(
        Rule(match=Match(service=name), job=job) for name, job in (("a", "x-y"), ("b", "x/y"))
    )
    assert all(each.kept for each in decide(service("a"), service("b"), rules=rules))
