"""How jobs are named, shared, and refused."""

from __future__ import annotations

import pytest

from runscrape_generator.config.settings import EndpointRule, Match, Rule
from runscrape_generator.errors import ConfigError

from .services import assemble, service

SHARED = "https://metrics.example.com"


def names(*services: object, **settings: object) -> list[str]:
    return [job.name for job in assemble(services, **settings)]  # type: ignore[arg-type]


def test_each_service_has_a_job_of_its_own_in_order() -> None:
    """A job per service, sorted by project, region and name, whatever came first."""
    assert names(service("b"), service("a"), service("z", region="europe-west1")) == [
        "cloudrun/demo/europe-west1/z",
        "cloudrun/demo/us-central1/a",
        "cloudrun/demo/us-central1/b",
    ]


def test_a_name_is_filled_in_literally() -> None:
    """Only the three placeholders are replaced, once, with nothing of Python's formatting."""
    odd = service("{region}", region="r")
    assert names(odd, job_name="{service}-{region}-{x}-{service.name}-{{") == [
        "{region}-r-{x}-{service.name}-{{"
    ]


def test_a_rule_names_the_job() -> None:
    """A rule's job has the same placeholders as --job-name."""
    assert names(service(), rules=(Rule(job="{project}:{service}"),)) == ["demo:api"]


def test_two_services_that_want_one_name_are_refused_by_name() -> None:
    """A collision names both services and every such name in one run."""
    wanted = [
        service("a"),
        service("a", region="europe-west1"),
        service("b"),
        service("b", project="zoo"),
    ]
    with pytest.raises(ConfigError) as caught:
        assemble(wanted, job_name="{service}")
    remedy = (
        "tell them apart with {project}, {region} and {service} in --job-name (now '{service}') "
        "or in a rule's job"
    )
    pairs = {
        "a": "demo/europe-west1/a and demo/us-central1/a",
        "b": "demo/us-central1/b and zoo/us-central1/b",
    }
    assert str(caught.value).splitlines() == [
        f"job name {name!r} is wanted by two services: {pair}; {remedy}"
        for name, pair in pairs.items()
    ]


def test_two_public_services_do_not_merge_by_accident() -> None:
    """Without an audience in common there is nothing to share, only a name taken twice."""
    public = [service("a", invoker_iam_disabled=True), service("b", invoker_iam_disabled=True)]
    with pytest.raises(ConfigError, match="demo/us-central1/a and demo/us-central1/b"):
        assemble(public, job_name="all")


class TestSeveralEndpoints:
    """Paths of one service."""

    def test_the_first_keeps_the_plain_name(self) -> None:
        """A second path adds a job and renames none."""
        one = Rule(endpoints=(EndpointRule(path="/metrics"),))
        two = Rule(endpoints=(EndpointRule(path="/metrics"), EndpointRule(path="/slow")))
        plain = "cloudrun/demo/us-central1/api"
        assert names(service()) == names(service(), rules=(one,)) == [plain]
        assert names(service(), rules=(two,)) == [plain, plain + "/slow"]

    def test_one_path_with_two_sets_of_parameters(self) -> None:
        """The same path twice is told apart by what differs, the same way in each run."""
        rule = Rule(
            endpoints=(
                EndpointRule(path="/probe", params={"module": ("a",)}),
                EndpointRule(path="/probe", params={"module": ("b",)}),
            )
        )
        first, second = names(service(), rules=(rule,))
        assert first == "cloudrun/demo/us-central1/api"
        assert second.startswith("cloudrun/demo/us-central1/api/probe-")
        assert names(service(), rules=(rule,)) == [first, second]

    def test_an_endpoint_may_name_its_job(self) -> None:
        """An endpoint's own job name stands as it is."""
        rule = Rule(endpoints=(EndpointRule(path="/a"), EndpointRule(path="/b", job="{service}-b")))
        assert names(service(), rules=(rule,)) == ["cloudrun/demo/us-central1/api", "api-b"]

    def test_two_endpoints_that_want_one_name_are_refused(self) -> None:
        """A collision inside of one service names its two paths."""
        rule = Rule(endpoints=(EndpointRule(path="/a", job="x"), EndpointRule(path="/b", job="x")))
        with pytest.raises(ConfigError, match="two endpoints of demo/us-central1/api: /a and /b"):
            assemble([service()], rules=(rule,))


class TestSharedAudience:
    """With --audience custom, one audience and one set of settings is one job."""

    def test_services_share_a_job(self) -> None:
        """Two services with one custom audience are two targets of one job."""
        (job,) = assemble(
            [service(name, custom_audiences=(SHARED,)) for name in "ab"], audience="custom"
        )
        assert (job.name, job.shared.audience) == ("cloudrun/metrics.example.com", SHARED)
        assert [each.service.name for each in job.endpoints] == ["a", "b"]

    def test_a_second_service_renames_nothing(self) -> None:
        """The name comes from the audience even while one service alone has it."""
        one, two = (service(name, custom_audiences=(SHARED,)) for name in "ab")
        assert names(one, audience="custom") == names(one, two, audience="custom")

    def test_other_settings_are_another_job(self) -> None:
        """A path, a time, a parameter or a scrape_config of its own makes another job; its name
        depends on that service alone.
        """
        wishes = [
            {},
            {"prometheus.io/path": "/stats"},
            {"prometheus.io/interval": "30s"},
            {"prometheus.io/param-x": "1"},
        ]
        services = [
            service(f"s{index}", custom_audiences=(SHARED,), annotations=each)
            for index, each in enumerate(wishes)
        ]
        rule = Rule(match=Match(service="s4"), scrape_config={"sample_limit": 5})
        services.append(service("s4", custom_audiences=(SHARED,)))
        found = names(*services, audience="custom", rules=(rule,))
        assert found[:2] == ["cloudrun/metrics.example.com", "cloudrun/metrics.example.com/stats"]
        assert len(set(found)) == 5
        for index, each in enumerate(services):
            assert names(each, audience="custom", rules=(rule,)) == [found[index]]

    def test_what_holds_for_all_services_is_in_no_name(self) -> None:
        """A rule without match sets what is usual: changing a limit for all renames no series."""
        rule = Rule(scrape_config={"sample_limit": 5}, scrape_interval="5s", params={"x": ("1",)})
        shared = service(custom_audiences=(SHARED,))
        assert names(shared, audience="custom", rules=(rule,)) == ["cloudrun/metrics.example.com"]

    def test_without_a_custom_audience_the_name_is_the_usual_one(self) -> None:
        """A service without one has its own job, named as ever."""
        assert names(service(), audience="custom") == ["cloudrun/demo/us-central1/api"]

    def test_two_audiences_never_share(self) -> None:
        """Audiences are compared as text: a slash at the end is another audience."""
        services = [
            service("a", custom_audiences=(SHARED,)),
            service("b", custom_audiences=(SHARED + "/",)),
        ]
        assert len(assemble(services, audience="custom")) == 2

    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            ("cloudrun/{project}", "cloudrun/metrics.example.com"),
            ("run-{service}", "run-metrics.example.com"),
            ("{service}", "metrics.example.com"),
            ("fixed", "fixed/metrics.example.com"),
        ],
    )
    def test_the_name_begins_as_job_name_does(self, template: str, expected: str) -> None:
        """What stands before the first placeholder of --job-name stays in front."""
        shared = service(custom_audiences=(SHARED,))
        assert names(shared, audience="custom", job_name=template) == [expected]

    def test_a_rules_job_and_audience_are_shared_too(self) -> None:
        """A rule that gives services one audience and one job name makes one job of them."""
        rule = Rule(audience=SHARED, job="together")
        (job,) = assemble([service("a"), service("b")], rules=(rule,))
        assert len(job.endpoints) == 2
