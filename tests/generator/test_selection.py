"""Which services are kept, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest

from runscrape_generator.config.settings import EndpointRule, Match, Mode, Rule, Settings
from runscrape_generator.selection.rules import unmatched

from .services import decide, decision, endpoint, service

CUSTOM = "https://metrics.example.com"


def test_a_ready_private_service_is_kept_without_a_word() -> None:
    """A service with a URL and a ready revision becomes one endpoint, and nothing to warn of."""
    found = decision(service())
    assert found.kept
    assert (found.reason, found.warnings) == ("", ())
    (only,) = found.endpoints
    assert only.job == "cloudrun/demo/us-central1/api"
    assert only.audience == "https://api-x7k2mq4wza-uc.a.run.app"
    assert (only.scheme, only.target) == ("https", "api-x7k2mq4wza-uc.a.run.app:443")
    assert only.metrics_path == "/metrics"
    assert only.labels == {
        "instance": "api-x7k2mq4wza-uc.a.run.app",
        "project_id": "demo",
        "location": "us-central1",
        "service_name": "api",
    }


def test_decisions_are_sorted_by_project_region_name() -> None:
    """The order of listing does not show in the output."""
    found = decide(
        service("b"), service("a"), service("z", region="europe-west1"), service("z", project="a")
    )
    assert [each.service.id for each in found] == [
        "a/us-central1/z",
        "demo/europe-west1/z",
        "demo/us-central1/a",
        "demo/us-central1/b",
    ]


SKIPPED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"include": ("web-*",)}, "not matched: its name fits no --include"),
    ({}, {"exclude": ("a?i",)}, "not matched: its name fits an --exclude"),
    ({}, {"include": ("api",), "exclude": ("api",)}, "not matched: its name fits an --exclude"),
    (
        {"labels": {"team": "b"}},
        {"label": {"team": "a"}},
        "not matched: it has no label team=a (--label)",
    ),
    ({}, {"rules": (Rule(skip=True),)}, "skipped by a rule"),
    (
        {"annotations": {"prometheus.io/scrape": "false"}},
        {},
        'opted out: prometheus.io/scrape is "false"',
    ),
    ({"labels": {"prometheus-scrape": "false"}}, {}, 'opted out: prometheus.io/scrape is "false"'),
    ({}, {"opt_in": True}, 'not opted in: --opt-in wants prometheus.io/scrape to be "true"'),
    (
        {"annotations": {"prometheus.io/scrape": "True"}},
        {"opt_in": True},
        'not opted in: --opt-in wants prometheus.io/scrape to be "true"',
    ),
    ({"latest_ready_revision": ""}, {}, "never ready: no revision of it has started yet"),
    (
        {"manual_instances": 0, "min_instances": 0, "max_instances": 0},
        {},
        "scaled to 0 by hand: no instance answers until manual scaling says otherwise",
    ),
    (
        {"default_uri_disabled": True},
        {},
        "default URL disabled: a rule's target (its custom domain) keeps it",
    ),
    ({"uri": "", "urls": ()}, {}, "no URL yet"),
    ({"uri": "https://a b/"}, {}, 'no usable URL: "https://a b/"'),
    ({"uri": "ftp://a"}, {}, 'no usable URL: "ftp://a"'),
    ({"uri": "http://a"}, {}, 'no usable URL: "http://a"'),
    (
        {"uri": "", "urls": ()},
        {"rules": (Rule(target="api.example.com"),)},
        "no URL of its own and no custom audience: a rule's audience says what to ask for",
    ),
    (
        {"iap_enabled": True},
        {},
        "IAP enabled: a rule's audience (IAP's own OAuth client) keeps it",
    ),
    (
        {"iap_enabled": True, "annotations": {"prometheus.io/audience": CUSTOM}},
        {},
        "IAP enabled: a rule's audience (IAP's own OAuth client) keeps it",
    ),
    (
        {"ingress": "internal"},
        {},
        "ingress is internal: it answers only inside the VPC; --ingress internal keeps it",
    ),
    (
        {"ingress": "internal"},
        {"rules": (Rule(target="api.example.com"),)},
        "ingress is internal: it answers only inside the VPC; --ingress internal keeps it",
    ),
    (
        {"ingress": "internal-and-cloud-load-balancing"},
        {},
        (
            "ingress is internal-and-cloud-load-balancing: its own URL answers only inside the "
            "VPC; a rule's target (the load balancer's domain) or --ingress internal keeps it"
        ),
    ),
    ({"ingress": "none"}, {"ingress": "internal"}, "ingress is none: nothing can reach it"),
]


@pytest.mark.parametrize(("facts", "settings", "reason"), SKIPPED)
def test_a_service_is_skipped_with_its_reason(
    facts: dict[str, Any], settings: dict[str, Any], reason: str
) -> None:
    """Each reason for leaving a service out is given in words, with what keeps it."""
    found = decision(service(**facts), **settings)
    assert not found.kept
    assert found.reason == reason


KEPT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"include": ("web", "a*")}),
    ({"labels": {"team": "a", "x": "y"}}, {"label": {"team": "a", "x": "y"}}),
    ({}, {"rules": (Rule(skip=True), Rule(skip=False))}),
    ({}, {"rules": (Rule(match=Match(service="web"), skip=True),)}),
    ({"annotations": {"prometheus.io/scrape": "false"}}, {"rules": (Rule(skip=False),)}),
    ({}, {"opt_in": True, "rules": (Rule(skip=False),)}),
    ({"annotations": {"prometheus.io/scrape": "true"}}, {"opt_in": True}),
    ({"labels": {"prometheus-scrape": "true"}}, {"opt_in": True}),
    ({"manual_instances": 1}, {}),
    ({"default_uri_disabled": True}, {"rules": (Rule(target="api.example.com"),)}),
    ({"iap_enabled": True}, {"rules": (Rule(audience="1234.apps.googleusercontent.com"),)}),
    ({"ingress": "internal"}, {"ingress": "internal"}),
    ({"ingress": "internal-and-cloud-load-balancing"}, {"ingress": "internal"}),
    (
        {"ingress": "internal-and-cloud-load-balancing"},
        {"rules": (Rule(target="api.example.com"),)},
    ),
]


@pytest.mark.parametrize(("facts", "settings"), KEPT)
def test_a_service_is_kept_where_the_remedy_is_taken(
    facts: dict[str, Any], settings: dict[str, Any]
) -> None:
    """What a reason names as the remedy does keep the service."""
    found = decision(service(**facts), **settings)
    assert found.kept, found.reason
    assert found.reason == ""


def test_the_reason_to_act_on_first_is_given() -> None:
    """What the user chose is named before what the service chose, and that before what it is."""
    hopeless: dict[str, Any] = {
        "annotations": {"prometheus.io/scrape": "false"},
        "latest_ready_revision": "",
        "ingress": "none",
    }
    assert decision(service(**hopeless), exclude=("*",)).reason.startswith("not matched")
    assert decision(service(**hopeless)).reason.startswith("opted out")
    hopeless.pop("annotations")
    assert decision(service(**hopeless)).reason.startswith("never ready")


def test_an_excluded_service_is_not_warned_about() -> None:
    """Nobody wants to hear of a service that was left out on purpose."""
    noisy = service(max_instances=9, annotations={"prometheus.io/path": "nonsense"})
    assert decision(noisy, exclude=("*",)).warnings == ()


@pytest.mark.parametrize(
    ("facts", "warnings"),
    [
        ({"max_instances": 1, "min_instances": 1}, []),
        (
            {"max_instances": 2},
            ["maxInstances is 2: a scrape reaches one random instance, so counters jump"],
        ),
        (
            {"max_instances": 0},
            [
                (
                    "maxInstances is not set, so 100: a scrape reaches one random instance, so "
                    "counters jump"
                )
            ],
        ),
        (
            {"min_instances": 0},
            ["minInstances is 0: each scrape may wake, and bill, an instance"],
        ),
    ],
)
def test_scaling_that_scraping_does_not_fit_is_warned_of(
    facts: dict[str, Any], warnings: list[str]
) -> None:
    """Several instances and scale-to-zero are kept, each with a warning."""
    assert list(decision(service(**facts)).warnings) == warnings


class TestAudience:
    """A rule's, then the annotation's, then the custom one where asked for, then the URL."""

    OWN = "https://api-x7k2mq4wza-uc.a.run.app"

    @pytest.mark.parametrize(
        ("facts", "settings", "audience"),
        [
            ({}, {}, OWN),
            ({"custom_audiences": (CUSTOM,)}, {}, OWN),
            ({"custom_audiences": (CUSTOM, "https://b")}, {"audience": "custom"}, CUSTOM),
            ({}, {"audience": "custom"}, OWN),
            ({"custom_audiences": ("plain",)}, {"audience": "custom"}, "plain"),
            (
                {
                    "custom_audiences": ("https://b", CUSTOM),
                    "annotations": {"prometheus.io/audience": CUSTOM},
                },
                {"audience": "custom"},
                CUSTOM,
            ),
            (
                {"annotations": {"prometheus.io/audience": CUSTOM}},
                {"rules": (Rule(audience="from-a-rule"),)},
                "from-a-rule",
            ),
            ({"invoker_iam_disabled": True}, {}, None),
            ({"invoker_iam_disabled": True}, {"rules": (Rule(audience=CUSTOM),)}, None),
            (
                {"invoker_iam_disabled": True, "iap_enabled": True},
                {"rules": (Rule(audience="iap-client"),)},
                "iap-client",
            ),
            (
                {"uri": "", "urls": (), "custom_audiences": (CUSTOM,)},
                {"rules": (Rule(target="api.example.com"),)},
                CUSTOM,
            ),
        ],
    )
    def test_what_beats_what(
        self, facts: dict[str, Any], settings: dict[str, Any], audience: str | None
    ) -> None:
        """The audience follows the order of the design; a public service has none."""
        assert endpoint(service(**facts), **settings).audience == audience


@pytest.mark.parametrize(
    ("target", "expected", "instance"),
    [
        ("api.example.com", "api.example.com:443", "api.example.com"),
        ("api.example.com:443", "api.example.com:443", "api.example.com"),
        ("api.example.com:8443", "api.example.com:8443", "api.example.com:8443"),
        ("[2001:db8::1]", "[2001:db8::1]:443", "[2001:db8::1]"),
    ],
)
def test_a_rules_target_always_has_a_port(target: str, expected: str, instance: str) -> None:
    """Prometheus 3 adds no port to an address, and instance shows one only where it is unusual."""
    found = endpoint(service(), rules=(Rule(target=target),))
    assert found.target == expected
    assert found.labels["instance"] == instance
    assert found.audience == "https://api-x7k2mq4wza-uc.a.run.app"


MATCHES = [
    (Match(), True),
    (Match(project="de*", region="us-*", service="?pi"), True),
    (Match(project="DEMO"), False),
    (Match(region="europe-*"), False),
    (Match(service="ap"), False),
    (Match(labels={"team": "p*"}), True),
    (Match(labels={"team": "p*", "tier": "*"}), False),
]


@pytest.mark.parametrize(("match", "expected"), MATCHES)
def test_a_rule_matches_if_all_its_globs_do(match: Match, *, expected: bool) -> None:
    """Globs are case-sensitive and cover the whole text; a label that is missing fits none."""
    found = decision(service(labels={"team": "payments"}), rules=(Rule(match=match, skip=True),))
    assert found.kept is not expected


def test_rules_apply_in_order_and_merge_mappings() -> None:
    """A later rule beats an earlier one value by value; mappings merge key by key, all the way."""
    rules = (
        Rule(
            target="one.example.com",
            audience="one",
            labels={"a": "1", "b": "1"},
            params={"x": ("1",)},
            scrape_config={"tls_config": {"ca_file": "ca", "server_name": "1"}, "sample_limit": 1},
        ),
        Rule(match=Match(service="other"), audience="never"),
        Rule(
            audience="two",
            labels={"b": "2"},
            params={"x": ("2", "3")},
            scrape_config={"tls_config": {"server_name": "2"}},
        ),
    )
    found = endpoint(service(), rules=rules)
    assert (found.target, found.audience) == ("one.example.com:443", "two")
    assert (found.labels["a"], found.labels["b"]) == ("1", "2")
    assert found.params == {"x": ("2", "3")}
    assert found.scrape_config == {
        "tls_config": {"ca_file": "ca", "server_name": "2"},
        "sample_limit": 1,
    }
    assert rules[0].scrape_config["tls_config"]["server_name"] == "1"


def test_a_rules_labels_take_placeholders() -> None:
    """A label's value is filled in with where the service is and with its Cloud Run labels."""
    labels = {"team": "{label.team}", "where": "{project}-{region}", "x": "{label.none}{y}"}
    own = EndpointRule(path="/metrics", labels={"who": "{service} of {label.team}"})
    rule = Rule(labels=labels, endpoints=(own,))
    found = endpoint(service(labels={"team": "{service}"}), rules=(rule,)).labels
    assert {name: found[name] for name in (*labels, "who")} == {
        "team": "{service}",
        "where": "demo-us-central1",
        "x": "{y}",
        "who": "api of {service}",
    }


def test_a_rule_that_matches_nothing_is_told() -> None:
    """By where it stands; one without match is not, nor is any where there are no services."""
    rules = (
        Rule(skip=False),
        Rule(match=Match(service="a*"), skip=False),
        Rule(match=Match(service="b*", labels={"team": "x"}), skip=True),
    )
    lines: dict[tuple[str | int, ...], str] = {("rules", 2, "match"): "runscrape.yaml:9"}
    assert unmatched([service()], Settings(rules=rules, lines=lines)) == (
        "runscrape.yaml:9: rules[2].match: it matches none of the services",
    )
    assert unmatched([], Settings(rules=rules)) == ()


def test_a_token_header_is_carried_to_the_endpoint() -> None:
    """The gateway learns from the endpoint where the app wants the token; without, a warning."""
    rule = Rule(token_header="X-Serverless-Authorization")
    assert endpoint(service(), rules=(rule,)).token_header == "X-Serverless-Authorization"
    (warning,) = decision(service(), rules=(rule,)).warnings
    assert warning.startswith("the token is in Authorization, not X-Serverless-Authorization: ")
    assert decision(service(), rules=(rule,), mode=Mode.GATEWAY).warnings == ()
    assert endpoint(service()).token_header == "Authorization"


def test_an_app_with_credentials_of_its_own() -> None:
    """They are in Authorization, so the token goes the other way, whatever a rule says of it."""
    rule = Rule(app_credentials="api", token_header="Authorization")
    found = endpoint(service(), rules=(rule,), mode=Mode.GATEWAY)
    assert found.app_credentials == "api"
    assert found.token_header == "X-Serverless-Authorization"
