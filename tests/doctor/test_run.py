"""The command itself: what it looks at, its exit codes, and what it says where it cannot run."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runscrape_generator.config.settings import Settings
from runscrape_generator.doctor import protobuf
from runscrape_generator.doctor.remedies import of_setup
from runscrape_generator.doctor.targets import Target, TokenRequest
from tests.doctor.clinic import (
    IDENTITY,
    Case,
    Clinic,
    app,
    by_name,
    clinic,
    diagnosed,
    run,
    words_of,
)
from tests.kit import fast_yaml as yaml
from tests.kit.odd_server import Asked, Connection, answers
from tests.kit.waiting import QUIET

JOB = "job_name: x, oauth2: {client_id: x}, static_configs: [{targets: [a]}]"
GONE = {"back": Case("", was={"ingress": "internal"})}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    slow = Case("", app(latency=1.3))
    cases = {"api": Case(""), "shop": Case("", app(status=500)), "slow": slow, **GONE}
    with clinic(tmp_path_factory.mktemp("run"), cases) as running:
        yield running


def test_exit_codes(site: Clinic) -> None:
    """0: all well, 1: something is not, 2: it could not run."""
    assert site.run("doctor", "api")[0] == 0
    assert site.run("doctor")[0] == 1
    code, out, said = site.run("doctor", "nobody")
    assert (code, out) == (2, "")
    assert "nobody: no target is called so; runscrape explain shows all services" in said


def test_the_users_own_times(site: Clinic, tmp_path: Path) -> None:
    """A job that goes into the user's configuration has the timeout of its global block."""
    users, config = tmp_path / "prometheus.yml", tmp_path / "runscrape.yaml"
    users.write_text("global: {scrape_interval: 2s, scrape_timeout: 1s}\n")
    settings = yaml.safe_load(site.config.read_text()) | {"into": str(users)}
    del settings["output"]
    config.write_text(yaml.safe_dump(settings))
    code, out, _ = run("doctor", "slow", "--config", str(config))
    assert code == 1
    assert "the scrape timeout is 1 s" in out
    assert site.run("doctor", "slow")[0] == 0


def test_a_service_without_a_target(site: Clinic) -> None:
    """A service that runscrape skips is told with the reason, beside the others."""
    code, _, said = site.run("doctor", "back")
    assert code == 2
    assert "demo/us-central1/back has no target: ingress is internal" in said
    code, out, _ = site.run("doctor", "back", "api")
    assert code == 0
    assert "demo/us-central1/back has no target" in out
    assert "1 of 1 target is well" in out


@pytest.mark.parametrize(
    "name", ["api", "us-central1/api", "demo/us-central1/api", "a*", "cloudrun/*/api"]
)
def test_names(site: Clinic, name: str) -> None:
    """A service is named with or without its place, as a glob, or by its job."""
    assert set(by_name(diagnosed(site, name)[1])) == {"api"}


def test_without_an_inventory(site: Clinic, tmp_path: Path) -> None:
    """Before the first run the services are those that Google lists."""
    config = tmp_path / "runscrape.yaml"
    content = yaml.safe_load(site.config.read_text()) | {"output": str(tmp_path / "new.yml")}
    config.write_text(yaml.safe_dump(content))
    code, out, _ = run("doctor", "--json", "--config", str(config))
    assert code == 1
    assert set(by_name(json.loads(out))) == {"api", "shop", "slow"}


def test_a_project_that_is_not_listed(site: Clinic, tmp_path: Path) -> None:
    """Without an inventory, doctor and iam say which project they know nothing of, and why."""
    config = tmp_path / "runscrape.yaml"
    content = yaml.safe_load(site.config.read_text())
    content |= {"project": ["demo", "nowhere"], "output": str(tmp_path / "new.yml")}
    config.write_text(yaml.safe_dump(content))
    said = "nowhere could not be listed: permission denied"
    code, out, _ = run("doctor", "--json", "api", "--config", str(config))
    (note,) = json.loads(out)["notes"]
    assert code == 0
    assert note.startswith(said)
    assert note.endswith("; its services are not looked at")
    identities = ("--proxy-identity", IDENTITY, "--generator-identity", IDENTITY)
    code, out, err = run("iam", *identities, "--config", str(config))
    assert code == 0
    assert "add-iam-policy-binding api" in out
    assert said in err


def test_nothing_to_look_at(site: Clinic, tmp_path: Path, nobody: pytest.MonkeyPatch) -> None:
    """Where nothing is known and nothing can be listed, doctor cannot run."""
    assert nobody
    code, _, said = run("doctor", "--project", "nowhere", "--api-endpoint", site.google.api)
    assert code == 2
    assert "permission denied" in said
    for text in ("scrape_configs: [{job_name: node}]", ""):
        (tmp_path / "p.yml").write_text(text)
        code, out, _ = site.run("doctor", "--prometheus-config", str(tmp_path / "p.yml"))
        assert code == 1
        assert "p.yml: no job has oauth2" in " ".join(out.split())
        assert out.endswith("\nno targets: there is nothing to look at\n")
    code, out, _ = site.run("doctor", "--exclude", "*")
    assert code == 1
    assert out.startswith("no service has a job: runscrape explain shows why\n")


@pytest.mark.parametrize(
    "words",
    [
        *(("doctor", "--prometheus-config", ""), ("doctor", "--prometheus", " ")),
        *(("doctor", "--impersonate-service-account", ""), ("iam", "--proxy-identity", "")),
    ],
)
def test_an_option_without_a_value(site: Clinic, words: tuple[str, ...]) -> None:
    """An option whose value is empty, as of a variable that is not set, is no option left out."""
    code, out, said = site.run(*words)
    assert (code, out) == (2, "")
    assert f"{words[1]}: is empty: leave it out" in said


def test_without_any_credentials(tmp_path: Path, nobody: pytest.MonkeyPatch) -> None:
    """Jobs by hand are checked without credentials and inventory, with a note that says so."""
    assert nobody
    path = tmp_path / "prometheus.yml"
    audience = "https://api-123456789012.europe-west1.run.app"
    path.write_text(
        "scrape_configs: [{job_name: x, scheme: https, static_configs: [{targets: "
        "[api-123456789012.europe-west1.run.app]}], oauth2: {client_id: x, client_secret: x, "
        f"token_url: 'http://127.0.0.1:1/token', endpoint_params: {{audience: {audience}}}}}}}]"
    )
    code, out, _ = run("doctor", "--json", "--prometheus-config", str(path))
    content = json.loads(out)
    assert (code, content["causes"]) == (1, {"proxy-not-running": 1})
    assert "no access token" in content["notes"][0]


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("http://127.0.0.1:7777/token", "runscrape-proxy"),
        ("http://[::1]:7777/token", "runscrape-proxy --listen '[::1]:7777'"),
        ("http://localhost/token", "runscrape-proxy --listen localhost:80"),
        ("http://10.0.0.5:7777/token", "runscrape-proxy"),
    ],
)
def test_where_the_proxy_is_to_listen(url: str, command: str) -> None:
    """The command that starts the proxy has it listen where the jobs ask, if that is here."""
    target = Target(job="x", token=TokenRequest(url=url))
    setup = of_setup(Settings(), "", (target,), prometheus="", prometheus_config=None)
    assert shlex.join(setup["start"]) == command


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("{", "not YAML"),
        ("[]", "which is a mapping"),
        ("scrape_configs: [{job_name: \udcff}]", "is not UTF-8 text"),
        ("scrape_configs: {a: 1}", "is not a list of jobs"),
        (f"scrape_configs: [{{{JOB}, scrape_interval: 1}}]", "'1' is not a duration"),
        (f"scrape_configs: [{{{JOB}, body_size_limit: much}}]", "no size"),
        (f"scrape_configs: [{{{JOB}, sample_limit: many}}]", 'sample_limit: "many" is no whole'),
        (f"scrape_configs: [{{{JOB}, label_limit: -1}}]", 'label_limit: "-1" is no whole number'),
        (
            f"scrape_configs: [{{{JOB.replace('[a]', '[a], labels: [b]')}}}]",
            "Prometheus would not take it",
        ),
        ("global: [a]", "global is no mapping"),
        ("scrape_config_files: a.yml", "scrape_config_files no list"),
        (f"scrape_configs: [{{{JOB}, tls_config: x}}]", 'job "x": Prometheus would not take it'),
        (f"scrape_configs: [{{{JOB}, file_sd_configs: [{{files: a}}]}}]", "files is no list"),
        (f"scrape_configs: [{{{JOB}, job_name: y}}]", "the key 'job_name' a second time"),
        (
            f"scrape_configs: [{{{JOB}, relabel_configs: [{{action: explode}}]}}]",
            "no action 'explode'",
        ),
    ],
)
def test_a_bad_configuration(site: Clinic, tmp_path: Path, text: str | None, said: str) -> None:
    """A configuration that Prometheus would not take is exit 2, with its name."""
    path = tmp_path / "prometheus.yml"
    if text is not None:
        path.write_bytes(text.encode(errors="surrogateescape"))
    code, _, err = site.run("doctor", "--prometheus-config", str(path))
    assert code == 2
    assert str(path) in err
    assert said in err


def test_scrape_config_files(site: Clinic, tmp_path: Path) -> None:
    """Files that the configuration names by a glob are read, relative paths from where they are."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "secret").write_text("s3cr et+/%\n")
    made = site.job("by-file", "api-x7k2mq4wza-uc.a.run.app")
    made["oauth2"]["client_secret_file"] = "secret"
    (tmp_path / "jobs" / "a.yml").write_text(yaml.safe_dump({"scrape_configs": [made]}))
    path = tmp_path / "prometheus.yml"
    path.write_text("scrape_config_files: ['jobs/*.yml']\n")
    code, content = diagnosed(site, "--prometheus-config", str(path))
    assert (code, list(by_name(content))) == (0, ["by-file"])


def test_http_discovery(site: Clinic, tmp_path: Path) -> None:
    """Targets may come from the proxy itself, by http_sd_configs."""
    gateway = {"proxy_url": site.proxy.url, "scheme": "http"}
    basic = {"basic_auth": {"username": "prometheus", "password_file": str(site.folder / "secret")}}
    job = {
        "job_name": "cloudrun",
        **gateway,
        **basic,
        "http_sd_configs": [{"url": f"{site.proxy.url}/targets", **basic}],
        "relabel_configs": [
            {"source_labels": ["__meta_cloudrun_job"], "target_label": "job"},
            {"target_label": "__scheme__", "replacement": "http"},
        ],
    }
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump({"scrape_configs": [job]}))
    _, content = diagnosed(site, "--prometheus-config", str(path))
    assert {"api", "shop"} <= set(by_name(content))
    job["http_sd_configs"] = [{"url": f"{site.proxy.url}/nothing"}]
    path.write_text(yaml.safe_dump({"scrape_configs": [job]}))
    _, content = diagnosed(site, "--prometheus-config", str(path))
    (target,) = content["targets"]
    assert target["cause"]["name"] == "no-targets"
    assert "answers 404" in words_of(target["cause"])


def test_no_password_in_a_url(site: Clinic, tmp_path: Path) -> None:
    """The user and password of a URL are used, as Prometheus does, and shown nowhere."""
    host = "api-x7k2mq4wza-uc.a.run.app"
    with_login = site.proxy.url.replace("://", "://me:hunter2@")
    oauth2 = [
        {"token_url": f"{each}/nope"} for each in (with_login, "http://me:hunter2@127.0.0.1:1")
    ]
    jobs = [
        site.job(f"job-{number}", host, oauth2=site.oauth2(f"https://{host}", **changes))
        for number, changes in enumerate(oauth2)
    ]
    jobs.append(site.job("way", host, proxy_url="http://me:hunter2@127.0.0.1:1"))
    jobs[0] |= {"http_sd_configs": [{"url": "http://me:hunter2@127.0.0.1:1"}]}
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump({"scrape_configs": jobs}))
    for words in (("--json",), ("-vv",), ("job-0",)):
        code, out, said = site.run("doctor", "--prometheus-config", str(path), *words)
        assert code == 1
        assert "hunter2" not in out + said


def test_targets_side_by_side(site: Clinic, tmp_path: Path) -> None:
    """As many targets as --concurrency says are asked at once: none waits for another's answer."""
    number = 24
    all_asked = threading.Barrier(number)
    metrics = answers(200, b"a 1\n", Content_Type="text/plain")

    def together(client: Connection, asked: Asked) -> bool:
        all_asked.wait(QUIET)  # breaks, and so does the answer, if they come one after the other
        return metrics(client, asked)

    site.odd.scripts = {"/metrics": together}
    host = site.odd.url.removeprefix("http://")
    groups = [{"targets": [host], "labels": {"__param_n": str(n)}} for n in range(number)]
    oauth2 = site.oauth2("https://api-x7k2mq4wza-uc.a.run.app")
    job = {"job_name": "x", "oauth2": oauth2, "static_configs": groups, "scrape_timeout": "30s"}
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump({"scrape_configs": [job]}))
    words = ("--prometheus-config", str(path), "--concurrency", str(number))
    code, content = diagnosed(site, *words)
    assert (code, content["well"]) == (0, number)


def test_the_way_of_a_job(site: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job's proxy may come from the environment, or be left out for some hosts."""
    host = "api-x7k2mq4wza-uc.a.run.app"
    monkeypatch.setenv("https_proxy", site.google.proxy_url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    tls = {"tls_config": site.way()["tls_config"]}
    jobs = [
        site.job("environment", host, **tls) | {"proxy_from_environment": True, "proxy_url": ""},
        site.job("direct", host, **tls) | {"no_proxy": "*.run.app,run.app"},
    ]
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump({"scrape_configs": jobs}))
    found = by_name(diagnosed(site, "--prometheus-config", str(path))[1])
    assert found["environment"]["well"]
    assert found["direct"]["cause"]["name"] == "no-address"


def test_protobuf(site: Clinic, tmp_path: Path) -> None:
    """A job that asks for protobuf gets it, and its samples are read."""
    family = protobuf.metric_family()(name="a", type=1)
    family.metric.add().gauge.value = 1
    raw = family.SerializeToString()
    kind = {"Content_Type": f"{protobuf.MEDIA_TYPE}; encoding=delimited"}
    site.odd.scripts = {"/metrics": answers(200, bytes([len(raw)]) + raw, **kind)}
    job = {
        "job_name": "protobuf",
        "oauth2": site.oauth2("https://api-x7k2mq4wza-uc.a.run.app"),
        "scrape_protocols": ["PrometheusProto", "PrometheusText0.0.4"],
        "static_configs": [{"targets": [site.odd.url.removeprefix("http://")]}],
    }
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump({"scrape_configs": [job]}))
    code, content = diagnosed(site, "--prometheus-config", str(path))
    assert code == 0
    assert any(step["seen"].startswith("1 sample,") for step in content["targets"][0]["steps"])
    accept = site.odd.asked[-1].headers["accept"]
    assert accept.startswith("application/vnd.google.protobuf;proto=")
    assert accept.endswith("text/plain;version=0.0.4;q=0.4,*/*;q=0.3")


def test_through_the_gateway(site: Clinic, tmp_path: Path) -> None:
    """In gateway mode the proxy makes the scrape; whose token it is is asked of it besides."""
    settings = yaml.safe_load(site.config.read_text())
    del settings["rules"]
    config = tmp_path / "runscrape.yaml"
    config.write_text(yaml.safe_dump(settings | {"mode": "gateway"}))
    before = site.google.world.model_dump()
    services = before["projects"]["demo"]["services"]
    closed = [
        each | {"invokers": ["x@example.com"] if each["name"] == "api" else None}
        for each in services
    ]
    demo = before["projects"]["demo"] | {"services": closed}
    try:
        for world, cause in ((before, None), (before | {"projects": {"demo": demo}}, "no-invoker")):
            site.google.update(world)
            code, out, said = run("doctor", "--json", "--config", str(config))
            assert code == 1, said
            found = by_name(json.loads(out))
            assert found["shop"]["cause"]["name"] == "app-error"
            api = found["api"]["cause"]
            assert (api["name"] if api else None) == cause
            assert found["api"]["url"].startswith("http://api-x7k2mq4wza-uc.a.run.app:80/")
        assert f"--member serviceAccount:{IDENTITY} --role roles/run.invoker" in words_of(api)
    finally:
        site.google.update(before)


BAD_TARGETS = {
    "no list": '{"targets": []}',
    "no groups": "[1]",
    "nothing": "{",
    "no YAML": "a: [",
}


@pytest.mark.parametrize("name", BAD_TARGETS)
def test_a_bad_target_file(site: Clinic, tmp_path: Path, name: str) -> None:
    """A target file that Prometheus would not take is the cause, with its name."""
    (tmp_path / "targets.json").write_text(BAD_TARGETS[name])
    target = only(site, tmp_path, file_sd_configs=[{"files": ["targets.json"]}])
    assert target["cause"]["name"] == "no-targets"
    assert str(tmp_path / "targets.json") in words_of(target["cause"])


def only(site: Clinic, folder: Path, **changes: object) -> dict[str, Any]:
    """Give the one target of a job without targets of its own."""
    made = site.job("alone", "api-x7k2mq4wza-uc.a.run.app") | {"static_configs": []} | changes
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump({"scrape_configs": [made]}))
    _, content = diagnosed(site, "--prometheus-config", str(path))
    (target,) = content["targets"]
    return dict(target)


def test_other_ways_to_have_no_targets(site: Clinic, tmp_path: Path) -> None:
    """A discovery that cannot be asked, or that leaves nothing, is told."""
    dead = {"url": "http://127.0.0.1:1/targets"}
    secret = {"basic_auth": {"username": "x", "password_file": "/nowhere"}}
    unknown = site.oauth2("https://other.example.com")
    unread = unknown | {"client_secret_file": "/nowhere"}
    dropped = [{"action": "drop", "source_labels": ["__address__"]}]
    site.odd.scripts = {"/targets": answers(200, b"<html>")}
    for changes, cause, said in (
        ({"http_sd_configs": [dead]}, "no-targets", "Connection refused"),
        ({"http_sd_configs": [dead | secret]}, "secret-unreadable", "/nowhere"),
        ({"http_sd_configs": [dead | {"oauth2": unknown}]}, "not-in-proxy-inventory", "for http"),
        ({"http_sd_configs": [dead | {"oauth2": unread}]}, "secret-unreadable", "/nowhere"),
        ({"http_sd_configs": [{"url": f"{site.odd.url}/targets"}]}, "no-targets", "Content-Type"),
        (
            {"static_configs": [{"targets": ["a:1"]}], "relabel_configs": dropped},
            "no-targets",
            "relabelling",
        ),
    ):
        target = only(site, tmp_path, **changes)
        assert target["cause"]["name"] == cause
        assert said in words_of(target["cause"])


def test_a_secret_of_the_gateway(site: Clinic, tmp_path: Path) -> None:
    """A password file that cannot be read is told, whoever is to be asked with it."""
    basic = {"username": "prometheus", "password_file": "/nowhere"}
    statics = [{"targets": ["api-x7k2mq4wza-uc.a.run.app:80"]}]
    job = {"job_name": "x", "proxy_url": site.proxy.url, "static_configs": statics}
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump({"scrape_configs": [job | {"basic_auth": basic}]}))
    _, content = diagnosed(site, "--prometheus-config", str(path))
    assert content["causes"] == {"secret-unreadable": 1}


def test_a_service_by_its_other_host(site: Clinic, tmp_path: Path) -> None:
    """A job by hand for NAME-NUMBER.REGION.run.app says by its host which service it is."""
    job = site.job("ghost", "ghost-123456789012.us-central1.run.app", "https://x.example.com")
    job["oauth2"]["endpoint_params"]["audience"] = "https://api-x7k2mq4wza-uc.a.run.app"
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump({"scrape_configs": [job]}))
    _, content = diagnosed(site, "--prometheus-config", str(path))
    (target,) = content["targets"]
    assert (target["project"], target["service"]) == ("123456789012", "ghost")
    assert target["cause"]["name"] == "service-gone"
