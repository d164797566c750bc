"""The jobs as data and as text, and the check between the two."""

from __future__ import annotations

from typing import Any

import pytest

from runscrape_generator.config.settings import Format, Match, Mode, Rule, Settings, TargetsFrom
from runscrape_generator.errors import ConfigError, ValidationError
from runscrape_generator.render import formats, templates
from runscrape_generator.render.yaml import from_yaml, reads_as, to_yaml
from tests.kit import fast_yaml as yaml

from .services import assemble, read_jobs, render, service, targets

API = "cloudrun/demo/us-central1/api"
BARE = (Format.SCRAPE_CONFIGS, Format.VMAGENT)


def job(**settings: Any) -> dict[str, Any]:
    found: dict[str, Any] = read_jobs(render([service()], **settings))[API]
    return found


def test_the_client_secret_is_a_file_or_a_word() -> None:
    """Prometheus before 2.51 refuses an empty secret, and the generator never reads the file."""
    assert job()["oauth2"]["client_secret"] == "unused"
    oauth2 = job(client_id="me", client_secret_file="/etc/prometheus/secret")["oauth2"]
    assert oauth2["client_secret_file"] == "/etc/prometheus/secret"
    assert oauth2["client_id"] == "me"
    assert "client_secret" not in oauth2


def test_a_public_service_sends_no_token() -> None:
    """No oauth2 block, not even half of one that a rule for all services brings along."""
    rule = Rule(scrape_config={"oauth2": {"proxy_url": "http://127.0.0.1:1"}, "sample_limit": 7})
    services = [service(), service("open", invoker_iam_disabled=True)]
    found = read_jobs(render(services, rules=(rule,)))
    assert "oauth2" not in found["cloudrun/demo/us-central1/open"]
    assert found["cloudrun/demo/us-central1/open"]["sample_limit"] == 7
    assert found[API]["oauth2"]["proxy_url"] == "http://127.0.0.1:1"
    assert found[API]["oauth2"]["endpoint_params"]["audience"].startswith("https://api-")


def test_default_times_are_global_where_there_is_a_global_block() -> None:
    """prometheus.yml says them once; a file of jobs alone says them in each job."""
    text = render([service()], scrape_interval="30s", scrape_timeout="15s")
    assert yaml.safe_load(text)["global"] == {"scrape_interval": "30s", "scrape_timeout": "15s"}
    assert "scrape_interval" not in read_jobs(text)[API]
    assert "global" not in yaml.safe_load(render([service()]))
    for each in BARE:
        found = job(format=each, scrape_interval="30s", scrape_timeout="15s")
        assert (found["scrape_interval"], found["scrape_timeout"]) == ("30s", "15s")


def test_a_timeout_brings_its_interval_along() -> None:
    """In a file whose global block we do not know, a timeout alone could exceed the interval."""
    assert job(format=Format.SCRAPE_CONFIGS, scrape_timeout="30s")["scrape_interval"] == "1m"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.42", None),
        ("2.55.1", None),
        ("3.0", "PrometheusText0.0.4"),
        ("3", "PrometheusText0.0.4"),
    ],
)
def test_prometheus_3_is_told_what_to_take_a_target_for(version: str, expected: str | None) -> None:
    """Before 3.0 the field is unknown and the file refused; vmagent never knows it."""
    assert job(prometheus_version=version).get("fallback_scrape_protocol") == expected
    found = job(prometheus_version=version, format=Format.VMAGENT)
    assert "fallback_scrape_protocol" not in found


def test_prometheus_scrapes_itself_and_the_proxy() -> None:
    """The whole file has both jobs of its own; the proxy is at the token URL's host."""
    found = read_jobs(render([]))
    assert list(found) == ["prometheus", "runscrape-proxy"]
    assert found["prometheus"]["static_configs"] == [{"targets": ["localhost:9090"]}]
    assert found["runscrape-proxy"]["static_configs"] == [{"targets": ["127.0.0.1:7777"]}]


@pytest.mark.parametrize(
    ("url", "scheme", "target"),
    [
        ("https://proxy.example.com/token", "https", "proxy.example.com:443"),
        ("http://proxy/token", "http", "proxy:80"),
        ("http://[::1]:7777/token", "http", "[::1]:7777"),
    ],
)
def test_the_proxys_target_follows_the_token_url(url: str, scheme: str, target: str) -> None:
    """Scheme, host and port are those of --token-url, the port always written."""
    found = read_jobs(render([], token_url=url))["runscrape-proxy"]
    assert (found["scheme"], found["static_configs"]) == (scheme, [{"targets": [target]}])


def test_a_job_name_of_our_own_is_taken() -> None:
    """A service's job may not be called as the job that scrapes Prometheus or the proxy."""
    with pytest.raises(ConfigError, match="'prometheus' is that of a job"):
        render([service()], job_name="prometheus")
    assert "prometheus" in read_jobs(
        render([service()], job_name="prometheus", format=Format.SCRAPE_CONFIGS)
    )


@pytest.mark.parametrize("each", [Format.SCRAPE_CONFIGS, Format.VMAGENT])
def test_no_jobs_is_an_empty_list(each: Format) -> None:
    """With nothing to scrape the file is still one that its reader takes."""
    assert read_jobs(render([], format=each)) == {}


def test_scrape_config_is_merged_in_last() -> None:
    """A rule's scrape_config adds fields, and goes into mappings that are there already."""
    extra = {
        "sample_limit": 5000,
        "honor_labels": True,
        "proxy_url": "http://127.0.0.1:3128",
        "tls_config": {"ca_file": "/ca.pem", "insecure_skip_verify": False},
        "metric_relabel_configs": [
            {"source_labels": ["__name__"], "regex": "go_.*|$1", "action": "drop"},
        ],
        "oauth2": {"tls_config": {"ca_file": "/proxy-ca.pem"}},
    }
    found = job(rules=(Rule(scrape_config=extra),))
    oauth2 = extra.pop("oauth2")
    assert {name: found[name] for name in extra} == extra
    assert found["oauth2"]["tls_config"] == oauth2["tls_config"]  # type: ignore[index]
    assert found["oauth2"]["client_id"] == "prometheus"


class TestGateway:
    """One job, whose targets come from a file."""

    @pytest.mark.parametrize("each", [Format.PROMETHEUS, *BARE])
    def test_the_job(self, each: Format) -> None:
        """Absolute-form requests to the proxy, as the client, with job taken from the target."""
        settings: dict[str, Any] = {"format": each, "mode": Mode.GATEWAY}
        often = {} if each is Format.VMAGENT else {"refresh_interval": "30s"}
        found = read_jobs(render([service("a"), service("b")], **settings))
        assert found["cloudrun"] == {
            "job_name": "cloudrun",
            "scheme": "http",
            "follow_redirects": False,
            "proxy_url": "http://127.0.0.1:7777",
            "basic_auth": {"username": "prometheus", "password": "unused"},
            "file_sd_configs": [{"files": ["targets.json"]} | often],
            "relabel_configs": [
                {"target_label": "__scheme__", "replacement": "http"},
                {"source_labels": ["__meta_cloudrun_job"], "target_label": "job"},
            ],
        }
        assert set(found) - {"cloudrun"} <= {"prometheus", "runscrape-proxy"}

    def test_settings(self) -> None:
        """Gateway, file, client and secret are those of the settings."""
        found = read_jobs(
            render(
                [],
                mode=Mode.GATEWAY,
                gateway_url="https://proxy:8443",
                targets_file="/etc/prometheus/targets/cloudrun.json",
                client_id="me",
                client_secret_file="/secret",
                job_name="run-{service}",
            )
        )["run"]
        assert found["proxy_url"] == "https://proxy:8443"
        assert found["basic_auth"] == {"username": "me", "password_file": "/secret"}
        assert found["file_sd_configs"] == [
            {"files": ["/etc/prometheus/targets/cloudrun.json"], "refresh_interval": "30s"}
        ]

    @pytest.mark.parametrize(
        ("times", "interval", "timeout"),
        [
            ({"scrape_interval": "5s"}, "5s", "5s"),
            ({"scrape_interval": "30s"}, "30s", "10s"),
            ({"scrape_timeout": "20s"}, "1m", "20s"),
            ({"scrape_interval": "15s", "scrape_timeout": "15s"}, "15s", "15s"),
        ],
    )
    @pytest.mark.parametrize("each", [Format.PROMETHEUS, *BARE])
    def test_both_times_or_none(
        self, each: Format, times: dict[str, str], interval: str, timeout: str
    ) -> None:
        """An interval never goes without a timeout that fits under it."""
        found = read_jobs(render([], mode=Mode.GATEWAY, format=each, **times))["cloudrun"]
        assert (found["scrape_interval"], found["scrape_timeout"]) == (interval, timeout)

    @pytest.mark.parametrize("secret", [None, "/secret"])
    @pytest.mark.parametrize("each", [Format.PROMETHEUS, *BARE])
    def test_targets_over_http(self, each: Format, secret: str | None) -> None:
        """With --targets-from http the proxy is asked for the targets, with the client's secret."""
        found = read_jobs(
            render(
                [],
                mode=Mode.GATEWAY,
                format=each,
                targets_from=TargetsFrom.HTTP,
                client_secret_file=secret,
            )
        )["cloudrun"]
        often = {} if each is Format.VMAGENT else {"refresh_interval": "30s"}
        login = (
            {"basic_auth": {"username": "prometheus", "password_file": secret}} if secret else {}
        )
        assert found["http_sd_configs"] == [
            {"url": "http://127.0.0.1:7777/targets"} | often | login
        ]
        assert "file_sd_configs" not in found

    def test_the_output_does_not_depend_on_the_services(self) -> None:
        """No service that comes or goes makes Prometheus reload."""
        assert render([], mode=Mode.GATEWAY) == render([service()], mode=Mode.GATEWAY)

    def test_a_rule_for_all_services_shapes_the_job(self) -> None:
        """Limits and relabelling apply to the one job; its own relabelling stays first."""
        extra = {"sample_limit": 9, "relabel_configs": [{"regex": "x", "action": "labeldrop"}]}
        rules = (Rule(scrape_config=extra),)
        found = read_jobs(render([], mode=Mode.GATEWAY, rules=rules))["cloudrun"]
        assert found["sample_limit"] == 9
        labels = [each.get("target_label") for each in found["relabel_configs"]]
        assert labels == ["__scheme__", "job", None]
        assert len(extra["relabel_configs"]) == 1  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("rule", "message"),
        [
            (
                Rule(match=Match(service="a"), scrape_config={"sample_limit": 1}),
                "scrape_config: belongs in a rule without match",
            ),
            (
                Rule(scrape_config={"proxy_url": "http://x"}),
                r"scrape_config\.proxy_url: is not for",
            ),
            (Rule(scrape_config={"oauth2": {}, "x": 1}), r"scrape_config\.oauth2: is not for"),
        ],
    )
    def test_what_one_job_cannot_do_is_refused(self, rule: Rule, message: str) -> None:
        """A rule that would be lost, or would take the scrape past the gateway, is a mistake."""
        with pytest.raises(ConfigError, match=message):
            render([], mode=Mode.GATEWAY, rules=(rule,))


class TestCheck:
    """The check reads back what was written and compares it with what was meant."""

    @pytest.mark.parametrize(
        "broken",
        [
            lambda data: to_yaml(data).replace('"', ""),
            lambda data: to_yaml(data).upper(),
            lambda data: to_yaml(data).replace("443", "80"),
            lambda _data: '"x"',
        ],
    )
    @pytest.mark.parametrize("each", Format)
    def test_a_value_written_wrong_is_found(
        self, each: Format, broken: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With the filter broken the text is refused, whether it still is YAML or not."""
        jobs = assemble([service("api: x")], format=each)
        monkeypatch.setitem(templates.packaged().filters, "to_yaml", broken)
        with pytest.raises(ValidationError):
            formats.render(jobs, Settings(format=each))

    def test_targets_written_wrong_are_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Targets are read back too, as JSON and as YAML."""
        monkeypatch.setattr(formats, "to_json", lambda _: "[]")
        monkeypatch.setitem(templates.packaged().filters, "to_yaml", lambda _: "[]")
        for as_yaml in (False, True):
            with pytest.raises(ValidationError, match="does not read back"):
                targets([service()], as_yaml=as_yaml)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a: [", "is not YAML"),
            ("a: b: c", "is not YAML: mapping values are not allowed"),
            ("- a: 1\n  a: 2\n", "line 2 holds the key 'a' a second time"),
            ("- a: *b\n", "is not YAML: found undefined alias"),
            ("- ? [a]\n  : b\n", "line 1 holds a key that is itself a list"),
        ],
    )
    def test_what_no_reader_would_take_is_told_with_its_place(
        self, text: str, message: str
    ) -> None:
        """Malformed YAML and duplicate keys are refused, as Prometheus does and PyYAML does not."""
        with pytest.raises(ValidationError, match=message):
            from_yaml(text)


def test_output_is_a_pure_function_of_its_input() -> None:
    """The same services in another order, with labels in another order, are the same bytes."""
    one = service(labels={"a": "1", "b": "2"}, annotations={"c": "3", "d": "4"})
    two = service(labels={"b": "2", "a": "1"}, annotations={"d": "4", "c": "3"})
    other = service("zoo")
    for each in Format:
        assert render([one, other], format=each) == render([other, two], format=each)


@pytest.mark.parametrize(
    ("text", "documents", "same"),
    [
        ('a: "1"\nb: [true, null, 2, 1.5]\n', [{"a": "1", "b": [True, None, 2, 1.5]}], True),
        ("- {}\n- []\n---\n{}\n", [[{}, []], {}], True),
        ('a: "1"\n', [{"a": 1}], False),
        ("a: 1\n", [{"a": "1"}], False),
        ('b: "2"\na: "1"\n', [{"a": "1", "b": "2"}], False),
        ('a: "1"\na: "1"\n', [{"a": "1"}], False),
        ("a: [1, 2]\n", [{"a": [1]}], False),
        ("a: [1]\n", [{"a": [1, 2]}], False),
        ("a: {b: 1}\n", [{"a": {}}], False),
        ('a: "x"\n---\na: "x"\n', [{"a": "x"}], False),
        ('a: "x"\n', [{"a": "x"}, {"a": "x"}], False),
        ('a: &x "1"\nb: *x\n', [{"a": "1", "b": "1"}], False),
        ('a: !!str "1"\n', [{"a": "1"}], False),
        ("", [], True),
    ],
)
def test_only_the_same_data_reads_back(text: str, documents: list[Any], same: bool) -> None:  # noqa: FBT001
    """Another value, type, order or document, one more or less, an alias or a tag is not it."""
    assert reads_as(text, documents) is same


def test_a_long_key_is_still_a_key() -> None:
    """YAML takes a key of more than 1,024 bytes only where a question mark says that it is one."""
    data = {"outer": [{"k" * 2000: "v", "next": 1}]}
    assert yaml.safe_load(to_yaml(data)) == data
    assert reads_as(to_yaml(data), [data])
