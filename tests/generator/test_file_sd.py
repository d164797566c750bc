"""Targets for file_sd: the labels of the design, and nothing that a reader refuses."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runscrape_generator.config.settings import EndpointRule, Format, Match, Mode, Rule
from runscrape_generator.errors import ConfigError
from runscrape_generator.model import Service
from runscrape_generator.render.file_sd import target_labels
from tests.kit import fast_yaml as yaml

from .services import decide, read_jobs, render, service, targets

FULL = service(
    uid="11111111-2222-3333-4444-555555555555",
    urls=("https://api-x7k2mq4wza-uc.a.run.app", "https://api-123.us-central1.run.app"),
    labels={"team": "payments", "cost-center": "a"},
    annotations={
        "prometheus.io/path": "/stats",
        "prometheus.io/interval": "30s",
        "prometheus.io/timeout": "20s",
        "prometheus.io/param-format": "text",
        "example.com/owner": "ada",
    },
    launch_stage="BETA",
    max_instances=3,
)


def groups(*services: Service, **settings: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(targets(services, **settings))
    return found


def labels(one: Service, **settings: Any) -> dict[str, str]:
    (group,) = groups(one, **settings)
    found: dict[str, str] = group["labels"]
    return found


def test_a_target_carries_everything_that_is_known() -> None:
    """Target labels as in a job, path and times, and every fact as __meta_cloudrun_…."""
    (group,) = groups(FULL)
    assert group == {
        "targets": ["api-x7k2mq4wza-uc.a.run.app:443"],
        "labels": {
            "instance": "api-x7k2mq4wza-uc.a.run.app",
            "project_id": "demo",
            "location": "us-central1",
            "service_name": "api",
            "__scheme__": "https",
            "__metrics_path__": "/stats",
            "__scrape_interval__": "30s",
            "__scrape_timeout__": "20s",
            "__param_format": "text",
            "__meta_cloudrun_job": "cloudrun/demo/us-central1/api",
            "__meta_cloudrun_project": "demo",
            "__meta_cloudrun_region": "us-central1",
            "__meta_cloudrun_service": "api",
            "__meta_cloudrun_service_uid": "11111111-2222-3333-4444-555555555555",
            "__meta_cloudrun_url": "https://api-x7k2mq4wza-uc.a.run.app",
            "__meta_cloudrun_urls": (
                ",https://api-x7k2mq4wza-uc.a.run.app,https://api-123.us-central1.run.app,"
            ),
            "__meta_cloudrun_audience": "https://api-x7k2mq4wza-uc.a.run.app",
            "__meta_cloudrun_ingress": "all",
            "__meta_cloudrun_launch_stage": "BETA",
            "__meta_cloudrun_latest_ready_revision": "api-00001-abc",
            "__meta_cloudrun_min_instances": "1",
            "__meta_cloudrun_max_instances": "3",
            "__meta_cloudrun_invoker_iam_disabled": "false",
            "__meta_cloudrun_label_team": "payments",
            "__meta_cloudrun_label_cost_center": "a",
            "__meta_cloudrun_annotation_prometheus_io_path": "/stats",
            "__meta_cloudrun_annotation_prometheus_io_interval": "30s",
            "__meta_cloudrun_annotation_prometheus_io_timeout": "20s",
            "__meta_cloudrun_annotation_prometheus_io_param_format": "text",
            "__meta_cloudrun_annotation_example_com_owner": "ada",
        },
    }


def test_yaml_says_the_same() -> None:
    """A targets.yml holds exactly what a targets.json does."""
    services = [FULL, service("b")]
    assert yaml.safe_load(targets(services, as_yaml=True)) == json.loads(targets(services))


@pytest.mark.parametrize("as_yaml", [False, True])
def test_no_target_is_an_empty_list(*, as_yaml: bool) -> None:
    """Nothing to scrape is a list, which Prometheus takes, and no empty file, which it does not."""
    assert yaml.safe_load(targets([], as_yaml=as_yaml)) == []


def test_times_are_there_only_where_they_are_set() -> None:
    """A target without times follows its job's; one with a time has both, which fit together."""
    assert not {"__scrape_interval__", "__scrape_timeout__"} & labels(service()).keys()
    timed = labels(service(annotations={"prometheus.io/timeout": "30s"}))
    assert (timed["__scrape_interval__"], timed["__scrape_timeout__"]) == ("1m", "30s")
    short = labels(service(annotations={"prometheus.io/interval": "5s"}))
    assert (short["__scrape_interval__"], short["__scrape_timeout__"]) == ("5s", "5s")
    asked = labels(service(), scrape_interval="45s", scrape_timeout="15s")
    assert (asked["__scrape_interval__"], asked["__scrape_timeout__"]) == ("45s", "15s")
    often = labels(service(), scrape_interval="5s")
    assert (often["__scrape_interval__"], often["__scrape_timeout__"]) == ("5s", "5s")
    seldom = labels(service(annotations={"prometheus.io/interval": "15s"}))
    assert (seldom["__scrape_interval__"], seldom["__scrape_timeout__"]) == ("15s", "10s")


NATIVE = Rule(
    match=Match(service="api"),
    scrape_config={"scrape_native_histograms": True, "always_scrape_classic_histograms": False},
)


@pytest.mark.parametrize("mode", Mode)
def test_histograms_go_with_the_target(mode: Mode) -> None:
    """What a rule says of one service's native histograms is a label that Prometheus 3.13 reads."""
    found = labels(service(), rules=(NATIVE,), mode=mode)
    assert found["__scrape_native_histograms__"] == "true"
    assert found["__always_scrape_classic_histograms__"] == "false"
    assert "__convert_classic_histograms_to_nhcb__" not in found
    (kept,) = decide(service(), rules=(NATIVE,), mode=mode)[0].endpoints
    assert target_labels(kept).items() <= found.items()
    assert target_labels(kept)["__scrape_native_histograms__"] == "true"


def test_a_rule_of_one_service_for_the_gateway() -> None:
    """Its job takes such a rule from 3.13 on, because the target carries what it says."""
    settings: dict[str, Any] = {"mode": Mode.GATEWAY, "rules": (NATIVE,)}
    assert "histograms" not in render([service()], prometheus_version="3.13", **settings)
    with pytest.raises(ConfigError, match="belongs in a rule without match"):
        render([service()], prometheus_version="3.12", **settings)
    more = dataclasses.replace(NATIVE, scrape_config={**NATIVE.scrape_config, "sample_limit": 1})
    with pytest.raises(ConfigError, match="belongs in a rule without match"):
        render([service()], prometheus_version="3.13", **{**settings, "rules": (more,)})


def test_a_public_service_has_no_audience() -> None:
    """An empty label is one that is not there, so relabelling can tell public services apart."""
    found = labels(service(invoker_iam_disabled=True))
    assert "__meta_cloudrun_audience" not in found
    assert found["__meta_cloudrun_invoker_iam_disabled"] == "true"


def test_keys_that_look_alike_as_labels_are_settled_the_same_way_each_time() -> None:
    """Of keys that sanitise to one name, the one that needed no change wins, else the first."""
    for keys in (("a-b", "a.b", "a_b"), ("a_b", "a.b", "a-b")):
        found = labels(service(annotations={key: f"value of {key}" for key in keys}))
        assert found["__meta_cloudrun_annotation_a_b"] == "value of a_b"
    found = labels(service(annotations={"a.b": "dot", "a-b": "dash", "ä": "other"}))
    assert found["__meta_cloudrun_annotation_a_b"] == "dash"
    assert found["__meta_cloudrun_annotation__"] == "other"


def test_each_endpoint_is_a_group() -> None:
    """Several paths are several targets, each with its own job name for relabelling."""
    rule = Rule(endpoints=(EndpointRule(path="/a"), EndpointRule(path="/b", labels={"x": "1"})))
    first, second = (group["labels"] for group in groups(service(), rules=(rule,)))
    assert (first["__metrics_path__"], second["__metrics_path__"]) == ("/a", "/b")
    assert first["__meta_cloudrun_job"] == "cloudrun/demo/us-central1/api"
    assert second["__meta_cloudrun_job"] == "cloudrun/demo/us-central1/api/b"
    assert (first.get("x"), second["x"]) == (None, "1")


@pytest.mark.parametrize("params", [{"match[]": ("up",)}, {"x": ("1", "2")}, {"": ("1",)}])
def test_a_parameter_that_no_label_can_carry_is_refused(params: dict[str, Any]) -> None:
    """A label has one value and a plain name: better no file than the wrong scrape."""
    with pytest.raises(ConfigError, match="carries a parameter as the label __param_NAME"):
        targets([service()], rules=(Rule(params=params),))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (None, "api-x7k2mq4wza-uc.a.run.app:80"),
        ("api.example.com:8443", "api.example.com:8443"),
        ("[2001:db8::1]", "[2001:db8::1]:80"),
    ],
)
def test_through_the_gateway_443_is_written_as_80(target: str | None, expected: str) -> None:
    """Prometheus then sends the proxy a plain absolute-form request; other ports are kept."""
    (group,) = groups(service(), mode=Mode.GATEWAY, rules=(Rule(target=target),))
    assert group["targets"] == [expected]
    assert group["labels"]["__scheme__"] == "http"
    assert group["labels"]["instance"] == expected.removesuffix(":80")


def scraped(config: Path, job: str) -> dict[str, str]:
    """The labels of the one target of *job*, as Prometheus' own discovery finds them."""
    command = ["promtool", "check", "service-discovery", "--timeout=1s", str(config), job]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    (target,) = json.loads(run.stdout)
    found: dict[str, str] = target["labels"]
    return found


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool not installed")
def test_gateway_targets_are_named_as_in_the_other_mode(tmp_path: Path) -> None:
    """Prometheus makes of job and file together the labels that a job per service has."""
    alone, groups = tmp_path / "oauth2.yml", tmp_path / "oauth2.json"
    (job,) = read_jobs(render([FULL], format=Format.SCRAPE_CONFIGS)).values()
    # From a file, too: with targets in the job itself promtool spins until its time is over.
    groups.write_text(json.dumps(job.pop("static_configs")))
    job["file_sd_configs"] = [{"files": [str(groups)]}]
    alone.write_text(json.dumps({"scrape_configs": [job]}))
    asked = [(alone, "cloudrun/demo/us-central1/api")]
    for name in ("targets.json", "targets.yml"):
        path = tmp_path / name
        path.write_text(targets([FULL], as_yaml=path.suffix == ".yml", mode=Mode.GATEWAY))
        gateway = tmp_path / f"gateway-{name}.yml"
        gateway.write_text(render([FULL], mode=Mode.GATEWAY, targets_file=str(path)))
        asked.append((gateway, "cloudrun"))
    with ThreadPoolExecutor() as pool:  # promtool takes its whole second each time
        direct, *through = pool.map(lambda each: scraped(*each), asked)
    assert direct["job"] == "cloudrun/demo/us-central1/api"
    for found in through:
        assert found["__address__"] == "api-x7k2mq4wza-uc.a.run.app:80"
        differing = {"__address__": direct["__address__"], "__scheme__": "https"}
        assert found | differing == direct


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool not installed")
def test_targets_of_any_mode_and_time_are_scraped(tmp_path: Path) -> None:
    """Prometheus drops none for its times, and the gateway takes those of the other mode, too.

    Of targets that say https, the scheme has to be http there; the gateway takes port 443 for what
    it is.
    """
    written: dict[str, dict[str, Any]] = {
        "other mode": {},
        "interval": {"scrape_interval": "5s", "mode": Mode.GATEWAY},
        "timeout": {"scrape_timeout": "40s", "mode": Mode.GATEWAY},
    }
    plain = service(annotations={"prometheus.io/interval": "15s"})
    asked = []
    for name, settings in written.items():
        path = tmp_path / f"{name}.json"
        path.write_text(targets([plain], **settings))
        config = tmp_path / f"{name}.yml"
        text = render([plain], mode=Mode.GATEWAY, targets_file=str(path))
        config.write_text("global: {scrape_interval: 1m, scrape_timeout: 30s}\n" + text)
        asked.append((config, "cloudrun"))
    with ThreadPoolExecutor() as pool:  # promtool takes its whole second each time
        other, *timed = pool.map(lambda each: scraped(*each), asked)
    assert (other["__scheme__"], other["__address__"][-4:]) == ("http", ":443")
    times = [(each["__scrape_interval__"], each["__scrape_timeout__"]) for each in [other, *timed]]
    assert times == [("15s", "10s"), ("15s", "10s"), ("15s", "15s")]
