"""Which releases know a field of a rule's scrape_config: as promtool and vmagent themselves say."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from runscrape_generator.config import load as configuration
from runscrape_generator.config import releases
from runscrape_generator.config.option import fields
from runscrape_generator.config.releases import Reader, release
from runscrape_generator.config.scrape_config import (
    Header,
    JobFields,
    OAuth2,
    Relabeling,
    TlsConfig,
)
from runscrape_generator.config.settings import Format, Rule, Settings
from runscrape_generator.errors import ConfigError
from tests.generator.services import read_jobs, render, service
from tests.kit import consumers

TLS: dict[str, Any] = {
    "ca": "a",
    "ca_file": "a",
    "cert": "a",
    "cert_file": "a",
    "key_file": "a",
    "server_name": "a",
    "insecure_skip_verify": True,
    "min_version": "TLS12",
    "max_version": "TLS13",
}
STEP: dict[str, Any] = {
    "action": "replace",
    "source_labels": ["a"],
    "separator": ",",
    "regex": "(.*)",
    "modulus": 2,
    "target_label": "b",
    "replacement": "$1",
    "if": "{a='b'}",
    "match": "a",
    "labels": {"a": "b"},
}
EVERYTHING: dict[str, Any] = {
    "honor_labels": True,
    "honor_timestamps": True,
    "track_timestamps_staleness": True,
    "enable_compression": True,
    "enable_http2": True,
    "scrape_protocols": ["PrometheusText0.0.4"],
    "fallback_scrape_protocol": "PrometheusText0.0.4",
    "scrape_native_histograms": True,
    "scrape_classic_histograms": True,
    "always_scrape_classic_histograms": True,
    "convert_classic_histograms_to_nhcb": True,
    "native_histogram_bucket_limit": 5,
    "native_histogram_min_bucket_factor": 1.1,
    "metric_name_validation_scheme": "legacy",
    "metric_name_escaping_scheme": "underscores",
    "extra_scrape_metrics": True,
    "scrape_failure_log_file": "a",
    "body_size_limit": "10MB",
    "sample_limit": 5,
    "target_limit": 5,
    "label_limit": 5,
    "label_name_length_limit": 5,
    "label_value_length_limit": 5,
    "keep_dropped_targets": 5,
    "tls_config": TLS,
    "oauth2": {"tls_config": TLS, "proxy_url": "http://a", "no_proxy": "a"}
    | {"proxy_from_environment": True},
    "proxy_url": "http://a",
    "no_proxy": "a",
    "proxy_from_environment": True,
    "http_headers": {"X-A": {"values": ["a"], "files": ["a"]}},
    "relabel_configs": [STEP],
    "metric_relabel_configs": [STEP],
    "headers": ["A: b"],
    "disable_compression": True,
    "disable_keepalive": True,
    "stream_parse": True,
    "no_stale_markers": True,
    "scrape_align_interval": "1m",
    "scrape_offset": "1s",
    "series_limit": 5,
    "max_scrape_size": "10MiB",
    "proxy_tls_config": TLS,
}
"""Every field that a rule may set, each with a value that is right in itself."""


def settable(block: Any) -> set[str]:
    """The fields of a block that have a release."""
    found = fields(block).items()
    return {info.alias or name for name, info in found if info.json_schema_extra is not None}


def unknown(name: str, version: str) -> set[str]:
    """The fields of EVERYTHING that we say this release does not know."""
    reader = Reader("vmagent" if name == "vmagent" else "Prometheus", "", version)
    return {str(place[-1]) for place, _ in reader.refused(EVERYTHING)}


def said_unknown(command: list[str], folder: Path, *given: dict[str, Any]) -> set[str]:
    """What the program complains of, given a file with a job for each of ``given``."""
    names = [f"{number}.yml" for number in range(len(given))]
    for name, more in zip(names, given, strict=True):
        job = {"job_name": "a", "static_configs": [{"targets": ["a:80"]}], **more}
        (folder / name).write_text(yaml.safe_dump({"scrape_configs": [job]}))
    command = [*command[:-1], *(command[-1] + name for name in names)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return set(re.findall(r"field (\w+) not found", done.stdout + done.stderr))


def one_by_one(given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each field by itself, and so in the blocks inside.

    Some exclude each other, as ca and ca_file: Prometheus 2.53 says that and nothing else.
    """
    for name, value in given.items():
        block = value[0] if isinstance(value, list) else value
        if not isinstance(block, dict):
            yield {name: value}
            continue
        for each in one_by_one(block):
            yield {name: [each] if isinstance(value, list) else each}


def test_the_samples_are_complete() -> None:
    """Every field that a rule may set is in the samples, and nothing else."""
    assert settable(JobFields) == EVERYTHING.keys()
    assert settable(TlsConfig) == TLS.keys()
    assert settable(Relabeling) == STEP.keys()
    assert settable(OAuth2) == EVERYTHING["oauth2"].keys()
    assert settable(Header) == EVERYTHING["http_headers"]["X-A"].keys()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_knows_what_we_say_it_knows(tmp_path: Path) -> None:
    """Of all fields, the installed promtool refuses those that came after its release."""
    version = consumers.installed("promtool").version
    found = said_unknown(["promtool", "check", "config", ""], tmp_path, *one_by_one(EVERYTHING))
    newer = {"http_headers"} if version == "2.53" else set()  # Debian's has a newer library in it
    assert found == unknown("promtool", version) - newer


@pytest.mark.skipif(shutil.which("vmagent") is None, reason="vmagent is not installed")
def test_vmagent_knows_what_we_say_it_knows(tmp_path: Path) -> None:
    """Of all fields, the installed vmagent refuses those that are not its own or came later."""
    version = consumers.installed("vmagent").version
    if not version:
        pytest.skip("the version of the installed vmagent is not known")
    found = said_unknown(["vmagent", "-dryRun", "-promscrape.config="], tmp_path, EVERYTHING)
    text_elsewhere = {"ca", "cert"}  # 1.79 knows them, as something else than text
    assert found == unknown("vmagent", version) - text_elsewhere


def late(place: str, name: str, reader: str, since: str, version: str) -> str:
    """What is said of a field or value that came after the version that was given."""
    own = f"--{reader.lower()}-version is {version}"
    return f"{place}: {reader} knows {name} from {since} on, and {own}"


RULE = "rules:\n  - scrape_config:\n      {}\n"


@pytest.mark.parametrize(
    ("flags", "field", "message"),
    [
        (
            {"prometheus_version": "2.42"},
            "scrape_protocols: [PrometheusText0.0.4]",
            late("scrape_protocols", "scrape_protocols", "Prometheus", "2.49", "2.42"),
        ),
        (
            {"prometheus_version": "2.53", "format": "scrape-configs"},
            "scrape_protocols: [PrometheusText1.0.0]",
            late("scrape_protocols[0]", "PrometheusText1.0.0", "Prometheus", "3.0", "2.53"),
        ),
        (
            {"prometheus_version": "2.40.7"},
            "relabel_configs: [{action: KeepEqual, source_labels: [a], target_label: b}]",
            late("relabel_configs[0].action", "KeepEqual", "Prometheus", "2.41", "2.40.7"),
        ),
        (
            {"prometheus_version": "3.5"},
            "scrape_classic_histograms: true",
            "scrape_classic_histograms: Prometheus 3.0 has renamed it: use always_scrape_class",
        ),
        (
            {},
            "series_limit: 5",
            "series_limit: Prometheus knows no series_limit, and would refuse the whole file",
        ),
        (
            {},
            "metric_relabel_configs: [{target_label: a, regex: [b, c]}]",
            "metric_relabel_configs[0].regex: Prometheus takes one regex: join them with |",
        ),
        (
            {},
            "relabel_configs: [{target_label: a, regex: '(?!b).*'}]",
            "relabel_configs[0].regex: Prometheus would refuse it: it looks ahead or behind, which",
        ),
        (
            {"format": "vmagent"},
            "metric_relabel_configs: [{target_label: a, regex: (b}]",
            "metric_relabel_configs[0].regex: vmagent would refuse it: a ( has no )",
        ),
        (
            {"prometheus_version": "2.42"},
            "relabel_configs: [{target_label: a, source_labels: [b.c]}]",
            'relabel_configs[0].source_labels: "b.c" is no name of a label: letters, digits and _',
        ),
        (
            {},
            "relabel_configs: [{action: labeldrop, source_labels: [a]}]",
            "relabel_configs[0].source_labels: action labeldrop takes none",
        ),
        (
            {"format": "vmagent"},
            "http_headers: {X-A: {values: [b]}}",
            "http_headers: vmagent knows no http_headers, and would refuse the whole file",
        ),
        (
            {"format": "vmagent"},
            "oauth2: {tls_config: {max_version: TLS13}}",
            "oauth2.tls_config.max_version: vmagent knows no max_version, and would refuse the wh",
        ),
        (
            {"format": "vmagent", "vmagent_version": "1.112"},
            "label_limit: 5",
            late("label_limit", "label_limit", "vmagent", "1.145", "1.112"),
        ),
    ],
)
def test_what_the_reader_does_not_know_is_told_at_its_line(
    flags: dict[str, str], field: str, message: str, tmp_path: Path
) -> None:
    """The line, the field, the release that brought it, and the option that names another."""
    path = tmp_path / "runscrape.yaml"
    path.write_text(RULE.format(field))
    with pytest.raises(ConfigError) as caught:
        configuration.load("generate", {"config": str(path), **flags}, {})
    assert str(caught.value).startswith(f"{path}:3: rules[0].scrape_config.{message}")
    assert "\n" not in str(caught.value)
    assert configuration.load("explain", {"config": str(path), **flags}, {}).settings.rules


@pytest.mark.parametrize(
    ("used", "version"),
    [
        ({}, "2.42"),
        ({"sample_limit": 5}, "2.42"),
        ({"http_headers": {"X": {"values": ["a"]}}}, "2.54"),
        ({"scrape_protocols": ["PrometheusText1.0.0"]}, "3.0"),
        ({"extra_scrape_metrics": True, "body_size_limit": "1MB"}, "3.10"),
    ],
)
def test_auto_is_a_release_that_knows_what_the_rules_use(
    used: dict[str, Any], version: str
) -> None:
    """Where nobody tells it, the release is 2.42, or the one that brought the newest field."""
    rules = (Rule(scrape_config=used), Rule(labels={"a": "b"}))
    assert releases.assumed(rules) == version
    text = render([service()], rules=rules)
    (job,) = (job for name, job in read_jobs(text).items() if name.startswith("cloudrun/"))
    assert ("fallback_scrape_protocol" in job) == (release(version) >= (3, 0))
    settings = Settings(rules=rules, prometheus_version="3.10", format=Format.PROMETHEUS)
    assert releases.prometheus(settings) == (3, 10)
