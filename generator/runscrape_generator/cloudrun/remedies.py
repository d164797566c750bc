"""What an error of Google's APIs means, and what to do about it, in one line each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import BadStatusLine
from typing import Any
from urllib.parse import urlsplit

import requests.exceptions
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from urllib3.exceptions import ProtocolError

from runscrape_generator.cloudrun.credentials import LOGIN, reason
from runscrape_generator.cloudrun.rest import ListingError
from runscrape_generator.cloudrun.retries import is_certificate_error
from runscrape_generator.text import one_line, shortened


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a remedy may have to name besides what was listed."""

    member: str = ""
    """Who called, as IAM writes it; empty while unknown."""
    quota_project: str = ""
    """The project that calls are counted for, where it is not the one that is listed."""
    endpoint: str = "run.googleapis.com:443"
    plaintext: bool = False
    timeout: float = 60.0
    """``--timeout``, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a failed call was about, in the words of its remedies."""

    name: str
    """``project demo``."""
    api: str
    """``Cloud Run Admin API``."""
    service: str
    """``run.googleapis.com``."""
    role: str
    bind: str
    """The gcloud command that grants a role on it, without its options."""
    check: str
    """How to find out whether it exists."""
    check_region: str = ""
    """How to find out whether the region does, where one was listed."""
    busy: str
    """What to do about a quota that is used up."""
    project: str = ""
    """The project that was listed, if it was one: calls for it count there."""
    also: str = ""
    """What else has to be granted."""


def of_project(project: str, region: str | None) -> Subject:
    """Describe the listing of a project's services, or of those in one region."""
    regions = f"'gcloud run regions list --project {project}' names the regions"
    busy = "run less often, or ask for more quota"
    return Subject(
        name=f"project {project}",
        api="Cloud Run Admin API",
        service="run.googleapis.com",
        role="roles/run.viewer",
        bind=f"gcloud projects add-iam-policy-binding {project}",
        check="check the project's ID with 'gcloud projects list'",
        check_region="" if region is None else regions,
        busy=busy if region is None else f"lower --concurrency, {busy}",
        project=project,
    )


def of_search(container: str) -> Subject:
    """Describe the search of ``folders/ID`` or ``organizations/ID``."""
    kind, _, number = container.partition("/")
    word = kind.removesuffix("s")
    gcloud = "gcloud organizations" if word == "organization" else "gcloud resource-manager folders"
    return Subject(
        name=f"{word} {number}",
        api="Cloud Asset API",
        service="cloudasset.googleapis.com",
        role="roles/cloudasset.viewer",
        bind=f"{gcloud} add-iam-policy-binding {number}",
        check=f"check the ID with '{gcloud} describe {number}'",
        busy="run less often, or raise --timeout to wait longer for the quota",
        also=", and roles/run.viewer to list what it finds,",
    )


def explain(error: BaseException, subject: Subject, about: Circumstances) -> tuple[str, str]:
    """Give the reason and the remedy of a call's error."""
    if isinstance(error, exceptions.GoogleAPICallError):
        return _refusal(error, subject, about)
    if isinstance(error, GoogleAuthError):
        return _no_token(error, about)
    if isinstance(error, requests.exceptions.Timeout | TimeoutError):
        return _timed_out(about)
    if isinstance(error, requests.exceptions.RequestException):
        return _unreachable(_network_reason(error), about)
    if isinstance(error, ListingError):
        return one_line(error), "run again; if it stays so, tell Google"
    return f"{type(error).__name__}: {one_line(error)}", "this is a bug in runscrape: report it"


def concerns_all_calls(error: BaseException) -> bool:
    """Say whether any other call for the same project would fail like this one."""
    if isinstance(error, exceptions.GoogleAPICallError):
        return error_reason(error) in _BY_REASON or isinstance(error, exceptions.Unauthorized)
    return isinstance(error, GoogleAuthError)


def error_reason(error: BaseException) -> str | None:
    """Give ErrorInfo's reason, or the one that an older message without details means."""
    if not isinstance(error, exceptions.GoogleAPICallError):
        return None
    reason: Any = error.reason
    if reason:
        return str(reason)
    text = str(error.message)
    if "SERVICE_DISABLED" in text or "API has not been used in project" in text:
        return "SERVICE_DISABLED"
    return None


_BY_REASON: Mapping[str, tuple[str, str]] = {
    "SERVICE_DISABLED": (
        "the {api} is not enabled",
        "run 'gcloud services enable {service} --project {billed}'",
    ),
    "LOCATION_POLICY_VIOLATED": (
        "the region is not available to the project: {message}",
        (
            "no role changes that (Google opens some regions on request only, and an organisation "
            "policy may close others): take the region out of --region or, if its services are "
            "gone for good, out of the inventory"
        ),
    ),
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": (
        "the access token's scopes do not cover the {api}",
        "give the VM or node pool the scope https://www.googleapis.com/auth/cloud-platform",
    ),
    "USER_PROJECT_DENIED": (
        "the quota project may not be used: {message}",
        "grant roles/serviceusage.serviceUsageConsumer on it to {who}",
    ),
    "SECURITY_POLICY_VIOLATED": (
        "refused by VPC Service Controls: {message}",
        "run runscrape inside the perimeter, or let {who} in by an access level",
    ),
    "CONSUMER_INVALID": (
        "no such project, or it is shut down: {message}",
        "check the project's ID with 'gcloud projects list'",
    ),
}
"""``google.rpc.ErrorInfo.reason`` of refusals that no role for the API cures (the enum
``google.api.ErrorReason``): what it means, what to do."""


def _refusal(
    error: exceptions.GoogleAPICallError, subject: Subject, about: Circumstances
) -> tuple[str, str]:
    """Explain an answer with a status, gRPC's or HTTP's."""
    message = _message(error)
    if known := _BY_REASON.get(str(error_reason(error))):
        said = {
            "message": message,
            "api": subject.api,
            "service": subject.service,
            "billed": about.quota_project or subject.project or _consumer(error),
            "who": about.member or "the credentials in use",
        }
        return known[0].format_map(said), known[1].format_map(said)
    if isinstance(error, exceptions.GatewayTimeout):
        return _timed_out(about)
    if isinstance(error, exceptions.ServiceUnavailable):
        return _unreachable(message, about)
    if isinstance(error, exceptions.Forbidden):
        mistyped = f"; or {subject.check}" if "may not exist" in message else ""
        return f"permission denied: {message}", _grant(subject, about) + mistyped
    for kind, word, remedy in _by_status(subject, about):
        if isinstance(error, kind):
            return f"{word}: {message}", remedy
    again = "run again later; https://status.cloud.google.com tells of outages"
    status: Any = error.code or getattr(error.grpc_status_code, "name", None)
    return f"Google answered {status}: {message}", again


def _consumer(error: exceptions.GoogleAPICallError) -> str:
    """Name the project that a call was counted for, as ErrorInfo does (by its number)."""
    metadata: Any = error.metadata or {}
    return str(metadata.get("consumer", "PROJECT")).removeprefix("projects/")


def _by_status(
    subject: Subject, about: Circumstances
) -> tuple[tuple[type[exceptions.GoogleAPICallError], str, str], ...]:
    """Give each kind of error, what it is called, and its remedy."""
    exists = "; ".join(filter(None, (subject.check, subject.check_region)))
    endpoint = f"check --api-endpoint ({about.endpoint})"
    return (
        (exceptions.Unauthorized, "not authenticated", _login(about)),
        (exceptions.NotFound, "not found", exists),
        (exceptions.BadRequest, "invalid", subject.check_region or subject.check),
        (exceptions.TooManyRequests, "quota exceeded", subject.busy),
        (exceptions.MethodNotImplemented, "not served", endpoint),
    )


def _grant(subject: Subject, about: Circumstances) -> str:
    grant = f"grant {subject.role}{subject.also} on {subject.name} to"
    if not about.member:
        return f"{grant} the identity that runs runscrape"
    email = about.member.partition(":")[2]
    who = f"--member={about.member} --role={subject.role}"
    # Else gcloud asks for a condition where another grant there has one.
    return f"{grant} {email}: '{subject.bind} {who} --condition=None'"


def _login(about: Circumstances) -> str:
    if about.plaintext:
        return "http:// sends no credentials: give --api-endpoint as https://"
    return LOGIN


def _timed_out(about: Circumstances) -> tuple[str, str]:
    return f"no answer within {about.timeout:g} s", "run again, or raise --timeout"


def _no_token(error: GoogleAuthError, about: Circumstances) -> tuple[str, str]:
    """Explain credentials that gave no token; a login mends no network."""
    cause: Any = error.args[0] if error.args else None
    if not isinstance(cause, requests.exceptions.ConnectionError | requests.exceptions.Timeout):
        return f"no access token: {reason(error)}", _login(about)
    issuer = urlsplit(str(getattr(cause.request, "url", ""))).hostname or "the issuer of tokens"
    message = _network_reason(cause)
    remedy = _OTHER_CA if is_certificate_error(message) else "check the network and HTTPS_PROXY"
    return f"no access token: cannot reach {issuer}: {message}", remedy


_OTHER_CA = "if a proxy inspects TLS, set REQUESTS_CA_BUNDLE to a file with its CA"


def _unreachable(message: str, about: Circumstances) -> tuple[str, str]:
    remedy = "check the network, HTTPS_PROXY and --api-endpoint, or run again later"
    if is_certificate_error(message):
        remedy = _OTHER_CA
    return f"cannot reach {about.endpoint}: {message}", remedy


def _network_reason(error: requests.exceptions.RequestException) -> str:
    """Take the system's own words ("[Errno 111] Connection refused") out of urllib3's report."""
    inner: Any = error.args[0] if error.args else error
    inner = getattr(inner, "reason", inner)  # MaxRetryError
    inner = getattr(inner, "original_error", inner)  # ProxyError
    if isinstance(inner, ProtocolError) and isinstance(inner.args[-1], Exception):
        inner = inner.args[-1]
    if type(inner) is BadStatusLine:
        return "what answers there is no HTTP server"
    text = str(inner).rpartition("a new connection: ")[2]
    return shortened(text.partition("): ")[2] or text) or type(error).__name__


_GRPC_ADDRESS = re.compile(r"^failed to connect to all addresses; last error: \w+: ipv[46]:\S+ ")
"""gRPC names the address that it tried last, another one each time."""


def _message(error: exceptions.GoogleAPICallError) -> str:
    """Google's words, without the ``GET URL:`` that google-api-core puts before them."""
    text = str(error.message)
    request = getattr(error.response, "request", None)
    if request is not None:
        text = text.removeprefix(f"{request.method} {request.url}: ")
    return shortened(_GRPC_ADDRESS.sub("", text)) or type(error).__name__
