"""A prometheus.yml means to doctor what it means to Prometheus; what doctor cannot do is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runscrape_generator.doctor import scrape
from runscrape_generator.doctor.jobs import prometheus_config
from runscrape_generator.doctor.targets import Target
from tests.kit.odd_server import OddServer, answers

OAUTH2 = "oauth2: {client_id: x, token_url: 'http://127.0.0.1:1/token', client_secret: %s}"
JOB = f"job_name: x, {OAUTH2 % 'x'}"
STATIC = "static_configs: [{targets: ['127.0.0.1:1']}]"


def read(folder: Path, *jobs: str, gateway: str = "", **more: str) -> list[Target]:
    """Read a configuration of these jobs, and these other keys."""
    path = folder / "prometheus.yml"
    lines = [f"scrape_configs: [{', '.join(f'{{{job}}}' for job in jobs)}]"]
    path.write_text("\n".join([*lines, *(f"{name.strip('_')}: {v}" for name, v in more.items())]))
    return list(prometheus_config.targets(path, gateway))


@pytest.mark.parametrize(
    ("own", "limit"), [("", 7), ("sample_limit: 0,", 7), ("sample_limit: 3,", 3)]
)
def test_limits_of_the_global_block(own: str, limit: int, tmp_path: Path) -> None:
    """A job without a limit of its own, or with 0, has that of the global block."""
    common = "{sample_limit: 7, body_size_limit: 1KB, scrape_protocols: [PrometheusProto]}"
    (target,) = read(tmp_path, f"{own} {JOB}, {STATIC}", global_=common)
    assert (target.limits.samples, target.limits.body_bytes) == (limit, 1024)
    assert target.protocols == ("PrometheusProto",)


@pytest.mark.parametrize(
    ("written", "limit"),
    [("1KB", 1024), ("1KiB512B", 1536), ("0.5MB", 524288), ("2PB", 2 * 1024**5), ("0", 0)],
)
def test_sizes(written: str, limit: int, tmp_path: Path) -> None:
    """A size counts as Prometheus 2.42 and 3.5 count it: KB is KiB, and parts add up."""
    (target,) = read(tmp_path, f"{JOB}, body_size_limit: {written}, {STATIC}")
    assert target.limits.body_bytes == limit


@pytest.mark.parametrize("secret", ["1.50", "0123", "1e5", "0x1F", "2024-01-01", "12_3", "yes"])
def test_text_that_looks_like_a_number(secret: str, tmp_path: Path) -> None:
    """A secret or a label that YAML might take for a number, a date or a boolean stays as it is."""
    labels = f"static_configs: [{{targets: [a], labels: {{version: {secret}}}}}]"
    (target,) = read(tmp_path, f"job_name: x, {OAUTH2 % secret}, {labels}")
    assert target.token is not None
    assert str(target.token.secret.read()) == secret
    assert target.labels["version"] == secret


@pytest.mark.parametrize(
    ("said", "follows"), [("false", False), ("no", False), ("off", False), ("true", True)]
)
def test_booleans(said: str, follows: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """A boolean may be written in each way that Prometheus takes."""
    (target,) = read(tmp_path, f"{JOB}, follow_redirects: {said}, {STATIC}")
    assert target.follow_redirects is follows


def test_headers_of_a_job(tmp_path: Path) -> None:
    """A scrape carries the job's http_headers, those in files too; none is shown."""
    (tmp_path / "key").write_text("hunter2\n")
    headers = "http_headers: {X-Tenant: {values: [a, b]}, X-Key: {files: [key]}}"
    (target,) = read(tmp_path, f"{JOB}, {headers}, {STATIC}")
    with OddServer(otherwise=answers(200, b"a 1\n")) as server:
        scrape.scrape(target, None, (3, 5), seconds=30, url=f"{server.url}/metrics")
        (asked,) = server.asked
    assert (asked.headers["x-tenant"], asked.headers["x-key"]) == ("a, b", "hunter2")
    assert "hunter2" not in repr(target)


def test_a_user_in_a_file(tmp_path: Path) -> None:
    """The user of basic_auth may be in a file, as Prometheus 2.53 has it."""
    (tmp_path / "user").write_text("me\n")
    login = "basic_auth: {username_file: user, password: hunter2}"
    gateway = "http://127.0.0.1:7777"
    (target,) = read(
        tmp_path, f"job_name: x, {login}, proxy_url: '{gateway}', {STATIC}", gateway=gateway
    )
    assert target.credentials is not None
    assert target.credentials.headers() == {"Authorization": "Basic bWU6aHVudGVyMg=="}
    (tmp_path / "user").unlink()
    with pytest.raises(FileNotFoundError, match="user"):
        target.credentials.headers()


def test_relative_paths_of_a_link(tmp_path: Path) -> None:
    """Relative paths begin where Prometheus finds the file, not where a link leads to."""
    (tmp_path / "away").mkdir()
    (tmp_path / "jobs").mkdir()
    job = f"{{{JOB}, {STATIC}}}".replace("client_secret: x", "client_secret_file: secret")
    (tmp_path / "away" / "first.yml").write_text(
        f"scrape_config_files: [jobs/*.yml]\nscrape_configs: [{job}]"
    )
    (tmp_path / "away" / "second.yml").write_text(f"scrape_configs: [{job}]")
    (tmp_path / "prometheus.yml").symlink_to("away/first.yml")
    (tmp_path / "jobs" / "one.yml").symlink_to("../away/second.yml")
    found = [each.token for each in prometheus_config.targets(tmp_path / "prometheus.yml")]
    files = [each.secret.file for each in found if each is not None]
    assert files == [tmp_path / "secret", tmp_path / "jobs" / "secret"]


def test_an_app_whose_gzip_is_broken(tmp_path: Path) -> None:
    """A job without compression asks for none, as Prometheus 2.53 and 3.5 do."""
    (target,) = read(tmp_path, f"{JOB}, enable_compression: false, {STATIC}")
    with OddServer(otherwise=answers(200, b"a 1\n")) as server:
        scrape.scrape(target, None, (3, 5), seconds=30, url=f"{server.url}/metrics")
        (asked,) = server.asked
    assert asked.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("t.json", '[{"targets": ["a"], "labels": {"b": 1}}]', "has to be in quotes"),
        ("t.json", '[{"targets": [1]}]', "has to be in quotes"),
        ("t.json", '[{"targets": ["a"], "port": "1"}]', '"port" is no key of a target group'),
        ("t.json", "- targets: [a]", "Expecting value"),
        ("t.json", '\ufeff[{"targets": ["a"]}]', "Unexpected UTF-8 BOM"),
        ("t.yml", "- {targets: [a], port: 1}", '"port" is no key of a target group'),
        ("t.yml", "- {targets: [a], labels: {b: 1, c: true, d: null}}", ""),
        ("t.json", '[{"targets": ["a"], "labels": null}]', ""),
    ],
)
def test_a_target_file_with_a_mistake(name: str, text: str, says: str, tmp_path: Path) -> None:
    """Prometheus takes nothing of a target file in which one thing is wrong."""
    (tmp_path / name).write_text(text)
    (target,) = read(tmp_path, f"{JOB}, file_sd_configs: [{{files: [{name}]}}]")
    problem = target.problem
    assert (problem.cause if problem else "") == ("no-targets" if says else "")
    assert says in (problem.detail if problem else "")


def test_half_a_character_in_a_target_file(tmp_path: Path) -> None:
    """Half a surrogate pair counts as Prometheus counts it, and ends nothing."""
    labels = r'{"__metrics_path__": "/\ud83d", "a": "\ud83d\ude00"}'
    (tmp_path / "t.json").write_text(f'[{{"targets": ["a:1"], "labels": {labels}}}]')
    (target,) = read(tmp_path, f"{JOB}, file_sd_configs: [{{files: [t.json]}}]")
    assert target.url == "http://a:1/%EF%BF%BD"
    assert target.labels["a"] == "\N{GRINNING FACE}"


def test_targets_that_come_as_text(tmp_path: Path) -> None:
    """Prometheus takes targets from a URL as application/json only."""
    with OddServer(otherwise=answers(200, b'[{"targets": ["a"]}]')) as server:
        (target,) = read(tmp_path, f"{JOB}, http_sd_configs: [{{url: '{server.url}/'}}]")
    assert target.problem is not None
    assert target.problem.detail.endswith("its Content-Type is not application/json")


def test_targets_that_moved_away(tmp_path: Path) -> None:
    """A redirect to another host is followed without the login; one without end ends."""
    groups = answers(200, [{"targets": ["a"]}], Content_Type="application/json")
    with OddServer(otherwise=groups) as other:
        moved = {
            "/away": answers(307, b"", Location=f"{other.url}/"),
            "/round": answers(301, b"", Location="/round"),
        }
        with OddServer(moved) as server:
            login = "basic_auth: {username: me, password: hunter2}"
            away, around = (
                read(tmp_path, f"{JOB}, http_sd_configs: [{{url: '{server.url}{path}', {login}}}]")
                for path in moved
            )
    assert [target.url for target in away] == ["http://a:80/metrics"]
    assert "authorization" in server.asked[0].headers
    assert ["authorization" in asked.headers for asked in other.asked] == [False]
    (lost,) = around
    assert lost.problem is not None
    assert lost.problem.detail.endswith("/round answers 301")


@pytest.mark.parametrize("address", ["me:hunter2@api:443", "https://me:hunter2@api/metrics"])
def test_a_password_in_an_address(address: str, tmp_path: Path) -> None:
    """A target cannot hold a password; one that does is refused, and the password shown nowhere."""
    (target,) = read(tmp_path, f"{JOB}, static_configs: [{{targets: ['{address}']}}]")
    assert target.problem is not None
    assert target.problem.cause == "bad-address"
    assert "hunter2" not in f"{target.problem} {target.labels} {target.name} {target.url}"


@pytest.mark.parametrize(
    ("target", "gateway", "number"),
    [
        ("{targets: [a]}", "http://127.0.0.1:7777/token", 0),
        ("{targets: [a]}", "http://squid:3128", 1),
        ("{targets: [a-x7k2mq4wza-uc.a.run.app]}", "", 1),
        ("{targets: [a], labels: {__meta_cloudrun_service: a}}", "", 1),
    ],
)
def test_jobs_through_another_proxy(target: str, gateway: str, number: int, tmp_path: Path) -> None:
    """A job through an HTTP proxy that is not known as runscrape-proxy is somebody else's."""
    job = f"job_name: x, proxy_url: 'http://squid:3128', static_configs: [{target}]"
    lost = "job_name: y, proxy_url: 'http://squid:3128', file_sd_configs: [{files: [no.json]}]"
    assert len(read(tmp_path, job, gateway=gateway)) == number
    assert bool(read(tmp_path, lost, gateway=gateway)) is (gateway == "http://squid:3128")


UNKNOWN: dict[str, tuple[str, str]] = {
    "a regex of RE2's": (
        f"{STATIC}, relabel_configs: [{{regex: '\\pL+', target_label: a}}]",
        "doctor cannot apply it",
    ),
    "a class of RE2's": (
        f"{STATIC}, relabel_configs: [{{regex: '[[:digit:]]+', target_label: a}}]",
        "[:digit:] is no class to Python: doctor cannot apply it",
    ),
    "the same after the scrape": (
        f"{STATIC}, metric_relabel_configs: [{{regex: '\\pL+', action: drop}}]",
        "doctor cannot apply it",
    ),
    "another discovery": (
        "kubernetes_sd_configs: [{role: pod}]",
        "its targets are in kubernetes_sd_configs, which doctor cannot ask",
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_doctor_cannot_do(case: str, tmp_path: Path) -> None:
    """A job that doctor cannot read as Prometheus does is called unknown; the others are read."""
    job, said = UNKNOWN[case]
    first, second = read(tmp_path, f"{JOB}, {job}", f"{JOB}, {STATIC}")
    assert first.problem is not None
    assert first.problem.cause == "unknown"
    assert said in first.problem.detail
    assert second.problem is None


@pytest.mark.parametrize("key", ["scrape_interval", "scrape_timeout"])
def test_no_time_at_all(key: str, tmp_path: Path) -> None:
    """A target with an interval or a timeout of 0 is dropped, as Prometheus drops it."""
    labels: Any = f"static_configs: [{{targets: [a], labels: {{__{key}__: 0s}}}}]"
    (target,) = read(tmp_path, f"{JOB}, {labels}")
    assert target.problem is not None
    assert target.problem.cause == "dropped"


@pytest.mark.parametrize(
    ("proxy", "cause"), [("{0}", "wrong-secret"), ("http://x:1", "no-targets")]
)
def test_targets_that_the_proxy_keeps_to_itself(proxy: str, cause: str, tmp_path: Path) -> None:
    """A 401 for the list of targets is about the secret where runscrape-proxy itself has them."""
    with OddServer(otherwise=answers(401)) as server:
        discovery = f"http_sd_configs: [{{url: '{server.url}/targets'}}]"
        job = f"job_name: x, proxy_url: '{proxy.format(server.url)}', {discovery}"
        (target,) = read(tmp_path, job, gateway="http://x:1")
    assert target.problem is not None
    assert target.problem.cause == cause
    assert target.problem.detail.endswith("/targets answers 401")
