"""From evidence to a cause, for what no emulator does: a pure function, by tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runscrape_generator.doctor.diagnose import diagnose
from runscrape_generator.doctor.evidence import (
    Answer,
    Claims,
    Evidence,
    Exchange,
    Facts,
    Failed,
    Failure,
    Stage,
    Step,
    TokenAnswer,
)
from runscrape_generator.doctor.targets import Limits, Secret, Target, TokenRequest, Transport
from runscrape_generator.model import Service
from tests.doctor.test_answer import APP, ROBOT

URL = "https://api-x7k2mq4wza-uc.a.run.app"
SERVICE = Service(
    project="demo", region="us-central1", name="api", uri=URL, latest_ready_revision="api-1"
)
TARGET = Target(job="api", url=f"{URL}:443/metrics", service=SERVICE, timeout=10.0)
ASKING = replace(TARGET, token=TokenRequest(url="http://x/token", params=(("audience", URL),)))
GATEWAY = replace(
    TARGET,
    url="http://api-x7k2mq4wza-uc.a.run.app:80/metrics",
    transport=Transport(proxy_url="http://127.0.0.1:7777"),
)
CLAIMS = Claims(
    issuer="https://accounts.google.com", audience=URL, email="a@b.iam.gserviceaccount.com"
)
TOKEN = TokenAnswer(token=Secret("x"), claims=CLAIMS, expires_in=3600, exchanges=(Exchange("x"),))
PUBLIC = {"__meta_cloudrun_invoker_iam_disabled": "true"}
INSIDE = replace(SERVICE, ingress="internal")


def page(status: int, title: str, words: str = "") -> Answer:
    body = (
        f"<html><head><title>{status} {title}</title></head><body>"
        f"<h1>Error: {title}</h1><h2>{words}</h2></body></html>"
    )
    return Answer(status, {}, body.encode())


def scraped(
    answer: Answer | None, seconds: float = 0.1, failure: Failure | None = None
) -> Exchange:
    steps = (Step(Stage.ANSWER, seconds, ""),)
    return Exchange("x", steps, answer, failure, seconds, 1.0)


def seen(answer: Answer | None, target: Target = ASKING, **more: Any) -> Evidence:
    token = TOKEN if target.token is not None else None
    return Evidence(target=target, scrape=scraped(answer), **{"token": token, **more})


def of_gateway(status: int, words: str) -> Evidence:
    return seen(Answer(status, {}, f"runscrape-proxy: {words}\n".encode()), GATEWAY)


LATE = scraped(None, 20.0, Failure(Stage.ANSWER, Failed.TIMEOUT, "timed out"))
METRICS = Answer(200, APP | {"content-type": "text/plain"}, b"a 1\n")
GAVE_UP = of_gateway(504, "api did not answer within 9.5 s")

CASES = {
    "a corporate proxy": (seen(Answer(407, {"proxy-authenticate": "Basic"})), "http-proxy-refused"),
    "a host that Google does not know": (seen(Answer(404, {}, ROBOT)), "not-served"),
    "a new page": (seen(page(418, "I'm a teapot")), "unknown"),
    "404, and all is open": (
        seen(page(404, "Page not found"), facts=Facts(service=SERVICE, listed=True)),
        "not-served",
    ),
    "404 of nobody's": (seen(page(404, "x"), replace(ASKING, service=None)), "not-served"),
    "404, perimeter": (
        seen(page(404, "x"), facts=Facts(perimeter=True, problem="VPC Service Controls")),
        "service-controls",
    ),
    "403, by its words": (
        seen(page(403, "x", "Request is prohibited by organization's policy")),
        "service-controls",
    ),
    "401 without a token": (seen(page(401, "Unauthorized"), TARGET), "not-public"),
    "403 for the gateway without a token": (
        seen(page(403, "Forbidden"), replace(GATEWAY, meta=PUBLIC), token=None),
        "not-public",
    ),
    "as large as the limit, which Prometheus refuses": (
        seen(METRICS, replace(ASKING, limits=Limits(body_bytes=4))),
        "body-too-large",
    ),
    "the old 403 of ingress": (
        seen(page(403, "Forbidden", "Access is forbidden."), replace(ASKING, service=INSIDE)),
        "ingress",
    ),
    "503 of nobody's": (seen(page(503, "x"), replace(ASKING, service=None)), "no-instance"),
    "502 by Cloud Run": (seen(page(502, "Server Error")), "load-balancer"),
    "429 in plain text": (seen(Answer(429, APP, b"Rate exceeded.")), "max-instances"),
    "429 of the app's own": (seen(Answer(429, APP, b"slow down")), "app-error"),
    "a sign-in page": (
        seen(Answer(302, APP | {"location": "https://accounts.google.com/o/oauth2/v2/auth?x"})),
        "iap",
    ),
    "401 through the gateway": (
        seen(page(401, "x"), replace(GATEWAY, meta={"__meta_cloudrun_audience": "https://x"})),
        "audience-differs",
    ),
    "the gateway has no token": (
        of_gateway(
            503,
            "no token: Google answered 403 (Permission 'iam.serviceAccounts.getOpenIdToken' denied",
        ),
        "no-impersonation-role",
    ),
    "the gateway has no inventory": (
        of_gateway(503, "no inventory could be read yet (x)"),
        "not-in-proxy-inventory",
    ),
    "the gateway meets TLS": (
        of_gateway(502, "TLS to api failed (self-signed): if a proxy opens TLS here"),
        "tls-untrusted",
    ),
    "the gateway has no DNS": (of_gateway(502, "api has no address here (DNS)"), "no-address"),
    "the gateway meets a proxy": (
        of_gateway(502, "the proxy on the way to api did not let us through (403)"),
        "http-proxy-refused",
    ),
    "the gateway cannot connect": (of_gateway(502, "no connection to api (x)"), "no-connection"),
    "the gateway's answer breaks": (
        of_gateway(502, "api broke its answer off half way (x)"),
        "broken-off",
    ),
    "the gateway says something new": (of_gateway(418, "tea"), "unknown"),
    "forwarded": (of_gateway(403, "requests that were forwarded are refused"), "proxy-forwarded"),
    "too slow for the gateway": (replace(GAVE_UP, again=scraped(METRICS, 12.0)), "too-slow"),
    "cold for the gateway": (replace(GAVE_UP, again=scraped(METRICS, 0.2)), "cold-start"),
    "endless for the gateway": (replace(GAVE_UP, again=GAVE_UP.scrape), "hangs"),
    "cold, and late": (replace(seen(None), scrape=LATE, again=scraped(METRICS, 0.2)), "cold-start"),
    "JSON-like metrics": (
        seen(replace(METRICS, body=b'{"a.b"} 1\n')),
        None,
    ),
    "redirected to itself": (
        seen(Answer(301, APP | {"location": "http://api-x7k2mq4wza-uc.a.run.app/metrics"})),
        "redirect",
    ),
    "a proxy that answers by SSH": (
        seen(
            None,
            token=TokenAnswer(
                exchanges=(scraped(None, 0.1, Failure(Stage.ANSWER, Failed.NOT_HTTP, "SSH-2.0")),)
            ),
        ),
        "not-the-proxy",
    ),
    "no token, for a new reason": (
        seen(
            None,
            token=TokenAnswer(
                exchanges=(scraped(Answer(503)),),
                error="temporarily_unavailable",
                description="Google is on holiday",
            ),
        ),
        "no-token",
    ),
    "could not be examined": (Evidence(target=ASKING, trouble="TimeoutError"), "unknown"),
    "nothing seen": (Evidence(target=TARGET), None),
}


@pytest.mark.parametrize("name", CASES)
def test_cause(name: str) -> None:
    """What was seen leads to this cause, and to no other."""
    evidence, cause = CASES[name]
    found = diagnose(evidence, {}).cause
    assert (found.cause.name if found else None) == cause


@pytest.mark.parametrize(
    ("audience", "offered"),
    [
        ("https://shop.example.com", True),
        ("https://other-x7k2mq4wza-uc.a.run.app", False),
        ("https://us-central1-demo.cloudfunctions.net/other", False),
        ("https://a.example.com,https://b.example.com", False),
        ("^:^https://a.example.com", False),
    ],
)
def test_an_audience_to_add(audience: str, offered: bool) -> None:  # noqa: FBT001
    """An audience is offered as a custom one only alone, and where it is no other service's URL."""
    wanted = replace(ASKING, token=TokenRequest(url="http://x", params=(("audience", audience),)))
    claims = replace(CLAIMS, audience=audience)
    evidence = seen(page(401, "x"), wanted, token=replace(TOKEN, claims=claims))
    found = diagnose(evidence, {}).cause
    assert found is not None
    assert found.cause.name == "audience-differs"
    assert bool(found.commands) is offered
    assert all(words[-2:] == ("--add-custom-audiences", audience) for words in found.commands)


SCALED: dict[str, tuple[dict[str, Any], str, str]] = {
    "more than one": ({"max_instances": 7}, "maxInstances is 7", "--max-instances 1"),
    "not said": ({}, "maxInstances is not set, so 100", "--max-instances 1"),
    "by hand": ({"manual_instances": 3}, "3 instances, by manual scaling", "--scaling 1"),
    "one": ({"max_instances": 1}, "", ""),
    "one by hand": ({"manual_instances": 1}, "", ""),
    "none by hand": ({"manual_instances": 0}, "", ""),
}


@pytest.mark.parametrize("name", SCALED)
def test_several_instances(name: str) -> None:
    """Several instances are warned of, whoever sets their number, with what makes it one."""
    changes, said, option = SCALED[name]
    service = replace(SERVICE, min_instances=1, **changes)
    found = diagnose(seen(METRICS, replace(ASKING, service=service)), {}).warnings
    assert [each.detail for each in found] == ([said] if said else [])
    for each in found:
        assert each.cause.name == "many-instances"
        assert " ".join(each.commands[0]).endswith(
            f"update api --project demo --region us-central1 {option}"
        )


def test_an_audience_of_nobodys_service() -> None:
    """Without any facts a run.app host takes its own URL as audience, as far as is known."""
    unknown = replace(ASKING, service=None)
    other = replace(CLAIMS, audience="https://other.example.com")
    wanted = replace(
        unknown, token=TokenRequest(url="http://x", params=(("audience", other.audience),))
    )
    found = diagnose(seen(page(401, "x"), wanted, token=replace(TOKEN, claims=other)), {}).cause
    assert found is not None
    assert found.cause.name == "audience-differs"
    assert f"the service takes {URL}" in found.detail
    custom = replace(wanted, url="https://shop.example.com:443/metrics")
    found = diagnose(seen(page(401, "x"), custom, token=replace(TOKEN, claims=other)), {}).cause
    assert found is not None
    assert found.cause.name == "token-refused"


@pytest.mark.parametrize(
    ("asked", "got", "cause"),
    [
        (f"{URL}/", URL, ""),
        (URL.upper(), URL, ""),
        (f"{URL}:443", URL, ""),
        ("https://api-1.us-central1.run.app", URL, ""),
        (URL, "https://other.example.com", "token-for-another"),
        (URL, "", "token-for-another"),
    ],
)
def test_another_audience_than_was_asked_for(asked: str, got: str, cause: str) -> None:
    """A token for the service itself is no token for another, however its audience was written."""
    request = TokenRequest(url="http://x/token", params=(("audience", asked),))
    token = replace(TOKEN, claims=replace(CLAIMS, audience=got))
    found = diagnose(seen(METRICS, replace(TARGET, token=request), token=token), {})
    assert (found.cause.cause.name if found.cause else "") == cause
