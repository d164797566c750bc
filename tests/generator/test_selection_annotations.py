"""What a service may say about itself, and what becomes of nonsense."""

from __future__ import annotations

from typing import Any

import pytest

from runscrape_generator.config.settings import EndpointRule, Rule

from .services import decision, endpoint, service


def said(**annotations: str) -> dict[str, str]:
    """``param_x="1"`` as the annotation ``prometheus.io/param-x``."""
    return {"prometheus.io/" + key.replace("_", "-", 1): text for key, text in annotations.items()}


USABLE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"annotations": said(path="/stats/prometheus")}, {"metrics_path": "/stats/prometheus"}),
    ({"annotations": said(path="/")}, {"metrics_path": "/"}),
    ({"annotations": said(path="/ü;b=c")}, {"metrics_path": "/ü;b=c"}),
    ({"annotations": said(interval="5s")}, {"scrape_interval": "5s", "scrape_timeout": "5s"}),
    ({"labels": {"prometheus-path": "stats"}}, {"metrics_path": "/stats"}),
    ({"annotations": said(interval="1h30m")}, {"scrape_interval": "1h30m"}),
    ({"labels": {"prometheus-interval": "30s"}}, {"scrape_interval": "30s"}),
    (
        {"annotations": said(timeout="20s")},
        {"scrape_interval": "1m", "scrape_timeout": "20s"},
    ),
    (
        {"labels": {"prometheus-interval": "30s", "prometheus-timeout": "30s"}},
        {"scrape_interval": "30s", "scrape_timeout": "30s"},
    ),
    ({"annotations": said(param_format="a b&c")}, {"params": {"format": ("a b&c",)}}),
    ({"labels": {"prometheus-param-module": "x"}}, {"params": {"module": ("x",)}}),
    (
        {"labels": {"prometheus-param-a": "1"}, "annotations": said(param_a="2", param_B="")},
        {"params": {"B": ("",), "a": ("2",)}},
    ),
    (
        {"labels": {"prometheus-path": "label"}, "annotations": said(path="/annotation")},
        {"metrics_path": "/annotation"},
    ),
]


@pytest.mark.parametrize(("facts", "expected"), USABLE)
def test_a_usable_value_is_taken(facts: dict[str, Any], expected: dict[str, Any]) -> None:
    """Annotations and their label forms set path, times and parameters; the annotation beats."""
    found = decision(service(**facts))
    assert found.warnings == ()
    (only,) = found.endpoints
    assert {name: getattr(only, name) for name in expected} == expected


UNUSABLE = [
    (said(scrape="True"), 'scrape ignored: "True" is neither "true" nor "false"'),
    (said(scrape="0"), 'scrape ignored: "0" is neither "true" nor "false"'),
    (said(path="metrics"), 'path ignored: "metrics" is not a path such as /metrics'),
    (said(path="/metrics?x=1"), "is not a path"),
    (said(path="/metrics#x"), "is not a path"),
    (said(path="/a\nb"), r'path ignored: "/a\nb" is not a path'),
    (said(path="/a\u2028b"), "is not a path"),
    (said(path="/a b"), "is not a path"),
    (said(path=""), "is not a path"),
    (said(path="/100%"), 'path ignored: "/100%" is not a path'),
    (said(path="/a%2"), "is not a path"),
    (said(path="/a%zz"), "is not a path"),
    (said(path="stats,/metrics"), 'path ignored: "stats" is not a path'),
    (said(interval="1 minute"), 'interval ignored: "1 minute" is not a duration'),
    (said(interval="0"), 'interval ignored: "0" is less than the 5s that a service may ask'),
    (said(interval="1ms"), 'interval ignored: "1ms" is less than the 5s'),
    (said(interval="4999ms"), "is less than the 5s"),
    (said(timeout="4s"), 'timeout ignored: "4s" is less than the 5s'),
    (said(interval="300y"), "is not a duration"),
    (said(interval="1.5m"), "is not a duration"),
    (said(timeout="-1s"), "is not a duration"),
    (said(audience="api"), 'audience ignored: "api" is not an https URL'),
    (said(audience="http://api.example.com"), "is not an https URL"),
    (said(audience="https://"), "is not an https URL"),
    (said(audience="https://user@api.example.com"), "is not an https URL"),
    (said(audience="https://[::1"), "is not an https URL"),
    (said(audience="https://a b"), "is not an https URL"),
    (said(audience='https://a"b'), "is not an https URL"),
    ({"prometheus.io/param-": "x"}, "a parameter's name here is letters, digits and _"),
    ({"prometheus.io/param-match[]": "x"}, "a parameter's name here is letters, digits and _"),
    ({"prometheus.io/port": "80"}, 'annotation "prometheus.io/port" is not known here'),
    ({"prometheus.io/": "x"}, 'annotation "prometheus.io/" is not known here'),
]


@pytest.mark.parametrize(("annotations", "warning"), UNUSABLE)
def test_a_bad_value_is_a_warning_and_nothing_else(
    annotations: dict[str, str], warning: str
) -> None:
    """A value that cannot be used leaves the endpoint as if it were not there."""
    found = decision(service(annotations=annotations))
    (text,) = found.warnings
    assert warning in text
    assert "\n" not in text
    plain = endpoint(service())
    (only,) = found.endpoints
    assert (only.metrics_path, only.scrape_interval, only.scrape_timeout) == (
        plain.metrics_path,
        None,
        None,
    )
    assert (only.audience, only.params, only.job) == (plain.audience, {}, plain.job)


def test_several_paths_are_an_endpoint_each() -> None:
    """The first keeps the plain job name; each is scraped once, and what is no path is left out."""
    found = decision(service(annotations=said(path="/metrics, /stats,/metrics,bad")))
    assert [(one.metrics_path, one.job) for one in found.endpoints] == [
        ("/metrics", "cloudrun/demo/us-central1/api"),
        ("/stats", "cloudrun/demo/us-central1/api/stats"),
    ]
    (warning,) = found.warnings
    assert '"bad" is not a path' in warning


def test_the_paths_of_one_service_are_bounded() -> None:
    """A service cannot fill the configuration with jobs of its own."""
    found = decision(service(annotations=said(path=",".join(f"/p{n}" for n in range(500)))))
    assert len(found.endpoints) == 10
    assert found.warnings == ("annotation prometheus.io/path names 500 paths: only 10 count",)


@pytest.mark.parametrize(
    ("path", "warning"),
    [
        ("/healthz", '"/healthz" never reaches the service: Google keeps that path for itself'),
        ("/eventlog", '"/eventlog" never reaches the service'),
        ("/_ah/metrics", '"/_ah/metrics" never reaches the service'),
        ("/varz", '"/varz" may not reach the service: Google keeps some paths that end in z'),
        ("/health", ""),
        ("/healthz/", ""),
    ],
)
def test_a_path_that_google_keeps_is_warned_of(path: str, warning: str) -> None:
    """Whoever names it: the service, a rule, or --metrics-path."""
    rule = Rule(endpoints=(EndpointRule(path=path),))
    for found in (
        decision(service(annotations=said(path=path))),
        decision(service(), rules=(rule,)),
        decision(service(), metrics_path=path),
    ):
        assert [text.startswith(warning) for text in found.warnings] == [True] * bool(warning)


def test_a_path_that_prometheus_encodes_again_is_warned_of() -> None:
    """A % is text to Prometheus, whatever the two characters after it would mean elsewhere."""
    found = decision(service(annotations=said(path="/a%20b")))
    assert [each.metrics_path for each in found.endpoints] == ["/a%20b"]
    (warning,) = found.warnings
    assert warning == '"/a%20b": Prometheus encodes the % again, and asks for "/a%2520b"'


def test_a_bad_annotation_leaves_the_label_in_force() -> None:
    """Ignored means as if it were not there, so the next source has its say."""
    both = service(annotations=said(scrape="no"), labels={"prometheus-scrape": "false"})
    found = decision(both)
    assert not found.kept
    assert len(found.warnings) == 1


def test_a_label_cannot_name_an_audience() -> None:
    """The label form says where the audience belongs instead."""
    found = decision(service(labels={"prometheus-audience": "api-example-com"}))
    (text,) = found.warnings
    assert "a label cannot hold a URL, use prometheus.io/audience" in text


def test_a_long_value_is_cut_in_its_warning() -> None:
    """Hostile text does not fill the log."""
    found = decision(service(annotations=said(path="x" * 10_000)))
    assert all(len(text) < 200 for text in found.warnings)


TIMES: list[tuple[dict[str, Any], dict[str, Any], tuple[str | None, str | None], int]] = [
    # interval and timeout of the service; settings; what comes out; how many warnings
    ({}, {}, (None, None), 0),
    ({"interval": "5s"}, {}, ("5s", "5s"), 0),
    ({"interval": "10s"}, {}, ("10s", None), 0),
    ({"interval": "15s"}, {"scrape_timeout": "20s"}, ("15s", "15s"), 0),
    ({"timeout": "1m"}, {}, ("1m", "1m"), 0),
    ({"timeout": "61s"}, {}, (None, None), 1),
    ({"timeout": "61s"}, {"scrape_interval": "2m"}, ("2m", "61s"), 0),
    ({"timeout": "20s"}, {"scrape_interval": "15s"}, (None, None), 1),
    ({"interval": "10s", "timeout": "20s"}, {}, ("10s", None), 1),
    ({"interval": "5s", "timeout": "20s"}, {}, ("5s", "5s"), 1),
    ({"interval": "5m", "timeout": "2m"}, {}, ("5m", "2m"), 0),
    ({"timeout": "20s"}, {"rules": (Rule(scrape_interval="15s"),)}, ("15s", None), 1),
    ({"interval": "15s"}, {"rules": (Rule(scrape_timeout="20s"),)}, ("1m", "20s"), 1),
    ({"interval": "30s"}, {"rules": (Rule(scrape_interval="15s"),)}, ("15s", None), 0),
    (
        {},
        {"rules": (Rule(scrape_interval="15s"), Rule(scrape_timeout="20s"))},
        ("15s", None),
        1,
    ),
    ({"interval": "15s"}, {"rules": (Rule(scrape_timeout="2m"),)}, (None, None), 1),
]


@pytest.mark.parametrize(("annotated", "settings", "expected", "warnings"), TIMES)
def test_a_timeout_never_exceeds_its_interval(
    annotated: dict[str, str],
    settings: dict[str, Any],
    expected: tuple[str | None, str | None],
    warnings: int,
) -> None:
    """The pair always fits, also with the global defaults; what a rule says stays."""
    found = decision(service(annotations=said(**annotated)), **settings)
    (only,) = found.endpoints
    assert (only.scrape_interval, only.scrape_timeout) == expected
    assert len(found.warnings) == warnings


def test_a_rule_beats_the_annotation() -> None:
    """Path, times and parameters of a rule replace those of the service; labels come on top."""
    wished = service(annotations=said(path="/own", interval="30s", param_a="1", param_b="1"))
    rule = Rule(
        endpoints=(EndpointRule(path="/ruled", labels={"tier": "x"}, params={"c": ("3",)}),),
        scrape_interval="20s",
        params={"b": ("2",)},
        labels={"team": "a", "tier": "y"},
    )
    found = endpoint(wished, rules=(rule,))
    assert found.metrics_path == "/ruled"
    assert found.scrape_interval == "20s"
    assert found.params == {"a": ("1",), "b": ("2",), "c": ("3",)}
    assert (found.labels["team"], found.labels["tier"]) == ("a", "x")


def test_several_endpoints_each_have_their_own_settings() -> None:
    """A rule's endpoints are scraped each under its own path, time and labels."""
    rule = Rule(
        endpoints=(
            EndpointRule(path="/metrics"),
            EndpointRule(path="/slow", scrape_interval="5m", scrape_timeout="1m"),
        ),
        scrape_interval="30s",
    )
    first, second = decision(service(), rules=(rule,)).endpoints
    assert (first.metrics_path, first.scrape_interval, first.scrape_timeout) == (
        "/metrics",
        "30s",
        None,
    )
    assert (second.metrics_path, second.scrape_interval, second.scrape_timeout) == (
        "/slow",
        "5m",
        "1m",
    )
