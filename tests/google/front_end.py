"""What Cloud Run answers in place of the app: statuses, pages, headers."""

from __future__ import annotations

import requests

from tests.google.belief import belief, equal, expect, need
from tests.google.site import Service, Site

TROUBLE = "Cloud Run's page Troubleshooting"
RECORDED = "recorded answers"
BAD_TOKEN = (
    'Bearer error="invalid_token" error_description="The access token could not be verified"'
)
NO_RIGHT = "Your client does not have permission to the requested URL <code>{}</code>."
NO_RIGHT_TO_GET = (
    "Your client does not have permission to get URL <code>{}</code> from this server."
)
PATH = "/metrics"


def guarded(site: Site) -> str:
    """The URL of a page of the service, which must want a token."""
    private = not site.service.get("invokerIamDisabled") and not site.service.get("iapEnabled")
    need(private and site.service.get("ingress") == "INGRESS_TRAFFIC_ALL", "a private service")
    return site.uri + PATH


def is_page(answer: requests.Response, status: int, words: str, sentence: str) -> None:
    """Expect a page of Cloud Run's front end."""
    equal(answer.status_code, status, "status")
    equal(answer.headers.get("Content-Type"), "text/html; charset=UTF-8", "Content-Type")
    text = answer.text
    expect(text.lstrip("\n").startswith("<html><head>"), text[:80])
    for part in (f"<title>{status} {words}</title>", f"<h1>Error: {words}</h1>", sentence):
        expect(part in text, text)


def is_bad_token(answer: requests.Response) -> None:
    """Expect the 401 that all bad tokens get."""
    is_page(answer, 401, "Unauthorized", NO_RIGHT.format(PATH))
    equal(answer.headers.get("WWW-Authenticate"), BAD_TOKEN, "WWW-Authenticate")


@belief("front-end.no-token", TROUBLE, "A")
def no_token(site: Site) -> None:
    """A request without a token is 403, and the page says "to get URL … from this server"."""
    is_page(site.get(guarded(site)), 403, "Forbidden", NO_RIGHT_TO_GET.format(PATH))


@belief("front-end.no-token-has-no-challenge", "none is documented", "U")
def no_challenge(site: Site) -> None:
    """That 403 has no WWW-Authenticate."""
    equal(site.get(guarded(site)).headers.get("WWW-Authenticate"), None, "WWW-Authenticate")


@belief("front-end.other-scheme", "one file says 401", "C")
def other_scheme(site: Site) -> None:
    """Another scheme than Bearer is as good as no token: 403."""
    equal(site.get(guarded(site), Authorization="Basic YTpi").status_code, 403, "status")


@belief("front-end.garbage", "google/adk-python#3814", "B")
def garbage(site: Site) -> None:
    """A token that is none is 401, with one page and one WWW-Authenticate."""
    is_bad_token(site.with_token(guarded(site), "garbage"))


@belief("front-end.access-token", RECORDED, "B")
def access_token(site: Site) -> None:
    """An OAuth access token in place of an ID token is the same 401."""
    is_bad_token(site.with_token(guarded(site), site.access_token()))


@belief("front-end.wrong-audience", RECORDED, "B")
def wrong_audience(site: Site) -> None:
    """A good token for another audience is the same 401."""
    need(site.id_token, "credentials that mint ID tokens")
    is_bad_token(site.with_token(guarded(site), site.mint("https://example.com")))


@belief("front-end.expired", "no other description was found", "C")
def expired(site: Site) -> None:
    """An expired token is the same 401: nothing says that it has expired."""
    make = need(site.expired, "a token that has expired")
    is_bad_token(site.with_token(guarded(site), make(site.uri)))


@belief("front-end.two-tokens", TROUBLE, "A")
def two_tokens(site: Site) -> None:
    """Two tokens in one Authorization header are 401."""
    need(site.id_token, "credentials that mint ID tokens")
    token = site.mint(site.uri)
    equal(site.with_token(guarded(site), f"{token}, {token}").status_code, 401, "status")


@belief("front-end.no-invoker", TROUBLE, "A")
def no_invoker(site: Site) -> None:
    """A good token of an identity without roles/run.invoker gets the 403 of a missing token."""
    need(site.id_token, "credentials that mint ID tokens")

    def closed(service: Service) -> bool:
        if service.get("ingress") != "INGRESS_TRAFFIC_ALL" or service.get("iapEnabled"):
            return False
        answer = site.with_token(service["uri"] + PATH, site.mint(service["uri"]))
        return bool(answer.status_code == requests.codes.forbidden)

    service = need(site.find(closed), "a service that the identity may not invoke")
    answer = site.with_token(service["uri"] + PATH, site.mint(service["uri"]))
    is_page(answer, 403, "Forbidden", NO_RIGHT_TO_GET.format(PATH))


@belief("front-end.headers-of-refusals", "nothing found", "U")
def headers_of_refusals(site: Site) -> None:
    """401 and 403 pages have ``Server: Google Frontend`` and a trace header."""
    for answer in (site.get(guarded(site)), site.with_token(guarded(site), "garbage")):
        equal(answer.headers.get("Server"), "Google Frontend", "Server")
        expect("X-Cloud-Trace-Context" in answer.headers, sorted(answer.headers))


@belief("front-end.headers-of-the-app", RECORDED, "B")
def headers_of_the_app(site: Site) -> None:
    """An app's answer has ``Server: Google Frontend`` and a trace header as well."""
    need(site.id_token, "credentials that mint ID tokens")
    answer = site.with_token(f"{site.uri}/{site.nonsense}", site.mint(site.uri))
    equal(answer.headers.get("Server"), "Google Frontend", "Server")
    expect("X-Cloud-Trace-Context" in answer.headers, sorted(answer.headers))


@belief("front-end.no-such-service", RECORDED, "B")
def no_such_service(site: Site) -> None:
    """A run.app host that is no service's is 404 with a page that does not name the path."""
    answer = site.get(site.uri.replace(f"//{site.name}-", f"//{site.nonsense}-", 1) + PATH)
    sentence = "The requested URL was not found on this server."
    is_page(answer, 404, "Page not found", sentence)
    expect(PATH not in answer.text, answer.text)


@belief("front-end.internal", TROUBLE, "A")
def internal(site: Site) -> None:
    """A service with internal ingress is that 404 from outside, whatever the token."""
    service = site.find(lambda it: it.get("ingress", "").startswith("INGRESS_TRAFFIC_INTERNAL"))
    url = need(service, "a service with internal ingress")["uri"] + PATH
    for answer in (site.get(url), site.with_token(url, "garbage")):
        is_page(answer, 404, "Page not found", "The requested URL was not found on this server.")


@belief("front-end.healthz", "Cloud Run's known issues; kkdai/linebot-file PR 5", "B")
def healthz(site: Site) -> None:
    """The Google Front End answers /healthz: another 404 page, without Cloud Run's headers."""
    answer = site.get(site.uri + "/healthz")
    equal(answer.status_code, 404, "status")
    expect("<title>Error 404 (Not Found)!!1</title>" in answer.text, answer.text[:400])
    expect("That\u2019s an error." in answer.text, answer.text[:400])
    ours = {"Server", "X-Cloud-Trace-Context"} & set(answer.headers)
    equal(ours, set(), "Cloud Run's headers")


@belief("front-end.healthz-slash", RECORDED, "B")
def healthz_slash(site: Site) -> None:
    """/healthz/ is not taken: it is judged like any path."""
    equal(site.get(guarded(site).removesuffix(PATH) + "/healthz/").status_code, 403, "status")


def behind_iap(site: Site) -> str:
    service = need(site.find(lambda it: it.get("iapEnabled")), "a service behind IAP")
    return str(service["uri"] + PATH)


@belief("iap.no-token", "a recorded trial", "B")
def iap_no_token(site: Site) -> None:
    """IAP sends a client without a token to Google's sign-in, with a cookie and a marker."""
    answer = site.get(behind_iap(site))
    equal(answer.status_code, 302, "status")
    place = answer.headers.get("Location", "")
    expect(place.startswith("https://accounts.google.com/o/oauth2/v2/auth?"), place[:60])
    cookie = answer.headers.get("Set-Cookie", "")
    expect(cookie.startswith("GCP_IAP_XSRF_NONCE_"), cookie[:20])
    equal(answer.headers.get("X-Goog-IAP-Generated-Response"), "true", "marker")
    equal(answer.text, "Invalid IAP credentials: empty token", "body")


@belief("iap.garbage", "a recorded trial", "B")
def iap_garbage(site: Site) -> None:
    """IAP's 401 for garbage says "Unable to parse JWT" in a plain sentence."""
    answer = site.with_token(behind_iap(site), "garbage")
    equal(answer.status_code, 401, "status")
    equal(answer.text.strip().lower(), "invalid iap credentials: unable to parse jwt", "body")
    equal(answer.headers.get("X-Goog-IAP-Generated-Response"), "true", "marker")


@belief("iap.service-url", "a recorded trial", "B")
def iap_service_url(site: Site) -> None:
    """IAP does not take the service's own URL as audience: 401 with "Invalid JWT audience"."""
    need(site.id_token, "credentials that mint ID tokens")
    url = behind_iap(site)
    answer = site.with_token(url, site.mint(url.removesuffix(PATH)))
    equal(answer.status_code, 401, "status")
    expect("Invalid JWT audience" in answer.text, answer.text)
