"""Each format as a file to read, and as its reader takes it.

The golden files show what users get; a change of them is a change of the product. What did not
come from us says whether they are right: promtool, vmagent and the Kubernetes schemas.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest

from runscrape_generator.config.settings import (
    EndpointRule,
    Format,
    Match,
    Mode,
    Rule,
    TargetsFrom,
)
from runscrape_generator.errors import ConfigError
from runscrape_generator.selection import naming
from tests.kit import fast_yaml as yaml

from .services import promtool, read_jobs, render, service, targets, vmagent

GOLDEN = Path(__file__).parent / "golden"

WORLD = (
    service("api"),
    service("hello", region="europe-west1", invoker_iam_disabled=True),
    service(
        "shop",
        annotations={"prometheus.io/path": "/stats", "prometheus.io/interval": "15s"},
        labels={"prometheus-param-format": "text"},
    ),
)
SETTINGS: dict[str, Any] = {
    "client_secret_file": "/etc/prometheus/runscrape.secret",
    "scrape_interval": "30s",
    "rules": (
        Rule(
            match=Match(service="shop"),
            labels={"team": "sales"},
            endpoints=(EndpointRule(path="/stats"), EndpointRule(path="/slow")),
        ),
        Rule(
            scrape_config={
                "sample_limit": 5000,
                "metric_relabel_configs": [
                    {"source_labels": ["__name__"], "regex": "go_.*", "action": "drop"}
                ],
            }
        ),
    ),
}

FILES: dict[str, dict[str, Any]] = {
    "prometheus.yml": {"format": Format.PROMETHEUS},
    "prometheus-gateway.yml": {"format": Format.PROMETHEUS, "mode": Mode.GATEWAY},
    "scrape-configs.yml": {"format": Format.SCRAPE_CONFIGS, "prometheus_version": "3.5"},
    "vmagent.yml": {"format": Format.VMAGENT, "client_secret_file": None},
    "operator.yml": {"format": Format.OPERATOR},
    "operator-gateway.yml": {"format": Format.OPERATOR, "mode": Mode.GATEWAY},
}

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool not installed"
)
needs_vmagent = pytest.mark.skipif(shutil.which("vmagent") is None, reason="vmagent not installed")


def rendered(name: str, **settings: Any) -> str:
    if name.startswith("targets"):
        return targets(WORLD, as_yaml=name.endswith(".yml"), **{**SETTINGS, **settings})
    return render(WORLD, **{**SETTINGS, **FILES[name], **settings})


@pytest.mark.parametrize("name", [*FILES, "targets.json", "targets.yml"])
def test_output_is_as_it_is_shown(name: str) -> None:
    """The golden file holds, byte for byte, what is rendered for its settings."""
    assert rendered(name) == (GOLDEN / name).read_text()


@needs_promtool
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("prometheus.yml", {}),
        ("prometheus.yml", {"client_secret_file": None}),
        ("prometheus-gateway.yml", {}),
        ("prometheus-gateway.yml", {"targets_from": TargetsFrom.HTTP}),
        # 3.5 has a field that the promtool of 2.42 does not know.
        ("scrape-configs.yml", {"prometheus_version": "2.43"}),
        ("scrape-configs.yml", {"prometheus_version": "2.43", "mode": Mode.GATEWAY}),
    ],
)
def test_promtool_takes_it(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    """Prometheus' own checker finds nothing wrong; a jobs file alone is a configuration too."""
    result = promtool(rendered(name, **settings), tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@needs_promtool
def test_promtool_would_notice(tmp_path: Path) -> None:
    """The check above can fail: a field that Prometheus does not know is refused."""
    text = rendered("prometheus.yml").replace("sample_limit", "sample_limits")
    assert promtool(text, tmp_path).returncode == 1


@needs_vmagent
@pytest.mark.parametrize(
    "settings",
    [{}, {"mode": Mode.GATEWAY}, {"mode": Mode.GATEWAY, "targets_from": TargetsFrom.HTTP}],
)
def test_vmagent_takes_it(settings: dict[str, Any], tmp_path: Path) -> None:
    """vmagent, strict as it is by default, reads the list as one of its scrape_config_files."""
    result = vmagent(rendered("vmagent.yml", prometheus_version="3.5", **settings), tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


class TestOperator:
    """ScrapeConfig resources, which name Secrets where Prometheus names files."""

    @pytest.mark.parametrize("settings", [{}, {"client_secret_file": None}])
    def test_the_secret_is_one(self, settings: dict[str, Any]) -> None:
        """Kubernetes' own schema takes the Secret, and finds in it what the jobs refer to."""
        secret, *configs = yaml.safe_load_all(rendered("operator.yml", **settings))
        assert kubernetes_validate.validate(secret, "1.33", strict=True)
        wanted = {
            ref["key"]
            for each in configs
            for ref in references(each)
            if ref["name"] == secret["metadata"]["name"]
        }
        assert wanted == secret["stringData"].keys()

    def test_the_schema_would_notice(self) -> None:
        """The check above can fail: a key with a blank is no key of a Secret."""
        secret, *_ = yaml.safe_load_all(rendered("operator.yml"))
        secret["stringData"] = {"client_id": 5}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(secret, "1.33", strict=True)

    def test_no_secret_is_written(self) -> None:
        """With a secret file the jobs refer to a Secret that the user makes of it."""
        text = rendered("operator.yml")
        secret, *configs = yaml.safe_load_all(text)
        assert secret["stringData"] == {"client_id": "prometheus"}
        refs = [ref for each in configs for ref in references(each) if "secret" in ref["key"]]
        assert refs
        assert {ref["name"] for ref in refs} == {"runscrape-client"}
        assert "kubectl create secret generic runscrape-client" in text

    def test_targets_over_http(self) -> None:
        """The proxy is asked as the CRD has it, with references to the Secrets."""
        text = rendered("operator-gateway.yml", targets_from=TargetsFrom.HTTP)
        _, config = yaml.safe_load_all(text)
        (discovery,) = config["spec"]["httpSDConfigs"]
        assert discovery == {
            "url": "http://127.0.0.1:7777/targets",
            "refreshInterval": "30s",
            "basicAuth": config["spec"]["basicAuth"],
        }

    def test_names_are_kubernetes_names(self) -> None:
        """Names hold to RFC 1123, and two jobs never share one."""
        jobs = ["A/b", "a/b", "a-b", "a.b", "-", "", "ünï/cödé", "x" * 300, "x" * 301]
        assert naming.kubernetes("Cloudrun/API").startswith("cloudrun-api-")
        names = [naming.kubernetes(job) for job in jobs]
        assert len(set(names)) == len(jobs)
        for name in names:
            assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
            assert len(name) <= 253

    def test_rules_are_translated(self) -> None:
        """Fields of a scrape_config get the names that the CRD has for them."""
        extra = {
            "honor_labels": True,
            "proxy_url": "http://127.0.0.1:3128",
            "tls_config": {"insecure_skip_verify": True, "server_name": "a"},
            "relabel_configs": [{"source_labels": ["a"], "target_label": "b", "regex": "(.*)"}],
            "oauth2": {"tls_config": {"server_name": "b"}, "no_proxy": "c"},
        }
        text = render([service()], format=Format.OPERATOR, rules=(Rule(scrape_config=extra),))
        _, config = yaml.safe_load_all(text)
        spec = config["spec"]
        assert spec["honorLabels"] is True
        assert spec["proxyUrl"] == "http://127.0.0.1:3128"
        assert spec["tlsConfig"] == {"insecureSkipVerify": True, "serverName": "a"}
        assert spec["relabelings"] == [{"sourceLabels": ["a"], "targetLabel": "b", "regex": "(.*)"}]
        assert spec["oauth2"]["tlsConfig"] == {"serverName": "b"}
        assert spec["oauth2"]["noProxy"] == "c"

    @pytest.mark.parametrize(
        "extra",
        [
            {"body_size_limit": "1MB"},
            {"tls_config": {"ca_file": "/ca.pem"}},
            {"oauth2": {"tls_config": {"ca_file": "/ca.pem"}}},
            {"metric_relabel_configs": [{"sourceLabels": ["a"]}]},
        ],
    )
    def test_what_the_crd_lacks_is_refused(self, extra: dict[str, Any]) -> None:
        """A field with no counterpart is a mistake with its name, and never left out silently."""
        with pytest.raises(ConfigError, match="--format operator cannot write"):
            render([service()], format=Format.OPERATOR, rules=(Rule(scrape_config=extra),))


def references(config: dict[str, Any]) -> list[dict[str, str]]:
    """Every reference to a Secret in a ScrapeConfig."""
    spec = config["spec"]
    oauth2, basic = spec.get("oauth2"), spec.get("basicAuth")
    found = [oauth2["clientId"]["secret"], oauth2["clientSecret"]] if oauth2 else []
    return found + ([basic["username"], basic["password"]] if basic else [])


def test_every_format_has_the_same_jobs() -> None:
    """The formats differ in their wrapping only: job names and targets are those of each other."""
    expected = set(read_jobs(rendered("prometheus.yml"))) - {"prometheus", "runscrape-proxy"}
    assert set(read_jobs(rendered("scrape-configs.yml"))) == expected
    assert set(read_jobs(rendered("vmagent.yml"))) == expected
    _, *configs = yaml.safe_load_all(rendered("operator.yml"))
    assert {each["spec"]["jobName"] for each in configs} == expected
