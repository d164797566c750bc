"""Each failure says what Google said, and what to do about it."""

from __future__ import annotations

import http.client
from typing import Any

import google.api_core.exceptions
import google.auth.exceptions
import pytest
import requests.exceptions
import urllib3

from runscrape_generator.cloudrun.failures import failure, folded, search_failure
from runscrape_generator.cloudrun.remedies import Circumstances
from runscrape_generator.cloudrun.rest import ListingError
from runscrape_generator.cloudrun.retries import CallFailedError, is_transient
from runscrape_generator.model import ScopeFailure

exceptions: Any = google.api_core.exceptions  # neither annotates its constructors
auth: Any = google.auth.exceptions

SCRAPER = Circumstances(member="serviceAccount:prometheus@demo.iam.gserviceaccount.com")
GRANT = (
    "grant roles/run.viewer on project demo to prometheus@demo.iam.gserviceaccount.com: 'gcloud "
    "projects add-iam-policy-binding demo "
    "--member=serviceAccount:prometheus@demo.iam.gserviceaccount.com --role=roles/run.viewer "
    "--condition=None'"
)
LOGIN = (
    "run 'gcloud auth application-default login', "
    "or set GOOGLE_APPLICATION_CREDENTIALS to a credentials file"
)
REACH = "check the network, HTTPS_PROXY and --api-endpoint, or run again later"


TRUST = "if a proxy inspects TLS, set REQUESTS_CA_BUNDLE to a file with its CA"
NO = "Failed to establish a new connection: "
POOL = urllib3.HTTPSConnectionPool("run.googleapis.com")
CONNECTION = urllib3.connection.HTTPSConnection("run.googleapis.com")


def caused_by(reason: Exception) -> Exception:
    """Wrap an error as requests does."""
    return requests.exceptions.ConnectionError(
        urllib3.exceptions.MaxRetryError(POOL, "/v1/projects", reason)
    )


def with_reason(reason: str, **metadata: str) -> Exception:
    info = {"reason": reason, "metadata": metadata}
    error: Exception = exceptions.PermissionDenied("no", error_info=info)
    return error


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        (exceptions.PermissionDenied("no."), "permission denied: no", GRANT),
        (exceptions.Forbidden("no"), "permission denied: no", GRANT),
        (exceptions.Forbidden(""), "permission denied: Forbidden", GRANT),
        (
            with_reason("SERVICE_DISABLED"),
            "the Cloud Run Admin API is not enabled",
            "run 'gcloud services enable run.googleapis.com --project demo'",
        ),
        (
            exceptions.Forbidden("Cloud Run Admin API has not been used in project 1 before"),
            "the Cloud Run Admin API is not enabled",
            "run 'gcloud services enable run.googleapis.com --project demo'",
        ),
        (
            with_reason("ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
            "the access token's scopes do not cover the Cloud Run Admin API",
            "give the VM or node pool the scope https://www.googleapis.com/auth/cloud-platform",
        ),
        (
            with_reason("USER_PROJECT_DENIED"),
            "the quota project may not be used: no",
            (
                "grant roles/serviceusage.serviceUsageConsumer on it to "
                "serviceAccount:prometheus@demo.iam.gserviceaccount.com"
            ),
        ),
        (
            with_reason("SECURITY_POLICY_VIOLATED"),
            "refused by VPC Service Controls: no",
            (
                "run runscrape inside the perimeter, or let "
                "serviceAccount:prometheus@demo.iam.gserviceaccount.com in by an access level"
            ),
        ),
        (
            with_reason("LOCATION_POLICY_VIOLATED"),
            "the region is not available to the project: no",
            (
                "no role changes that (Google opens some regions on request only, and an "
                "organisation policy may close others): take the region out of --region or, if "
                "its services are gone for good, out of the inventory"
            ),
        ),
        (
            with_reason("CONSUMER_INVALID"),
            "no such project, or it is shut down: no",
            "check the project's ID with 'gcloud projects list'",
        ),
        (exceptions.Unauthenticated("who?"), "not authenticated: who?", LOGIN),
        (
            exceptions.NotFound("gone"),
            "not found: gone",
            (
                "check the project's ID with 'gcloud projects list'; "
                "'gcloud run regions list --project demo' names the regions"
            ),
        ),
        (
            exceptions.InvalidArgument("Location 'x' is not valid."),
            "invalid: Location 'x' is not valid",
            "'gcloud run regions list --project demo' names the regions",
        ),
        (
            exceptions.ResourceExhausted("60 a minute"),
            "quota exceeded: 60 a minute",
            "lower --concurrency, run less often, or ask for more quota",
        ),
        (
            exceptions.MethodNotImplemented("what?"),
            "not served: what?",
            "check --api-endpoint (run.googleapis.com:443)",
        ),
        (
            exceptions.DeadlineExceeded("Deadline Exceeded"),
            "no answer within 60 s",
            "run again, or raise --timeout",
        ),
        (TimeoutError(), "no answer within 60 s", "run again, or raise --timeout"),
        (
            requests.exceptions.ReadTimeout("x"),
            "no answer within 60 s",
            "run again, or raise --timeout",
        ),
        (
            exceptions.ServiceUnavailable("failed to connect to all addresses"),
            "cannot reach run.googleapis.com:443: failed to connect to all addresses",
            REACH,
        ),
        (
            caused_by(
                urllib3.exceptions.NewConnectionError(CONNECTION, f"{NO}[Errno 111] refused")
            ),
            "cannot reach run.googleapis.com:443: [Errno 111] refused",
            REACH,
        ),
        (
            caused_by(
                urllib3.exceptions.ProxyError("Unable to connect", OSError("502 Bad Gateway"))
            ),
            "cannot reach run.googleapis.com:443: 502 Bad Gateway",
            REACH,
        ),
        (
            caused_by(urllib3.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] own CA")),
            "cannot reach run.googleapis.com:443: [SSL: CERTIFICATE_VERIFY_FAILED] own CA",
            TRUST,
        ),
        (
            exceptions.ServiceUnavailable("OPENSSL_internal:CERTIFICATE_VERIFY_FAILED"),
            "cannot reach run.googleapis.com:443: OPENSSL_internal:CERTIFICATE_VERIFY_FAILED",
            TRUST,
        ),
        (
            requests.exceptions.ConnectionError("RemoteDisconnected"),
            "cannot reach run.googleapis.com:443: RemoteDisconnected",
            REACH,
        ),
        (
            requests.exceptions.ConnectionError(
                urllib3.exceptions.ProtocolError("aborted", http.client.BadStatusLine("\0"))
            ),
            "cannot reach run.googleapis.com:443: what answers there is no HTTP server",
            REACH,
        ),
        (
            requests.exceptions.ConnectionError(
                urllib3.exceptions.ProtocolError("aborted", ConnectionResetError(104, "reset"))
            ),
            "cannot reach run.googleapis.com:443: [Errno 104] reset",
            REACH,
        ),
        (
            exceptions.Unknown("odd"),
            "Google answered UNKNOWN: odd",
            "run again later; https://status.cloud.google.com tells of outages",
        ),
        (
            exceptions.InternalServerError("oops"),
            "Google answered 500: oops",
            "run again later; https://status.cloud.google.com tells of outages",
        ),
        (
            auth.RefreshError(
                "invalid_grant: Account has been deleted", {"error": "invalid_grant"}
            ),
            "no access token: invalid_grant: Account has been deleted",
            LOGIN,
        ),
        (auth.TransportError("metadata is down"), "no access token: metadata is down", LOGIN),
        (auth.DefaultCredentialsError("nothing found"), "no access token: nothing found", LOGIN),
        (
            auth.DefaultCredentialsError("cannot load a.json", ValueError("missing fields x.")),
            "no access token: cannot load a.json: missing fields x",
            LOGIN,
        ),
        (
            auth.DefaultCredentialsError("cannot load a.json", auth.InvalidValue("the key")),
            "no access token: cannot load a.json",
            LOGIN,
        ),
        (
            auth.TransportError(
                requests.exceptions.ConnectionError(
                    urllib3.exceptions.ProtocolError(
                        "Connection aborted.", ConnectionResetError(104, "reset")
                    ),
                    request=requests.Request("POST", "https://oauth2.googleapis.com/token"),
                )
            ),
            "no access token: cannot reach oauth2.googleapis.com: [Errno 104] reset",
            "check the network and HTTPS_PROXY",
        ),
        (
            auth.TransportError(requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED")),
            "no access token: cannot reach the issuer of tokens: CERTIFICATE_VERIFY_FAILED",
            "if a proxy inspects TLS, set REQUESTS_CA_BUNDLE to a file with its CA",
        ),
        (
            ListingError("page 2 leads back to an earlier page"),
            "page 2 leads back to an earlier page",
            "run again; if it stays so, tell Google",
        ),
        (
            KeyError("name"),
            "KeyError: name",
            "this is a bug in runscrape: report it",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_remedies(error: Exception, reason: str, remedy: str) -> None:
    """Every kind of failure has a reason in one line, and a remedy."""
    one = failure(error, "demo", "us-central1", SCRAPER)
    assert (one.reason, one.remedy) == (reason, remedy)


def called(what: str, error: Exception) -> Exception:
    failed = CallFailedError(what)
    failed.__cause__ = error
    return failed


def test_call_is_named() -> None:
    """Errors keep their reason through the wrapper that says which call it was."""
    error = called("ListServices, page 2", exceptions.InternalServerError("x"))
    one = failure(error, "demo", "us-central1", SCRAPER)
    assert one.reason == "Google answered 500: x (ListServices, page 2)"


def test_a_project_that_may_not_exist() -> None:
    """Google refuses a mistyped project like a role that is missing, so both ways out are named."""
    denied = "Permission 'run.services.list' denied on resource 'x' (or resource may not exist)."
    one = failure(called("ListServices", exceptions.Forbidden(denied)), "demo", None, SCRAPER)
    assert one.remedy == f"{GRANT}; or check the project's ID with 'gcloud projects list'"


def test_regions_remedy() -> None:
    """Where regions may not be listed, naming them is a way out."""
    error = called("locations.list", exceptions.Forbidden("no"))
    one = failure(error, "demo", None, Circumstances())
    assert one.remedy == (
        "grant roles/run.viewer on project demo to the identity that runs runscrape, "
        "or name the regions with --region"
    )


@pytest.mark.parametrize(
    "error",
    [with_reason("SERVICE_DISABLED"), exceptions.Unauthenticated("who?"), auth.RefreshError("no")],
    ids=["disabled", "unauthenticated", "no token"],
)
def test_regions_are_no_remedy(error: Exception) -> None:
    """Naming the regions is not offered where it would not help."""
    assert "--region" not in failure(called("locations.list", error), "demo", None, SCRAPER).remedy


def test_user_is_a_user() -> None:
    """A person is granted roles as a user, not as a service account."""
    about = Circumstances(member="user:alice@example.com")
    one = failure(exceptions.Forbidden("no"), "demo", "r", about)
    assert "to alice@example.com: " in one.remedy
    assert "--member=user:alice@example.com " in one.remedy


def test_quota_project() -> None:
    """The API is enabled where calls are counted, which a quota project decides."""
    about = Circumstances(quota_project="billing")
    one = failure(with_reason("SERVICE_DISABLED"), "demo", "r", about)
    assert one.remedy.endswith("--project billing'")


def test_plaintext_has_no_credentials() -> None:
    """A server that wants credentials cannot have them over http://."""
    about = Circumstances(plaintext=True, endpoint="127.0.0.1:80")
    one = failure(exceptions.Unauthenticated("who?"), "demo", "r", about)
    assert one.remedy == "http:// sends no credentials: give --api-endpoint as https://"


def test_one_line() -> None:
    """Whatever Google says becomes one line of bounded length."""
    one = failure(exceptions.Forbidden("a\nb\r\n" + "c" * 5000), "demo", "r", SCRAPER)
    assert one.reason.startswith("permission denied: a b ccc")
    assert "\n" not in one.reason
    assert len(one.reason) < 350


def failed(region: str | None, reason: str = "down in {}", project: str = "demo") -> ScopeFailure:
    return ScopeFailure(
        project=project, region=region, reason=reason.format(region), remedy=f"fix {region}"
    )


def test_folded() -> None:
    """Forty regions that fail alike are one line; another reason or project has its own."""
    regions = [f"region-{n:02}" for n in range(40)]
    failures = [failed(r) for r in regions] + [
        failed("us-central1", "slow"),
        failed("region-00", project="other"),
        failed(None, "no list"),
    ]
    assert [(line, len(group)) for line, group in folded(failures)] == [
        ("project demo: no list; fix None", 1),
        (
            (
                "project demo, regions region-00, region-01, region-02 and 37 more: "
                "down in region-00; fix region-00"
            ),
            40,
        ),
        ("project demo, region us-central1: slow; fix us-central1", 1),
        ("project other, region region-00: down in region-00; fix region-00", 1),
    ]


def test_many_projects_are_folded() -> None:
    """A thousand projects that are refused alike are one line; a few have one each."""
    many = [failed(None, "no list", f"project-{n:04}") for n in range(1000)]
    ((line, group),) = folded([*many])
    assert line == (
        "projects project-0000, project-0001, project-0002 and 997 more: no list; fix None"
    )
    assert len(group) == 1000
    assert len(folded(many[:3])) == 3


SEARCHES: list[tuple[str, Exception, str, str]] = [
    (
        "folders/12",
        exceptions.Forbidden("no"),
        "permission denied: no",
        (
            "grant roles/cloudasset.viewer, and roles/run.viewer to list what it finds, on folder "
            "12 to prometheus@demo.iam.gserviceaccount.com: 'gcloud resource-manager folders "
            "add-iam-policy-binding 12 "
            "--member=serviceAccount:prometheus@demo.iam.gserviceaccount.com "
            "--role=roles/cloudasset.viewer --condition=None'"
        ),
    ),
    (
        "organizations/4815",
        exceptions.NotFound("gone"),
        "not found: gone",
        "check the ID with 'gcloud organizations describe 4815'",
    ),
    (
        "folders/12",
        with_reason("SERVICE_DISABLED", consumer="projects/77"),
        "the Cloud Asset API is not enabled",
        "run 'gcloud services enable cloudasset.googleapis.com --project 77'",
    ),
    (
        "folders/12",
        exceptions.TooManyRequests("400 a minute"),
        "quota exceeded: 400 a minute",
        "run less often, or raise --timeout to wait longer for the quota",
    ),
]


@pytest.mark.parametrize(("container", "error", "reason", "remedy"), SEARCHES)
def test_remedies_of_a_search(container: str, error: Exception, reason: str, remedy: str) -> None:
    """A search that fails names what was searched, and what that takes."""
    one = search_failure(called("searchAllResources", error), container, SCRAPER)
    assert (one.reason, one.remedy) == (f"{reason} (searchAllResources)", remedy)
    assert one.is_search
    ((line, _),) = folded([one])
    assert line.startswith(container.replace("s/", " ") + ": ")


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (exceptions.ResourceExhausted(""), True),
        (exceptions.TooManyRequests(""), True),
        (exceptions.ServiceUnavailable(""), True),
        (exceptions.InternalServerError(""), True),
        (exceptions.DeadlineExceeded(""), True),
        (exceptions.BadGateway(""), True),
        (exceptions.Aborted(""), True),
        (requests.exceptions.ConnectionError(), True),
        (requests.exceptions.ReadTimeout(), True),
        (auth.TransportError(), True),
        (auth.RefreshError("", retryable=True), True),
        (auth.RefreshError(""), False),
        (exceptions.PermissionDenied(""), False),
        (exceptions.NotFound(""), False),
        (exceptions.InvalidArgument(""), False),
        (exceptions.Unauthenticated(""), False),
        (exceptions.MethodNotImplemented(""), False),
        (exceptions.Cancelled(""), False),
        (ListingError(""), False),
        (caused_by(urllib3.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED]")), False),
        (exceptions.ServiceUnavailable("CERTIFICATE_VERIFY_FAILED"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_what_is_tried_again(error: Exception, *, again: bool) -> None:
    """Only what may pass is tried again: 429, 5xx, connections; never a refusal."""
    assert is_transient(error) is again
