"""Which audiences Cloud Run takes, and in which header."""

from __future__ import annotations

import requests

from tests.google.belief import belief, expect, need
from tests.google.front_end import PATH, guarded
from tests.google.site import Site

RECORDED = "recorded answers"


def passes(site: Site, audience: str, url: str = "") -> tuple[bool, int]:
    """Whether a token for the audience gets past Cloud Run, and the status."""
    need(site.id_token, "credentials that mint ID tokens")
    own = site.with_token(guarded(site), site.mint(site.uri))
    need(_let_in(own), "roles/run.invoker on the service")
    answer = site.with_token(url or guarded(site), site.mint(audience))
    return _let_in(answer), answer.status_code


def _let_in(answer: requests.Response) -> bool:
    refused = (requests.codes.unauthorized, requests.codes.forbidden)
    return answer.status_code not in refused or "<h1>Error: " not in answer.text


def takes(site: Site, audience: str, url: str = "") -> None:
    let_in, status = passes(site, audience, url)
    expect(let_in, f"status {status}")


def refuses(site: Site, audience: str, url: str = "") -> None:
    let_in, status = passes(site, audience, url)
    expect(not let_in and status == requests.codes.unauthorized, f"status {status}")


@belief("audience.uri", "Cloud Run's page Custom audiences", "A")
def uri(site: Site) -> None:
    """The service's ``uri`` is taken."""
    takes(site, site.uri)


@belief("audience.every-url", "common use", "C")
def every_url(site: Site) -> None:
    """Each of ``urls`` is taken at each other's host."""
    for audience in site.service["urls"]:
        for url in site.service["urls"]:
            if "cloudfunctions.net" not in url:
                takes(site, audience, url + PATH)


@belief("audience.final-slash", "GoogleCloudPlatform/python-docs-samples PR 7795", "A")
def final_slash(site: Site) -> None:
    """A final slash is taken."""
    takes(site, site.uri + "/")


@belief("audience.path", RECORDED, "B")
def path(site: Site) -> None:
    """A path below the root is refused."""
    refuses(site, site.uri + PATH)


@belief("audience.bare-host", "nothing found", "U")
def bare_host(site: Site) -> None:
    """The host without ``https://`` is refused."""
    refuses(site, site.uri.removeprefix("https://"))


@belief("audience.upper-case", "nothing found", "U")
def upper_case(site: Site) -> None:
    """The URL in upper case is refused."""
    refuses(site, site.uri.upper())


@belief("audience.port", "nothing found", "U")
def port(site: Site) -> None:
    """The URL with its port is refused."""
    refuses(site, site.uri + ":443")


@belief("audience.http", "nothing found", "U")
def http(site: Site) -> None:
    """``http://`` in place of ``https://`` is refused."""
    refuses(site, site.uri.replace("https://", "http://"))


@belief("audience.tag", RECORDED, "B")
def tag(site: Site) -> None:
    """A tag's URL is refused as audience at both hosts; the service's URL is taken at the tag's."""
    tags = [each["uri"] for each in site.service.get("trafficStatuses", ()) if each.get("tag")]
    url = need(tags, "a service with a tag")[0]
    refuses(site, url)
    refuses(site, url, url + PATH)
    takes(site, site.uri, url + PATH)


@belief("audience.custom", "Cloud Run's page Custom audiences", "A")
def custom(site: Site) -> None:
    """A custom audience is taken, to the letter."""
    audience = need(site.service.get("customAudiences"), "a service with a custom audience")[0]
    takes(site, audience)
    refuses(site, audience + "/")


@belief("audience.own-header", "Cloud Run's page Troubleshooting", "A")
def own_header(site: Site) -> None:
    """X-Serverless-Authorization is checked where it is there, and Authorization left alone."""
    let_in, _ = passes(site, site.uri)
    need(let_in, "roles/run.invoker on the service")
    good, bad = f"Bearer {site.mint(site.uri)}", "Bearer garbage"
    url = guarded(site)
    taken = site.get(url, X_Serverless_Authorization=good, Authorization=bad)
    expect(_let_in(taken), f"status {taken.status_code} for a good token in its own header")
    refused = site.get(url, X_Serverless_Authorization=bad, Authorization=good)
    expect(not _let_in(refused), f"status {refused.status_code} for a bad one there")
