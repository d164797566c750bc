"""Jobs that somebody wrote by hand, each with a mistake of its own or a proxy that makes one."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from tests.doctor.clinic import Clinic, uri
from tests.kit.odd_server import Asked, Connection, Script, answers, sends
from tests.kit.ports import free_port

HOST = uri("well").removeprefix("https://")
JSON = {"Content_Type": "application/json"}
METRICS = b"a_total 1\n"
GOOGLE = "Google Frontend"


@dataclass(frozen=True)
class Job:
    """A job, and what doctor has to say of it."""

    cause: str
    says: tuple[str, ...] = ()
    make: Callable[[Clinic, str], dict[str, Any]] = field(
        default=lambda site, name: site.job(name, HOST)
    )


def oauth2(audience: str | None = f"https://{HOST}", **changes: Any) -> Any:
    """Make a job for the service that is well, with changes to its oauth2 block."""

    def make(site: Clinic, name: str) -> dict[str, Any]:
        filled = {key: _filled(value, site) for key, value in changes.items()}
        return site.job(name, HOST, oauth2=site.oauth2(audience, **filled))

    return make


def _filled(value: Any, site: Clinic) -> Any:
    if isinstance(value, list):
        return [_filled(each, site) for each in value]
    if isinstance(value, dict):
        return {key: _filled(each, site) for key, each in value.items()}
    if not isinstance(value, str):
        return value
    issuer = site.google.issuer.removeprefix("http://")
    return value.format(odd=site.odd.url, folder=site.folder, google=issuer)


def job(**changes: Any) -> Any:
    """Make a job for the service that is well, with changes to itself."""
    return lambda site, name: (
        site.job(name, HOST) | {key: _filled(value, site) for key, value in changes.items()}
    )


def token_from(path: str) -> Any:
    """Make a job whose token endpoint is the odd server's."""
    return oauth2(token_url="{odd}" + path)


def from_odd(path: str, **changes: Any) -> Any:
    """Make a job that scrapes the odd server, with a good token."""

    def make(site: Clinic, name: str) -> dict[str, Any]:
        host = site.odd.url.removeprefix("http://")
        made = site.job(name, host, f"https://{HOST}", scheme="http", metrics_path=path)
        del made["proxy_url"], made["tls_config"]
        return made | {"static_configs": [{"targets": [host]}]} | changes

    return make


def through_gateway(host: str = f"{HOST}:80", **changes: Any) -> Any:
    """Make a job that goes through the proxy's gateway."""

    def make(site: Clinic, name: str) -> dict[str, Any]:
        return {
            "job_name": name,
            "scheme": "http",
            "proxy_url": site.proxy.url,
            "basic_auth": {"username": "prometheus", "password_file": str(site.folder / "secret")},
            "static_configs": [{"targets": [host]}],
        } | {key: _filled(value, site) for key, value in changes.items()}

    return make


DEAD = free_port()
SECRET = "no such secret"

JOBS: dict[str, Job] = {
    "secret-unreadable": Job(
        "secret-unreadable",
        ("/nowhere/secret: No such file or directory",),
        oauth2(client_secret_file="/nowhere/secret"),
    ),
    "secret-is-a-folder": Job(
        "secret-unreadable",
        ("/clinic", ": not a regular file"),
        oauth2(client_secret_file="{folder}"),
    ),
    "proxy-not-running": Job(
        "proxy-not-running",
        ("Connection refused", "runscrape-proxy --listen"),
        oauth2(token_url=f"http://127.0.0.1:{DEAD}/token"),
    ),
    "proxy-unreachable": Job(
        "proxy-unreachable", ("DNS: ",), oauth2(token_url="http://proxy.invalid/token")
    ),
    "proxy-behind-a-proxy": Job(
        "proxy-unreachable",
        (f"by way of the HTTP proxy http://127.0.0.1:{DEAD}: connection: Connection refused",),
        oauth2(proxy_url=f"http://me:hunter2@127.0.0.1:{DEAD}"),
    ),
    "no-scheme": Job(
        "proxy-unreachable",
        ('"127.0.0.1:7777/token" is no URL with http:// or https://',),
        oauth2(token_url="127.0.0.1:7777/token"),
    ),
    "no-port": Job(
        "proxy-unreachable",
        ('"http://127.0.0.1:x/token" is no URL with http:// or https://',),
        oauth2(token_url="http://127.0.0.1:x/token"),
    ),
    "socks": Job("unknown", ("socks5://127.0.0.1:1",), job(proxy_url="socks5://127.0.0.1:1")),
    "proxy-tls": Job(
        "proxy-tls",
        ("unable to get local issuer certificate",),
        lambda site, name: oauth2(token_url=f"{site.secure.url}/token")(site, name),
    ),
    "not-the-proxy": Job("not-the-proxy", ("it answers 404",), token_from("/nothing")),
    "a-page": Job("not-the-proxy", ("it answers 200: Sign in",), token_from("/page")),
    "an-id-token-alone": Job(
        "not-the-proxy", ('it answers 200: {"id_token": "…',), token_from("/id-token")
    ),
    "created": Job("", (), token_from("/created")),
    "text-plain": Job("token-answer-unusable", ("no access_token",), token_from("/text")),
    "float": Job("token-answer-unusable", ("expires_in is 3599.5",), token_from("/float")),
    "wrong-secret": Job(
        "wrong-secret",
        ("--client-secret-file",),
        oauth2(client_secret_file=None, client_secret=SECRET),
    ),
    "not-in-inventory": Job(
        "not-in-inventory", ("runscrape generate --config",), oauth2("https://other.example.com")
    ),
    "proxy-host-unknown": Job(
        "proxy-host-unknown",
        ("--allowed-host 127.1",),
        lambda site, name: oauth2(token_url=f"http://127.1:{site.proxy.address[1]}/token")(
            site, name
        ),
    ),
    "proxy-forwarded": Job("proxy-forwarded", (), token_from("/forwarded")),
    "no-audience": Job("token-request-invalid", ("no audience",), oauth2(None)),
    "access-token": Job("not-an-id-token", (), token_from("/access-token")),
    "foreign-issuer": Job(
        "token-not-from-google", ("https://idp.example",), token_from("/foreign")
    ),
    "for-another": Job("token-for-another", ("https://another.example",), token_from("/another")),
    "expired": Job("token-expired", ("it ended",), token_from("/expired")),
    "refused": Job("token-refused", ("invalid_token",), token_from("/bad-signature")),
    "kept-for-ever": Job("token-kept-for-ever", (), token_from("/for-ever")),
    "too-short": Job("token-too-short", ("expires_in is 9",), token_from("/short")),
    "body-only": Job("secret-in-body-only", (), token_from("/body-only")),
    "no-address": Job(
        "no-address",
        ("DNS: ",),
        job(static_configs=[{"targets": ["api.invalid"]}], proxy_url=""),
    ),
    "no-connection": Job(
        "no-connection",
        ("Connection refused",),
        job(static_configs=[{"targets": [f"127.0.0.1:{DEAD}"]}], proxy_url=""),
    ),
    "untrusted": Job(
        "tls-untrusted", ("unable to get local issuer certificate", "ca_file"), job(tls_config={})
    ),
    "wrong-name": Job(
        "tls-wrong-name",
        ("Hostname mismatch",),
        lambda site, name: (
            site.job(name, HOST)
            | {"tls_config": site.way()["tls_config"] | {"server_name": "other.example.com"}}
        ),
    ),
    "out-of-date": Job(
        "tls-out-of-date",
        ("certificate has expired", "set the clock"),
        lambda site, name: (
            site.job(name, f"localhost:{site.outdated.port}")
            | {"proxy_url": "", "tls_config": {"ca_file": str(site.folder / "ca.pem")}}
            | {"oauth2": site.oauth2(f"https://{HOST}")}
        ),
    ),
    "no-tls": Job(
        "tls-failed",
        ("TLS: wrong version number",),
        job(static_configs=[{"targets": ["{google}"]}], proxy_url=""),
    ),
    "corporate-down": Job(
        "http-proxy-refused",
        (f"http://127.0.0.1:{DEAD}: connection: Connection refused", "correct the job's proxy_url"),
        job(proxy_url=f"http://me:hunter2@127.0.0.1:{DEAD}"),
    ),
    "corporate": Job(
        "http-proxy-refused",
        ("CONNECT",),
        job(static_configs=[{"targets": [f"{HOST}:8443"]}]),
    ),
    "ca-missing": Job(
        "ca-file-missing",
        ("/nowhere/ca.pem",),
        from_odd("/metrics", tls_config={"ca_file": "/nowhere/ca.pem"}),
    ),
    "followed": Job("redirect-followed", ("/moved", "/metrics itself"), from_odd("/moved")),
    "led-away": Job("redirect", ("goes there with the token",), from_odd("/away")),
    "led-to-no-url": Job(
        "redirect", ("302 to nowhere",), from_odd("/no-url", follow_redirects=False)
    ),
    "led-on-to-no-url": Job("redirect", ("302 to nowhere",), from_odd("/no-url")),
    "no-gzip": Job(
        "malformed", ("Content-Encoding is gzip, and it is none",), from_odd("/no-gzip")
    ),
    "brotli": Job(
        "malformed",
        ("not UTF-8 (Prometheus does not undo its Content-Encoding, br)",),
        from_odd("/br"),
    ),
    "balancer": Job("load-balancer", ("502",), from_odd("/balancer")),
    "teapot": Job(
        "unknown", ("418 by an unknown server (nginx)", "short and stout"), from_odd("/teapot")
    ),
    "no-http": Job("unknown", ("speaks no HTTP",), from_odd("/no-http")),
    "clock": Job("clock-off", ("behind",), from_odd("/clock")),
    "counters": Job("counters-jump", ("went from 9 to 4",), from_odd("/counters")),
    "a-url": Job(
        "bad-address",
        (f'"https://{HOST}/metrics"', "write HOST or HOST:PORT as target"),
        job(
            relabel_configs=[
                {"target_label": "__address__", "replacement": f"https://{HOST}/metrics"}
            ]
        ),
    ),
    "dropped": Job(
        "dropped",
        ("1m30s is longer than the interval 1m",),
        job(static_configs=[{"targets": [HOST], "labels": {"__scrape_timeout__": "1m30s"}}]),
    ),
    "no-targets": Job(
        "no-targets",
        ("there is no file", "runscrape targets --config ", "--output ", "/nowhere.json"),
        job(static_configs=[], file_sd_configs=[{"files": ["{folder}/nowhere.json"]}]),
    ),
    "no-glob": Job(
        "no-targets",
        ("there is no file", "nowhere/*.json"),
        job(static_configs=[], file_sd_configs=[{"files": ["{folder}/nowhere/*.json"]}]),
    ),
    "targets-dead": Job(
        "proxy-not-running",
        (f"http://127.0.0.1:{DEAD}/targets: Connection refused", "--gateway --inventory"),
        through_gateway(
            proxy_url=f"http://127.0.0.1:{DEAD}",
            static_configs=[],
            http_sd_configs=[{"url": f"http://127.0.0.1:{DEAD}/targets"}],
        ),
    ),
    "gateway": Job(
        "not-in-inventory", ("no target of a kept",), through_gateway("other.example.com:80")
    ),
    "gateway-newcomer": Job(
        "not-in-proxy-inventory",
        ("no target of a kept service", "--gateway --inventory"),
        through_gateway(uri("newcomer").removeprefix("https://") + ":80"),
    ),
    "gateway-secret": Job(
        "wrong-secret",
        (),
        through_gateway(basic_auth={"username": "prometheus", "password": "wrong"}),
    ),
    "gateway-https": Job("gateway-wants-http", (), through_gateway(HOST, scheme="https")),
    "gateway-dead": Job(
        "proxy-not-running", (), through_gateway(proxy_url=f"http://127.0.0.1:{DEAD}")
    ),
    "gateway-busy": Job(
        "gateway-busy",
        ("8 scrapes of busy.example.com are under way already",),
        through_gateway("busy-x7k2mq4wza-uc.a.run.app:80", proxy_url="{odd}"),
    ),
    "gateway-off": Job("gateway-off", ("--gateway",), through_gateway(proxy_url="{odd}")),
}


@contextlib.contextmanager
def hand_made(site: Clinic) -> Iterator[list[dict[str, Any]]]:
    """Give the jobs, with the odd server ready for them."""
    site.odd.scripts = scripts(site)
    site.odd.otherwise = otherwise
    yield [job.make(site, name) for name, job in JOBS.items()]


def otherwise(client: Connection, asked: Asked) -> bool:
    """Answer as a proxy without --gateway does, where a scrape is to be passed on."""
    if asked.target.startswith("http://busy"):
        said = b"runscrape-proxy: 8 scrapes of busy.example.com are under way already\n"
        return answers(503, said, Content_Type="text/plain")(client, asked)
    if asked.target.startswith("http://"):
        said = b"runscrape-proxy: this is no forward proxy: start runscrape-proxy with --gateway\n"
        return answers(403, said, Content_Type="text/plain")(client, asked)
    return answers(404, b"nothing here")(client, asked)


def scripts(site: Clinic) -> dict[str, Script]:
    """What the odd server answers, by path."""
    google, audience = site.google, f"https://{HOST}"
    good = google.id_token(audience)
    granted = {"access_token": good, "token_type": "Bearer", "expires_in": 3570}

    def token(value: str, **changes: Any) -> Script:
        content = {
            key: v
            for key, v in (granted | {"access_token": value} | changes).items()
            if v is not None
        }
        return answers(200, content, **JSON)

    def body_only(client: Connection, asked: Asked) -> bool:
        known = b"client_secret=" in asked.body
        refused = answers(401, {"error": "invalid_client"}, **JSON)
        return (token(good) if known else refused)(client, asked)

    turn = itertools.cycle([9, 4])

    def counters(client: Connection, asked: Asked) -> bool:
        body = f"# TYPE a_total counter\na_total {next(turn)}\n".encode()
        return answers(200, body, Content_Type="text/plain")(client, asked)

    text = {"Content_Type": "text/plain; version=0.0.4"}
    return {
        "/page": answers(200, b"<title>Sign in</title>", Content_Type="text/html"),
        "/text": answers(200, json.dumps(granted).encode(), Content_Type="text/plain"),
        "/id-token": answers(200, {"id_token": good}, **JSON),
        "/created": answers(201, granted, **JSON),
        "/float": token(good, expires_in=3599.5),
        "/forwarded": answers(403, {"error": "access_denied", "error_description": "no"}, **JSON),
        "/access-token": token("ya29.a0AfB_byC"),
        "/foreign": token(google.id_token(audience, iss="https://idp.example")),
        "/another": token(google.id_token("https://another.example")),
        "/expired": token(google.id_token(audience, lifetime=-60)),
        "/bad-signature": token(google.id_token(audience, key="foreign")),
        "/for-ever": token(good, expires_in=None),
        "/short": token(good, expires_in=9),
        "/body-only": body_only,
        "/metrics": answers(200, METRICS, **text),
        "/moved": answers(302, b"", Location="/metrics"),
        "/away": answers(302, b"", Location=f"http://127.0.0.1:{DEAD}/metrics"),
        "/no-url": answers(302, b"", Location="http://[::1", Server=GOOGLE),
        "/no-gzip": answers(200, METRICS, Content_Encoding="gzip", **text),
        "/br": answers(200, b"\x8b\x02\x80a 1\n", Content_Encoding="br", **text),
        "/balancer": answers(
            502,
            b"<html><head><title>502 Server Error</title></head><h1>Error: Server Error</h1><h2>"
            b"The server encountered a temporary error and could not complete your request.</h2>",
            Content_Type="text/html",
        ),
        "/teapot": answers(418, b"<h1>short and stout</h1>", Server="nginx"),
        "/no-http": sends(b"SSH-2.0-OpenSSH_9.2\r\n"),
        "/clock": answers(200, METRICS, Date=formatdate(time.time() + 300), Server=GOOGLE, **text),
        "/counters": counters,
    }
