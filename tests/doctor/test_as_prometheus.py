"""Doctor reads a configuration, asks for tokens and scrapes as the Prometheus here does."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from demo.processes import get_json
from runscrape_generator.doctor import samples, scrape, token
from runscrape_generator.doctor.evidence import Answer
from runscrape_generator.doctor.jobs import prometheus_config, scrape_config
from runscrape_generator.doctor.targets import Secret, Target
from tests.kit import consumers
from tests.kit import fast_yaml as yaml
from tests.kit.odd_server import Asked, Connection, OddServer, answers
from tests.kit.prometheus import prometheus
from tests.kit.waiting import until

SECRET = "s3cr et+/%"
JSON = {"Content_Type": "application/json"}
TEXT = {"Content_Type": "text/plain; version=0.0.4"}
OPEN = {"Content_Type": "application/openmetrics-text; version=1.0.0"}
GRANTED = {"access_token": "abc", "token_type": "Bearer", "expires_in": 3600}


BODIES: tuple[str | bytes, ...] = (
    *(
        "a 1\n",
        "a 1",
        "a 1\r\n",
        "a{} 1\n",
        'a{x="1",} 1\n',
        "a{,} 1\n",
        "a{x='1'} 1\n",
        "a 1 2 3\n",
    ),
    *("a 0x1F\n", "a 1_000\n", "a NaN\n", "a +Inf\n", "a Inf\n", "a nan\n", "a -inf\n", " a 1\n"),
    *("a  1\n", "a\t1\n", "\n\na 1\n", "# foo\na 1\n", "#\na 1\n", "# TYPE a foo\na 1\n"),
    *("# TYPE a\na 1\n", "# HELP a\na 1\n", "# TYPE a counter\n# TYPE a counter\na 1\n"),
    *('a{x="1"} 1 1e3\n', "a 1 123.5\n", "a 1 -5\n", 'a{x="\\q"} 1\n', 'a{x="1",x="2"} 1\n'),
    *(
        "é 1\n",
        'a{é="1"} 1\n',
        "a-b 1\n",
        "1a 1\n",
        "a:b 1\n",
        'a{x:y="1"} 1\n',
        "a\n",
        'a{x="1"}\n',
    ),
    *('a{x="1"}1\n', '{x="1"} 1\n', '{"a"} 1\n', 'a{__name__="b"} 1\n', 'a 1 # {x="1"} 1\n'),
    *("# EOF\na 1\n", "<html>", "{}\n", "", 'a{x="\xff"} 1\n'.encode("latin-1"), "a 1e400\n"),
    *("a 1e\n", "a .5\n", "a 5.\n", "a 1d\n", 'a{x="1" } 1\n', 'a{ x="1"} 1\n', 'a{x ="1"} 1\n'),
    *('a{x= "1"} 1\n', 'a {x="1"} 1\n', 'a{x="1"} 1 \n', "a 1\x0b2\n", 'a{x="a\\\\"} 1\n'),
    *("# TYPE a info\na 1\n", "# TYPE a\tgauge\na 1\n", "# TYPE a counter \na 1\n"),
    *("# HELP a foo\\bar\na 1\n", "a 1\n a 2\n", 'a{x="1"} 1 1700000000000000\n'),
)
"""Good and bad text as apps serve it, one after the other."""
OPEN_BODIES: tuple[str, ...] = (
    *('# TYPE a histogram\na_bucket{le="1"} 3\na_bucket{le="+Inf"} 1\na_sum 1\n# EOF\n',),
    *('a{x="1"} 1\nb 1\na{x="2"} 1\n# EOF', "# TYPE a counter\na 1\n# EOF\n", "# EOF\n"),
    *("# TYPE a counter\na_total -1\n# EOF\n", "# TYPE a gauge\n# TYPE a gauge\na 1\n# EOF\n"),
    *("# HELP a x\n# HELP a y\na 1\n# EOF\n", '# TYPE a info\na_info{v="1"} 1\n# EOF\n'),
    *("a_s 1 1e3\n# UNIT a_s s\n# EOF\n", "# UNIT a s\na 1\n# EOF\n", "a 1 -1.5\n# EOF\n"),
    *('a_total 1 # {x="1"} 1 1.5\n# EOF\n', 'a 1 # {x="1"} 1\n# EOF\n', "a 1\n#EOF\n"),
    *("# TYPE a untyped\na 1\n# EOF\n", "# hello\n# EOF\n", "# HELP a\n# EOF\n", "a 1\n"),
    *("a 1 \n# EOF\n", "a  1\n# EOF\n", "a\t1\n# EOF\n", "a 1\r\n# EOF\n", "\na 1\n# EOF\n"),
    *('a{x="1",} 1\n# EOF\n', 'a{x="1", y="2"} 1\n# EOF\n', "a{} 1\n# EOF\n", "a 0x1\n# EOF\n"),
    *('{"a"} 1\n# EOF\n', "a 1e400\n# EOF\n", "a 1\n# EOF\n\n", "a nan\n# EOF\n"),
)
"""The same in OpenMetrics."""
SERVED = [(body, TEXT) for body in BODIES] + [(body, OPEN) for body in OPEN_BODIES]


AGAIN: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "the same": ("a 1\nb 1\na 1\n", TEXT, {}),
    "in another order": ('a{x="1",y="2"} 1\na{y="2",x="1"} 2\n', TEXT, {}),
    "at two times": ("a 1 {now}000\na 2 {now}001\n", TEXT, {}),
    "at one time": ("a 1 {now}000\na 2 {now}000\n", TEXT, {}),
    "a time, then none": ("a 1 {now}000\na 2\n", TEXT, {}),
    "none, then a time": ("a 1\na 2 {now}000\n", TEXT, {}),
    "times that are not honoured": (
        "a 1 {now}000\na 2 {now}001\n",
        TEXT,
        {"honor_timestamps": False},
    ),
    "two made the same": (
        'a{x="1"} 1\na{x="2"} 2\n',
        TEXT,
        {"metric_relabel_configs": [{"regex": "x", "action": "labeldrop"}]},
    ),
    "dropped": (
        "a 1\na 2\nb 1\n",
        TEXT,
        {
            "metric_relabel_configs": [
                {"source_labels": ["__name__"], "regex": "a", "action": "drop"}
            ]
        },
    ),
    "OpenMetrics": ("a 1\na 2\n# EOF\n", OPEN, {}),
}
"""Bodies that say a series again, with what their job has beside a limit."""


def encoded(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body


@dataclass
class Servers:
    """Two token endpoints, and an app."""

    good: OddServer
    bad: OddServer
    app: OddServer
    discovery: OddServer
    """Sends on whoever asks for targets."""


def jobs(servers: Servers, folder: Path) -> list[dict[str, Any]]:
    """Jobs as people write them, each odd in its own way."""
    host = servers.app.url.removeprefix("http://")
    oauth2 = {
        "client_id": "prome theus",
        "client_secret_file": "secret",
        "token_url": f"{servers.good.url}/token?x=1",
        "endpoint_params": {"audience": "https://api.example.com", "b": "2", "a": "1 &="},
        "scopes": ["one", "two"],
    }
    (folder / "secret").write_text(SECRET + "\n")
    (folder / "targets.json").write_text(
        json.dumps(
            [
                {
                    "targets": [host],
                    "labels": {
                        "__metrics_path__": "/odd path?x=1",
                        "__param_name": "öne two",
                        "__scrape_timeout__": "1s500ms",
                        "__scrape_interval__": "1s600ms",
                        "__meta_cloudrun_job": "cloudrun/demo/api",
                        "team": "sales",
                    },
                },
                {"targets": [host], "labels": {"__meta_drop": "yes"}},
                {"targets": [host], "labels": {"__scrape_timeout__": "90s"}},
            ]
        )
    )
    hidden = {"targets": [host], "labels": {"__meta_bare": "yes", "team": "ä"}}
    (folder / ".targets.json").write_text(json.dumps([hidden]))
    relabel = [
        {"source_labels": ["__meta_drop"], "regex": "y(e)s", "action": "drop"},
        {"source_labels": ["__meta_cloudrun_job"], "regex": "(.+)", "target_label": "job"},
        {"source_labels": ["job", "team"], "separator": "@", "target_label": "both"},
        {"source_labels": ["__meta_filepath"], "regex": ".*/(.*)", "target_label": "file"},
        {"source_labels": ["team"], "regex": r"(\w+)", "target_label": "ascii"},
        {"source_labels": ["__meta_bare"], "regex": "yes", "target_label": "__metrics_path__"}
        | {"replacement": ""},
        {"regex": "te(a)m", "replacement": "x_${1}m", "action": "labelmap"},
        {"source_labels": ["team"], "target_label": "upper", "action": "uppercase"},
        {"source_labels": ["__address__"], "modulus": 7, "target_label": "h", "action": "hashmod"},
        {"regex": "team", "action": "labeldrop"},
        {"target_label": "fixed", "replacement": "$$1 ${2}x"},
    ]
    return [
        {
            "job_name": "statics",
            "oauth2": oauth2,
            "metrics_path": "/metrics",
            "params": {"name": ["a b", "c"], "on": [True], "match[]": ["{x=~'.+'}"]},
            "static_configs": [
                {"targets": [host], "labels": {"instance": "me", "empty": "", "is": True}}
            ],
        },
        {"job_name": "files", "oauth2": oauth2, "relabel_configs": relabel}
        | {"file_sd_configs": [{"files": ["*.json"]}]},
        {
            "job_name": "gateway",
            "scheme": "http",
            "proxy_url": servers.app.url,
            "basic_auth": {"username": "prometheus", "password_file": "secret"},
            "scrape_timeout": "800ms",
            "static_configs": [{"targets": ["api-x7k2mq4wza-uc.a.run.app:80"]}],
        },
        {
            "job_name": "refused",
            "oauth2": oauth2 | {"token_url": f"{servers.bad.url}/token"},
            "static_configs": [{"targets": [host]}],
        },
        {"job_name": "no port", "scheme": "https", "oauth2": oauth2}
        | {"static_configs": [{"targets": ["127.0.0.1"]}]},
        {"job_name": "both", "oauth2": oauth2, "params": {"name": ["job's", "other"]}}
        | {"static_configs": [{"targets": [host], "labels": {"__param_name": "target's"}}]},
        {"job_name": "sent on", "oauth2": oauth2}
        | {"http_sd_configs": [{"url": f"{servers.discovery.url}/first", "oauth2": oauth2}]},
        {"job_name": "not sent on", "oauth2": oauth2}
        | {
            "http_sd_configs": [
                {"url": f"{servers.discovery.url}/first", "follow_redirects": False}
            ]
        },
    ]


def discovery(app: OddServer) -> OddServer:
    """Give a server whose second answer has the targets, for who has a token."""
    groups = [{"targets": [app.url.removeprefix("http://")], "labels": {"sent": "on"}}]

    def second(client: Connection, asked: Asked) -> bool:
        known = asked.headers.get("authorization") == "Bearer abc"
        return (answers(200, groups, **JSON) if known else answers(403))(client, asked)

    return OddServer({"/first": answers(302, b"", Location="/second"), "/second": second})


Seen = dict[tuple[str, str], tuple[dict[str, str], float]]


@dataclass
class Observed:
    """What Prometheus made of the configuration, and what it sent."""

    targets: Seen
    health: dict[int, str]
    """Of the target with each of the bodies."""
    servers: dict[str, list[Asked]]
    config: Path
    live: Servers


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """Let a real Prometheus scrape by the jobs."""
    folder = tmp_path_factory.mktemp("as") / "etc"
    folder.mkdir()
    bodies = OddServer(
        {f"/{n}": answers(200, encoded(body), **kind) for n, (body, kind) in enumerate(SERVED)}
    )
    with (
        OddServer(otherwise=answers(200, GRANTED, **JSON)) as good,
        OddServer(otherwise=answers(401, {"error": "invalid_client"}, **JSON)) as bad,
        OddServer(otherwise=answers(200, b"a 1\n")) as app,
        discovery(app) as sent_on,
        bodies,
    ):
        servers = Servers(good, bad, app, sent_on)
        config = folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(configuration(servers, bodies.port, folder)))
        with prometheus(config) as address:
            found = until(lambda: scraped(address), "all to be scraped")
        seen = {
            (each["scrapePool"], each["scrapeUrl"]): (each["labels"], seconds(each))
            for each in found
            if each["scrapePool"] != "bodies"
        }
        health = {
            int(each["scrapeUrl"].rpartition("/")[2]): each["health"]
            for each in found
            if each["scrapePool"] == "bodies"
        }
        sent = {name: list(getattr(servers, name).asked) for name in ("good", "bad", "app")}
        yield Observed(seen, health, sent, config, servers)


def configuration(servers: Servers, bodies: int, folder: Path) -> dict[str, Any]:
    host = f"127.0.0.1:{bodies}"
    groups = [
        {"targets": [host], "labels": {"__metrics_path__": f"/{number}"}}
        for number in range(len(SERVED))
    ]
    every = [*jobs(servers, folder), {"job_name": "bodies", "static_configs": groups}]
    return {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": every}


def scraped(address: str) -> list[dict[str, Any]]:
    """Give the targets once all were scraped, none of them too slowly for a busy machine."""
    found = get_json(f"{address}/api/v1/targets?state=active")["data"]["activeTargets"]
    waiting = [
        each
        for each in found
        if each["health"] == "unknown" or "deadline exceeded" in each["lastError"]
    ]
    return found if len(found) > len(SERVED) and not waiting else []


def seconds(target: dict[str, Any]) -> float:
    return {"1s": 1.0, "1s500ms": 1.5, "800ms": 0.8}[target["scrapeTimeout"]]


def read(observed: Observed) -> list[Target]:
    version = consumers.installed("prometheus").release
    return list(prometheus_config.targets(observed.config, version=version))


def test_targets(observed: Observed) -> None:
    """The targets of a configuration are Prometheus': URL, labels, timeout, dropped ones gone."""
    found = {
        (target.url, tuple(sorted(target.labels.items())), target.timeout)
        for target in read(observed)
        if target.problem is None
    }
    theirs = {
        (url, tuple(sorted(labels.items())), timeout)
        for (_, url), (labels, timeout) in observed.targets.items()
    }
    assert found == theirs
    assert len(found) == 8


def test_a_target_that_prometheus_drops(observed: Observed) -> None:
    """A target whose timeout is longer than its interval has that as its problem."""
    (dropped,) = (each for each in read(observed) if each.problem and each.job != "not sent on")
    assert dropped.problem is not None
    assert dropped.problem.cause == "dropped"
    assert dropped.problem.detail == "the scrape timeout 90s is longer than the interval 1s"


def heads(requests: list[Asked]) -> set[tuple[str, tuple[tuple[str, str], ...], bytes]]:
    """Request line, headers that say something about a client, body."""
    found = set()
    for asked in requests:
        headers = dict(asked.headers)
        for name in ("user-agent", "connection", "content-length", "accept-encoding"):
            headers.pop(name, None)
        found.add((asked.head.split("\r\n")[0], tuple(sorted(headers.items())), asked.body))
    return found


@pytest.mark.parametrize("name", ["good", "bad"])
def test_token_requests(observed: Observed, name: str) -> None:
    """Tokens are asked for as Prometheus does: keys sorted, the secret in Basic, then the body."""
    theirs = heads(observed.servers[name])
    server = getattr(observed.live, name)
    server.asked.clear()
    job = {"good": "statics", "bad": "refused"}[name]
    (target,) = (each for each in read(observed) if each.job == job)
    assert target.token is not None
    found = token.ask(target.token, target.token.secret.read(), 30)
    assert heads(server.asked) == theirs
    assert (found.token is not None) == (name == "good")
    assert len(theirs) == {"good": 1, "bad": 2}[name]
    assert [each.answer is not None for each in found.exchanges] == [True] * len(theirs)


def test_scrapes(observed: Observed) -> None:
    """Targets are scraped as Prometheus does: request line, Accept, timeout, credentials."""
    theirs = heads(observed.servers["app"])
    observed.live.app.asked.clear()
    version = consumers.installed("prometheus").release
    for target in read(observed):
        if target.problem is None and target.job != "refused":
            scrape.scrape(target, Secret("abc") if target.token else None, version, seconds=30)
    assert heads(observed.live.app.asked) == theirs


def test_bodies(observed: Observed) -> None:
    """A body is malformed if Prometheus takes its target for down, and else it is not."""
    assert {"up", "down"} == set(observed.health.values())
    found = {
        number: samples.read(
            Answer(200, {"content-type": kind["Content_Type"]}, encoded(body)),
            Target(job="one"),
            0,
            consumers.installed("prometheus").release,
        )
        for number, (body, kind) in enumerate(SERVED)
    }
    ours = {number: "down" if each.malformed else "up" for number, each in found.items()}
    assert ours == observed.health


def first_scrapes(address: str, number: int) -> dict[str, bool]:
    """Tell of each job whether its first scrape was well, once that is known of all.

    After one that failed, Prometheus 2.53 may take the next one for a part of it.
    """
    found = get_json(f"{address}/api/v1/query?query=up[1h]")["data"]["result"]
    first = {each["metric"]["job"]: each["values"][0][1] == "1" for each in found}
    return first if len(first) == number else {}


def test_samples_said_again(tmp_path: Path) -> None:
    """What a scrape says twice counts for sample_limit as it counts for each Prometheus."""
    now = str(int(time.time()))
    bodies = {name: body.replace("{now}", now) for name, (body, _, _) in AGAIN.items()}
    scripts = {
        f"/{number}": answers(200, bodies[name].encode(), **kind)
        for number, (name, (_, kind, _)) in enumerate(AGAIN.items())
    }
    programs = consumers.releases_of("prometheus")
    with contextlib.ExitStack() as ending:
        server = ending.enter_context(OddServer(scripts))
        limited = [
            {"job_name": f"{name}/{limit}", "sample_limit": limit, "metrics_path": f"/{number}"}
            | {"static_configs": [{"targets": [f"127.0.0.1:{server.port}"]}], **more}
            for number, (name, (_, _, more)) in enumerate(AGAIN.items())
            for limit in (1, 2, 3)
        ]
        times = {"scrape_interval": "2s", "scrape_timeout": "2s"}
        config = tmp_path / "etc" / "prometheus.yml"
        config.parent.mkdir()
        config.write_text(yaml.safe_dump({"global": times, "scrape_configs": limited}))
        started = [ending.enter_context(prometheus(config, program=p.path)) for p in programs]
        first = [
            until(partial(first_scrapes, at, len(limited)), "all to be scraped") for at in started
        ]
    for program, up in zip(programs, first, strict=True):
        theirs = {name: min(n for n in (1, 2, 3) if up[f"{name}/{n}"]) for name in AGAIN}
        ours = {
            name: samples.read(
                Answer(200, {"content-type": kind["Content_Type"]}, bodies[name].encode()),
                next(scrape_config.targets(more, [(["a"], {})], scrape_config.Defaults(tmp_path))),
                float(now),
                program.release,
            ).count
            for name, (_, kind, more) in AGAIN.items()
        }
        assert ours == theirs, program
