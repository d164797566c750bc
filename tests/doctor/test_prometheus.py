"""What a running Prometheus says is set beside what doctor sees itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doctor.clinic import (
    Case,
    Clinic,
    by_name,
    clinic,
    diagnosed,
    page,
    run,
    uri,
    words_of,
)
from tests.kit import fast_yaml as yaml
from tests.kit.authority import Authority
from tests.kit.odd_server import Asked, Connection, OddServer, answers

JSON = {"Content_Type": "application/json"}
NOW = "2026-01-01T00:00:00.123456789Z"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    folder = tmp_path_factory.mktemp("prometheus") / "etc"
    folder.mkdir()
    cases = {"api": Case(""), "no-type": Case("", page(content_type=None))}
    with clinic(folder, cases) as running:
        yield running


def job(site: Clinic, name: str = "api") -> dict[str, Any]:
    jobs = yaml.safe_load(site.output.read_text())["scrape_configs"]
    found: dict[str, Any] = next(each for each in jobs if each["job_name"].endswith(name))
    return found


def serving(site: Clinic, **changes: Any) -> OddServer:
    """Make a server that answers as Prometheus' API does, for the job of the service api."""
    target = {
        "labels": {"job": job(site)["job_name"]},
        "scrapePool": job(site)["job_name"],
        "scrapeUrl": f"{uri('api')}/metrics",
        "health": "up",
        "lastError": "",
        "lastScrape": NOW,
    } | changes.get("target", {})
    content = {
        "targets?state=active": {"activeTargets": changes.get("targets", [target])},
        "status/buildinfo": {"version": changes.get("version", "2.42.0")},
        "status/config": {
            "yaml": yaml.safe_dump({"scrape_configs": changes.get("jobs", [job(site)])})
        },
        "status/flags": {"config.file": changes.get("file", str(site.output))},
        "status/runtimeinfo": {"reloadConfigSuccess": changes.get("reloaded", True)},
    }
    return OddServer(
        {
            f"/api/v1/{name.partition('?')[0]}": answers(
                200, {"status": "success", "data": data}, **JSON
            )
            for name, data in content.items()
        }
    )


def seen(site: Clinic, *words: str, **changes: Any) -> dict[str, Any]:
    with serving(site, **changes) as server:
        _, content = diagnosed(
            site, "--prometheus", server.url, "--prometheus-config", str(site.output), *words
        )
    return by_name(content)


def cause(target: dict[str, Any]) -> str:
    return str(target["cause"]["name"]) if target["cause"] else ""


def other_job(site: Clinic) -> dict[str, Any]:
    made = json.loads(json.dumps(job(site)))
    made["oauth2"]["endpoint_params"]["audience"] = "https://older.example.com"
    return dict(made)


def test_a_secret_in_a_query(site: Clinic, tmp_path: Path) -> None:
    """What is in the query of a URL, or in params, may be secret, and is shown nowhere."""
    host = "api-x7k2mq4wza-uc.a.run.app"
    odd = site.odd.url.removeprefix("http://")
    keyed: dict[str, Any] = {"params": {"api_key": ["hunter2"]}}
    at_odd = {"scheme": "http", "proxy_url": "", "static_configs": [{"targets": [odd]}]}
    moved = answers(302, b"", Location="/metrics?api_key=hunter2&a=b")
    site.odd.scripts = {"/moved": moved, "/metrics": answers(200, b"a 1\n")}
    jobs = [site.job("well", host, **keyed)]
    jobs.append(site.job("endpoint", host))
    jobs[1]["oauth2"]["token_url"] = "http://127.0.0.1:1/token?key=hunter2"
    jobs.append(site.job("discovery", host, http_sd_configs=[{"url": f"{site.odd.url}/?hunter2"}]))
    jobs.append(
        site.job("followed", odd, f"https://{host}", metrics_path="/moved") | at_odd | keyed
    )
    jobs.append(jobs[3] | {"job_name": "redirected", "follow_redirects": False})
    jobs.append(site.job("address", f"https://{host}/?key=hunter2"))
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump({"scrape_configs": jobs}))
    config = ("--prometheus-config", str(path))
    target = {"labels": {"job": "well"}, "scrapePool": "well", "health": "down"}
    target |= {"scrapeUrl": f"https://{host}/metrics?api_key=hunter2"}
    target |= {"lastError": f'Get "{target["scrapeUrl"]}": EOF'}
    with serving(site, targets=[target], jobs=jobs) as server:
        asking = ("--prometheus", server.url)
        outs = [
            site.run("doctor", *words, *config, *asking)[1]
            for words in (["-v"], ["--json"], *([job["job_name"]] for job in jobs))
        ]
    assert not [out for out in outs if "hunter2" in out]
    assert f"https://{host}:443/metrics?api_key=***" in outs[1]
    assert f'Get \\"https://{host}/metrics?api_key=***\\": EOF' in outs[1]
    assert "/metrics?api_key=***&a=***" in outs[1]


def test_the_same(site: Clinic) -> None:
    """A target that Prometheus scrapes as doctor does is well; the other one it does not have."""
    found = seen(site)
    assert cause(found["api"]) == ""
    assert cause(found["no-type"]) == "not-loaded"
    assert "/-/reload" in words_of(found["no-type"]["cause"])
    (step,) = (each for each in found["api"]["steps"] if each["step"] == "Prometheus")
    assert step["ok"]
    assert re.fullmatch(r"up, \d+ s ago", step["seen"])


def test_a_reload_with_a_password(site: Clinic) -> None:
    """The command that reloads names the user of a URL, for whose password curl asks."""
    with serving(site, targets=[]) as server:
        url = server.url.replace("http://", "http://me:hunter2@")
        _, out, _ = site.run("doctor", "--json", "--prometheus", url)
        assert f"curl --fail --user me -X POST {server.url}/-/reload" in out
    assert "hunter2" not in out


def test_another_file(site: Clinic) -> None:
    """A target that is missing because Prometheus reads another file has that file named."""
    found = seen(site, targets=[], file="/etc/prometheus/other.yml")
    assert cause(found["api"]) == "other-file"
    assert "/etc/prometheus/other.yml" in words_of(found["api"]["cause"])
    assert cause(seen(site, targets=[], file="prometheus.yml")["api"]) == "not-loaded"


def test_a_reload_that_was_refused(site: Clinic) -> None:
    """What is not loaded, or is old, because Prometheus refused the file has that as its cause."""
    for found in (
        seen(site, targets=[], reloaded=False),
        seen(site, jobs=[other_job(site)], reloaded=False),
    ):
        assert cause(found["api"]) == "reload-refused"
        assert f"promtool check config {site.output}" in words_of(found["api"]["cause"])


def test_an_older_job(site: Clinic) -> None:
    """A job that asks for another token than the file says is an old one."""
    found = seen(site, jobs=[other_job(site)])
    assert cause(found["api"]) == "old-job"
    assert found["api"]["warnings"] == []
    assert "https://older.example.com" in words_of(found["api"]["cause"])


@pytest.mark.parametrize(
    ("timeout", "expected"), [("5s", "old-job"), ("10s", "prometheus-differs")]
)
def test_a_job_with_another_timeout(site: Clinic, timeout: str, expected: str) -> None:
    """A timeout that was raised in the file only is an old job, not another network."""
    late = {"health": "down", "lastError": "context deadline exceeded", "scrapeTimeout": timeout}
    found = seen(site, target=late)
    assert cause(found["api"]) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("server returned HTTP status 401 Unauthorized", "old-token"),
        ("server returned HTTP status 403 Forbidden", "old-token"),
        ('Get "https://x": oauth2: "invalid_client" "401 Unauthorized"', "prometheus-differs"),
        ("context deadline exceeded", "prometheus-differs"),
    ],
)
def test_prometheus_fails_alone(site: Clinic, error: str, expected: str) -> None:
    """What fails in Prometheus only is an old token if it is refused, else its own trouble."""
    found = seen(site, target={"health": "down", "lastError": error})
    assert cause(found["api"]) == expected
    assert error in words_of(found["api"]["cause"])


def test_prometheus_3(site: Clinic, tmp_path: Path) -> None:
    """What Prometheus 3 does not take is a cause with a Prometheus 3, and a warning with a 2."""
    target = {
        "labels": {"job": job(site, "no-type")["job_name"]},
        "scrapeUrl": f"{uri('no-type')}:443/metrics",
        "health": "up",
        "lastScrape": "0001-01-01T00:00:00Z",
    }
    new = seen(site, targets=[target], version="3.5.0", jobs=[])
    assert cause(new["no-type"]) == "no-content-type"
    assert "--prometheus-version 3.0" in words_of(new["no-type"]["cause"])
    (differs,) = new["no-type"]["warnings"]  # it says that it has the target up
    assert differs["name"] == "prometheus-has-it-up"
    assert "here no-content-type" in differs["seen"]
    config = tmp_path / "runscrape.yaml"  # no Prometheus runs yet, and it will be a 3
    settings = yaml.safe_load(site.config.read_text())
    config.write_text(yaml.safe_dump(settings | {"prometheus_version": "3.5"}))
    words = ("--prometheus-config", str(site.output), "--config", str(config))
    unasked = by_name(json.loads(run("doctor", "--json", *words)[1]))
    assert cause(unasked["no-type"]) == "no-content-type"
    old = seen(site, targets=[target], jobs=[])
    assert cause(old["no-type"]) == ""
    assert [each["name"] for each in old["no-type"]["warnings"]] == ["content-type-for-3"]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data": []}', b'{"status": "success"}'])
def test_no_prometheus(site: Clinic, body: bytes) -> None:
    """Where no Prometheus answers, doctor cannot run: exit 2, with the URL."""
    with OddServer(otherwise=answers(200, body)) as server:
        code, _, said = site.run("doctor", "--prometheus", server.url)
        assert code == 2
        assert f"--prometheus: {server.url}/api/v1/targets" in said


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://me:hunter2@127.0.0.1:1", "http://127.0.0.1:1/api/v1/targets?state=active: conn"),
        ("http://me:hunter2@127.0.0.1:x", '"http://127.0.0.1:x" is no http or https URL'),
        ("localhost:9090", '"localhost:9090" is no http or https URL'),
    ],
)
def test_a_url_of_no_prometheus(site: Clinic, url: str, says: str) -> None:
    """Where a URL leads to no Prometheus, it is shown without the password in it: exit 2."""
    code, out, said = site.run("doctor", "--prometheus", url)
    assert (code, out) == (2, "")
    assert f"--prometheus: {says}" in said
    assert "hunter2" not in said


def test_a_login(site: Clinic, tmp_path: Path) -> None:
    """A Prometheus that wants a password gets the one that is set for reloads."""
    config = tmp_path / "runscrape.yaml"
    (tmp_path / "password").write_text("hunter2\n")
    settings = yaml.safe_load(site.config.read_text())
    config.write_text(
        yaml.safe_dump(settings | {"reload_user": "me", "reload_password_file": "password"})
    )
    with serving(site) as server:
        open_to_all = dict(server.scripts)

        def guarded(client: Connection, asked: Asked) -> bool:
            known = asked.headers.get("authorization") == "Basic bWU6aHVudGVyMg=="
            script = open_to_all.get(asked.path, answers(404)) if known else answers(401)
            return script(client, asked)

        server.scripts, server.otherwise = {}, guarded
        words = ("doctor", "--json", "--prometheus", server.url)
        assert run(*words, "--config", str(config))[0] == 1  # the other service is not there
        code, _, said = site.run(*words)
        assert code == 2
        assert "answers 401; set reload_user and reload_password_file" in said


def test_a_ca_of_our_own(site: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Prometheus behind TLS is trusted by the CA file that the other calls go by."""
    authority = Authority(tmp_path)
    made = serving(site)
    made.tls = authority.server("localhost")
    with made as server:
        words = ("doctor", "--json", "--prometheus", server.url)
        code, _, said = site.run(*words)
        assert code == 2
        assert "for a CA of your own set REQUESTS_CA_BUNDLE to its file" in said
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
        assert site.run(*words)[0] == 1  # the other service is not there


def test_a_proxy_on_the_way(site: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Prometheus on another machine is asked through the environment's proxy, as for a reload."""
    with OddServer(otherwise=answers(200, b"<html>")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        code, _, said = site.run("doctor", "--prometheus", "http://prometheus.example:9090")
        assert code == 2
        assert "is no API of Prometheus" in said
        (asked,) = proxy.asked
    assert asked.target.startswith("http://prometheus.example:9090/api/v1/targets")
