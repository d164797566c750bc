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
    (said(interval="1 minute"), "interval ignored: '1 minute' is not a duration"),
    (said(interval="0"), 'interval ignored: "0" has to be more than 0'),
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
