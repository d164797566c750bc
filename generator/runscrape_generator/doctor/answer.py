"""Who answered: the app, or something between Prometheus and it. A pure function of the answer.

The order of the checks is that of how sure each sign is. Google may reword its sentences at any
time, so pages are known by their frame: the prefix, the number in the title, ``<h1>Error:``.
"""

from __future__ import annotations

import re
from enum import StrEnum
from urllib.parse import urljoin

from runscrape_generator.doctor.evidence import Answer
from runscrape_generator.text import shortened


class Who(StrEnum):
    """Where an answer was made."""

    APP = "the app"
    CLOUD_RUN = "Cloud Run's front end"
    GOOGLE = "the Google Front End"
    IAP = "Identity-Aware Proxy"
    LOAD_BALANCER = "a load balancer"
    HTTP_PROXY = "an HTTP proxy on the way"
    GATEWAY = "runscrape-proxy's gateway"
    UNKNOWN = "an unknown server"


_IAP_MARK = "x-goog-iap-generated-response"
_IAP_WORDS = b"invalid iap credentials"
_GATEWAY_WORDS = b"runscrape-proxy: "
"""How each answer of the gateway's own begins."""

_CLOUD_RUN_PAGE = re.compile(
    rb"<html>\s*<head>.*?<title>\d{3} [^<]*</title>.*?<h1>Error: ", re.DOTALL | re.IGNORECASE
)
_GOOGLE_PAGE = re.compile(
    rb"<!doctype html>\s*<html lang=\"?en\"?>.*?<title>Error \d{3} \(.*?\)!!1</title>",
    re.DOTALL | re.IGNORECASE,
)
_LOAD_BALANCER_WORDS = (
    b"no healthy upstream",
    b"default backend - 404",
    b"fault filter abort",
    b"The server encountered a temporary error and could not complete your request",
)
"""Google's load balancers and the proxies (Envoy) that they are made of."""

_PROXY_HEADERS = frozenset({"proxy-authenticate", "x-squid-error", "x-bluecoat-via"})
_PROXY_SERVERS = ("squid", "zscaler", "bluecoat", "mcafee", "forcepoint", "mitmproxy")
_PAGE = 4096
"""Bytes in which a page shows what it is."""


def who_answered(answer: Answer, *, gateway: bool = False) -> Who:
    """Tell who made ``answer``; ``gateway`` where runscrape-proxy was asked to make the scrape."""
    start = answer.body[:_PAGE].lstrip()
    passed = _passed_cloud_run(answer)
    signs = (
        (Who.GATEWAY, gateway and start.startswith(_GATEWAY_WORDS)),
        (Who.IAP, answer.headers.get(_IAP_MARK) == "true" or start.lower().startswith(_IAP_WORDS)),
        (Who.HTTP_PROXY, _is_http_proxy(answer)),
        (Who.LOAD_BALANCER, any(words in start for words in _LOAD_BALANCER_WORDS)),
        (Who.CLOUD_RUN, bool(_CLOUD_RUN_PAGE.match(start))),
        (Who.GOOGLE, bool(_GOOGLE_PAGE.match(start)) and not passed),
        (Who.APP, passed),
    )
    return next((who for who, sign in signs if sign), Who.UNKNOWN)


def _passed_cloud_run(answer: Answer) -> bool:
    """Whether it carries what Cloud Run puts on every answer of an app."""
    server = answer.headers.get("server", "").lower()
    return server == "google frontend" or "x-cloud-trace-context" in answer.headers


def _is_http_proxy(answer: Answer) -> bool:
    server = answer.headers.get("server", "").lower()
    return not _PROXY_HEADERS.isdisjoint(answer.headers) or server.startswith(_PROXY_SERVERS)


MOST_REDIRECTS = 10
"""How many Prometheus follows, as Go's client has it."""
MOVED = {301, 302, 303, 307, 308}


def sent_on(answer: Answer | None, url: str) -> str:
    """Where an answer of *url* sends a client that follows redirects; empty where it sends none."""
    return redirection(answer, url) if answer and answer.status in MOVED else ""


def redirection(answer: Answer, url: str) -> str:
    """Where an answer of *url* sends to, as a whole URL; empty where it names none."""
    try:
        return urljoin(url, answer.headers["location"])
    except (KeyError, ValueError):  # no such header, or one that is no URL
        return ""


def first_line(answer: Answer, limit: int = 120) -> str:
    """Give the beginning of a body on one line, tags left out; what an unknown answer shows."""
    text = re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", answer.text[:_PAGE], flags=re.DOTALL)
    return shortened(text, limit)
