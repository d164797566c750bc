"""Why a scope could not be listed, and what to do about it, in one line for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import requests.exceptions
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError

from runscrape_generator.cloudrun.client import ListingError
from runscrape_generator.cloudrun.credentials import LOGIN
from runscrape_generator.cloudrun.retries import is_certificate_error, unwrapped
from runscrape_generator.model import ScopeFailure
from runscrape_generator.text import one_line

_NAMED = 3
"""Regions named in a folded line; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a remedy may have to name besides the scope."""

    member: str = ""
    """Who called, as IAM writes it; empty while unknown."""
    quota_project: str = ""
    """The project that calls are counted for, where it is not the one that is listed."""
    endpoint: str = "run.googleapis.com:443"
    plaintext: bool = False
    timeout: float = 60.0
    """``--timeout``, seconds."""


def failure(
    error: Exception, project: str, region: str | None, about: Circumstances
) -> ScopeFailure:
    """Explain ``error``, met while listing the region (None: the regions) of a project."""
    call, cause = unwrapped(error)
    reason, remedy = _explain(cause, project, region, about)
    if region is None and not _concerns_all_calls(cause):
        remedy = f"{remedy}, or name the regions with --region"
    where = f" ({call})" if call else ""
    return ScopeFailure(
        project=project, region=region, reason=f"{reason.rstrip('.')}{where}", remedy=remedy
    )


def _concerns_all_calls(error: BaseException) -> bool:
    """Say whether listing services would fail just as listing regions did."""
    if isinstance(error, exceptions.GoogleAPICallError):
        return _error_reason(error) in _BY_REASON or isinstance(error, exceptions.Unauthorized)
    return isinstance(error, GoogleAuthError)


def not_available(error: BaseException) -> bool:
    """Say whether a region was refused because it is not open to the project.

    Google names me-central2 to everybody and refuses it to most, owners included.
    """
    return (
        isinstance(error, exceptions.Forbidden)
        and _error_reason(error) == "LOCATION_POLICY_VIOLATED"
    )


def folded(failures: Iterable[ScopeFailure]) -> tuple[tuple[str, tuple[ScopeFailure, ...]], ...]:
    """Tell the failures: one line, with its failures, for regions of a project that failed alike.

    A refusal of 40 regions is one line, with the first regions named and the others counted.
    """
    groups: dict[tuple[str, bool, str, str], list[ScopeFailure]] = {}
    for one in sorted(failures, key=lambda f: (f.project, f.region or "", f.reason)):
        alike = (one.project, one.region is None, *_without_region(one))
        groups.setdefault(alike, []).append(one)
    return tuple((_line(group), tuple(group)) for group in groups.values())


def _line(group: list[ScopeFailure]) -> str:
    first = group[0]
    regions = [f.region for f in group if f.region is not None]
    named = ", ".join(regions[:_NAMED])
    if len(regions) > _NAMED:
        named = f"{named} and {len(regions) - _NAMED} more"
    word = f", region{'s' if len(regions) > 1 else ''} {named}" if regions else ""
    return f"project {first.project}{word}: {first.reason}; {first.remedy}"


def _without_region(one: ScopeFailure) -> tuple[str, str]:
    if one.region is None:
        return one.reason, one.remedy
    return one.reason.replace(one.region, "*"), one.remedy.replace(one.region, "*")


def _explain(
    error: BaseException, project: str, region: str | None, about: Circumstances
) -> tuple[str, str]:
    if isinstance(error, exceptions.GoogleAPICallError):
        return _refusal(error, project, region, about)
    if isinstance(error, GoogleAuthError):
        return f"no access token: {one_line(error)}", _login(about)
    if isinstance(error, requests.exceptions.Timeout | TimeoutError):
        return _timed_out(about)
    if isinstance(error, requests.exceptions.RequestException):
        return _unreachable(_network_reason(error), about)
    if isinstance(error, ListingError):
        return one_line(error), "run again; if it stays so, tell Google"
    return f"{type(error).__name__}: {one_line(error)}", "this is a bug in runscrape: report it"


_BY_REASON: Mapping[str, tuple[str, str]] = {
    "SERVICE_DISABLED": (
        "the Cloud Run Admin API is not enabled",
        "run 'gcloud services enable run.googleapis.com --project {billed}'",
    ),
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": (
        "the access token's scopes do not cover Cloud Run",
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
    "LOCATION_POLICY_VIOLATED": (
        "the region is not available to the project: {message}",
        "leave the region out, or ask Google for access to it; no role opens it",
    ),
    "CONSUMER_INVALID": (
        "no such project, or it is shut down: {message}",
        "check the project's ID with 'gcloud projects list'",
    ),
}
"""``google.rpc.ErrorInfo.reason`` of refusals that no Cloud Run role cures (the enum
``google.api.ErrorReason``): what it means, what to do."""


def _refusal(
    error: exceptions.GoogleAPICallError, project: str, region: str | None, about: Circumstances
) -> tuple[str, str]:
    """Explain an answer with a status, gRPC's or HTTP's."""
    said = {
        "message": _message(error),
        "project": project,
        "billed": about.quota_project or project,
        "who": about.member or "the credentials in use",
        "endpoint": about.endpoint,
    }
    known = _BY_REASON.get(str(_error_reason(error)))
    if known is not None:
        return known[0].format_map(said), known[1].format_map(said)
    if isinstance(error, exceptions.GatewayTimeout):
        return _timed_out(about)
    if isinstance(error, exceptions.ServiceUnavailable):
        return _unreachable(said["message"], about)
    if isinstance(error, exceptions.Forbidden):
        return f"permission denied: {said['message']}", _grant(project, about)
    for kind, word, of_project, of_region in _BY_STATUS:
        if isinstance(error, kind):
            remedy = (of_region if region is not None else of_project) or _login(about)
            return f"{word}: {said['message']}", remedy.format_map(said)
    return f"Google answered {error.code}: {said['message']}", _TRY_AGAIN


_TRY_AGAIN = "run again later; https://status.cloud.google.com tells of outages"
_CHECK_PROJECT = "check the project's ID with 'gcloud projects list'"
_CHECK_REGION = "'gcloud run regions list --project {project}' names the regions"

_MORE_QUOTA = "run less often, or ask for more quota"
_CHECK_ENDPOINT = "check --api-endpoint ({endpoint})"

_BY_STATUS = (
    (exceptions.Unauthorized, "not authenticated", "", ""),
    (exceptions.NotFound, "not found", _CHECK_PROJECT, f"{_CHECK_PROJECT}; {_CHECK_REGION}"),
    (exceptions.BadRequest, "invalid", _CHECK_PROJECT, _CHECK_REGION),
    (
        exceptions.TooManyRequests,
        "quota exceeded",
        _MORE_QUOTA,
        f"lower --concurrency, {_MORE_QUOTA}",
    ),
    (exceptions.MethodNotImplemented, "not served", _CHECK_ENDPOINT, _CHECK_ENDPOINT),
)
"""Kind of error, what it is called, the remedy for a project and for a region (empty: log in)."""


def _grant(project: str, about: Circumstances) -> str:
    if not about.member:
        return f"grant roles/run.viewer on project {project} to the identity that runs runscrape"
    email = about.member.partition(":")[2]
    return (
        f"grant roles/run.viewer on project {project} to {email}: 'gcloud projects "
        f"add-iam-policy-binding {project} --member={about.member} --role=roles/run.viewer'"
    )


def _login(about: Circumstances) -> str:
    if about.plaintext:
        return "http:// sends no credentials: give --api-endpoint as https://"
    return LOGIN


def _timed_out(about: Circumstances) -> tuple[str, str]:
    return f"no answer within {about.timeout:g} s", "run again, or raise --timeout"


def _unreachable(message: str, about: Circumstances) -> tuple[str, str]:
    remedy = "check the network, HTTPS_PROXY and --api-endpoint, or run again later"
    if is_certificate_error(message):
        remedy = (
            "if a proxy inspects TLS, set REQUESTS_CA_BUNDLE and "
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH to a file with its CA"
        )
    return f"cannot reach {about.endpoint}: {message}", remedy


def _network_reason(error: requests.exceptions.RequestException) -> str:
    """Take the system's own words ("[Errno 111] Connection refused") out of urllib3's report."""
    inner: Any = error.args[0] if error.args else error
    inner = getattr(inner, "reason", inner)  # MaxRetryError
    inner = getattr(inner, "original_error", inner)  # ProxyError
    return one_line(Exception(str(inner).rpartition("a new connection: ")[2]))


def _error_reason(error: exceptions.GoogleAPICallError) -> str | None:
    """Give ErrorInfo's reason, or the one that an older message without details means."""
    reason: Any = error.reason
    if reason:
        return str(reason)
    text = str(error.message)
    if "SERVICE_DISABLED" in text or "API has not been used in project" in text:
        return "SERVICE_DISABLED"
    return None


_GRPC_ADDRESS = re.compile(r"^failed to connect to all addresses; last error: \w+: ipv[46]:\S+ ")
"""gRPC names the address that it tried last, another one each time."""


def _message(error: exceptions.GoogleAPICallError) -> str:
    """Google's words, without the ``GET URL:`` that google-api-core puts before them."""
    text = str(error.message)
    request = getattr(error.response, "request", None)
    if request is not None:
        text = text.removeprefix(f"{request.method} {request.url}: ")
    return one_line(Exception(_GRPC_ADDRESS.sub("", text)))
