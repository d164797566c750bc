"""Why Google gave no token, in one line that says what to do.

The rules read what Google sends: ``google.rpc.Status`` as JSON from the IAM Credentials API
(https://cloud.google.com/apis/design/errors), RFC 6749 section 5.2 from the OAuth and STS
endpoints, plain text from the metadata server. A text from outside is shortened, put on one line
and stripped of whatever looks like a token.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from google.auth.exceptions import GoogleAuthError, MalformedError

from runscrape_proxy import http_client
from runscrape_proxy.errors import MintError, printed
from runscrape_proxy.google.kubernetes import ACCOUNT, ServiceAccount, our_account

MALFORMED: Final = (
    GoogleAuthError,
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What google-auth and json raise for credentials and answers that are not what they should be; see
:func:`unusable`."""

_LONGEST: Final = 240
_TOKEN_LIKE: Final = re.compile(
    r"eyJ[\w.+=-]*|ya29\.[\w.+=-]*"
    # Any long word but a variable's name. It is looked at from its beginning only: from each of its
    # characters on, an answer of a mebibyte would take hours.
    r"|(?<![\w+=-])(?=[A-Z_]*[a-z0-9+=-])[\w+=-]{40,}",
    re.ASCII,
)
_TARGET: Final = re.compile(r"/serviceAccounts/([^/:]+):generate")
_METADATA_PATH: Final = "/computeMetadata/"

_UNANNOTATED: Final = re.compile(r"\(([\w.-]+)/([\w.-]+)\) is not annotated")
_NO_ACCOUNT: Final = re.compile(r"Gaia id not found for email (\S+)")

IN_PLACE: Final = "is something between here and Google answering in its place?"
_OPEN_ID: Final = "roles/iam.serviceAccountOpenIdTokenCreator"
_CREATOR: Final = "roles/iam.serviceAccountTokenCreator"
_NEW_KEY: Final = "make a new one with gcloud iam service-accounts keys create"
_LOG_IN: Final = "log in again with gcloud auth application-default login"
_POOL: Final = "check the token file or URL and the workload identity pool's provider"


@dataclass(frozen=True, slots=True)
class _Refusal:
    """An answer that is not a 200, taken apart."""

    url: str
    status: int
    code: str
    """``PERMISSION_DENIED``, ``invalid_grant``; empty where the body names none."""
    text: str
    """All that the body says, to search in."""
    message: str
    """What the body says to people."""

    @property
    def target(self) -> str:
        """The service account that the call was about; empty where it was about none."""
        found = _TARGET.search(self.url)
        return found[1] if found else ""

    def mentions(self, *words: str) -> bool:
        """Whether the body holds one of ``words``, in any case."""
        return any(word in self.text.lower() for word in words)


def refused(url: str, status: int, body: bytes) -> MintError:
    """Google answered, and not with a token."""
    refusal = _take_apart(url, status, body.decode("utf-8", "replace"))
    said = f"{host_of_url(url)} answered {status}"
    if refusal.code:
        said += f" {clean(refusal.code)}"
    if refusal.message:
        said += f" ({clean(refusal.message)})"
    return MintError(said, remedy=_remedy(refusal), status=status)


def unreachable(url: str, error: http_client.CallError, seconds: float) -> MintError:
    """The connection failed, or nothing came in time."""
    if isinstance(error, http_client.TooSlow):
        return too_slow(url, seconds)
    reason, remedy = _UNREACHABLE.get(type(error), _NO_CONNECTION)
    if remedy is _NETWORK and _METADATA_PATH in url:
        remedy = _NO_METADATA
    return MintError(reason.format(host=host_of_url(url), said=clean(str(error))), remedy=remedy)


def no_session(url: str, error: Exception) -> MintError:
    """The metadata server could not be asked over TLS."""
    return MintError(
        f"{host_of_url(url)} did not answer over TLS ({type(error).__name__})",
        remedy="see GCE_METADATA_MTLS_MODE",
    )


def too_slow(url: str, seconds: float) -> MintError:
    """The deadline passed."""
    remedy = _NO_METADATA if _METADATA_PATH in url else ""
    return MintError(f"{host_of_url(url)} did not answer within {seconds:.3g} s", remedy=remedy)


def unusable(error: Exception) -> MintError:
    """google-auth could make nothing of the credentials' source or of an answer."""
    said = error.args[0] if error.args and isinstance(error, GoogleAuthError) else ""
    # google.auth.jwt puts what it cannot read into its message; other messages are for people.
    about_a_token = isinstance(error, MalformedError) and "segment" in str(said)
    detail = clean(said).rstrip(".") if isinstance(said, str) and not about_a_token else ""
    if not detail:
        return MintError(
            f"what Google answered is not a token ({type(error).__name__})",
            remedy=IN_PLACE,
        )
    return MintError(detail, remedy="check the credentials file and what it points to")


def host_of_url(url: str) -> str:
    """The name of a host, for a message."""
    return urlsplit(url).hostname or "the address of Google"


def clean(text: str) -> str:
    """Make a text of others fit for a one-line message: short, and without tokens."""
    line = " ".join(_TOKEN_LIKE.sub("[hidden]", text).split())
    return printed(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…")


_NO_METADATA = (
    "not on Google Cloud? then name a credentials file with --credentials-file or "
    "GOOGLE_APPLICATION_CREDENTIALS"
)


_NETWORK: Final = "check the network between here and Google"
_NO_CONNECTION: Final = "no connection to {host} ({said})", _NETWORK
_UNREACHABLE: Final = {
    http_client.TlsFailed: (
        "TLS to {host} failed ({said})",
        "if a proxy opens TLS here, name its authority with --ca-file",
    ),
    http_client.NoAddress: ("{host} has no address here (DNS)", _NETWORK),
    http_client.BadProxy: (
        "no way to {host} ({said})",
        "check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY; SOCKS is not spoken here",
    ),
    http_client.ProxyRefused: (
        "the proxy on the way to {host} did not let us through ({said})",
        "check HTTPS_PROXY and NO_PROXY",
    ),
    http_client.NoDescriptors: ("no connection to {host} ({said})", ""),
    http_client.BadAnswer: ("{host} did not answer as HTTP has it ({said})", IN_PLACE),
}
"""What to say, by the kind of error; :data:`_NO_CONNECTION` for any other."""


def _remedy(refusal: _Refusal) -> str:
    if _METADATA_PATH in refusal.url:
        return _metadata_remedy(refusal)
    return _status_remedy(refusal) or _iam_remedy(refusal) or _grant_remedy(refusal)


def _metadata_remedy(refusal: _Refusal) -> str:
    """What to do about the metadata server; GKE has one of its own, with other answers."""
    if found := _UNANNOTATED.search(refusal.text):
        pod = ServiceAccount(found[1], found[2])
        return f"{pod.annotation()} (or add --impersonate-service-account {ACCOUNT})"
    if found := _NO_ACCOUNT.search(refusal.text):
        return (
            f"there is no service account {clean(found[1])}: correct the annotation"
            " iam.gke.io/gcp-service-account of the pod's Kubernetes service account"
        )
    if refusal.status == HTTPStatus.FORBIDDEN and refusal.mentions("iam returned 403", "iam.serv"):
        return our_account().binding()
    if refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ""  # it is starting, or has too much to do
    return _METADATA_REMEDIES.get(refusal.status, "is a proxy answering for the metadata server?")


_METADATA_REMEDIES: Final = {
    HTTPStatus.NOT_FOUND.value: (
        "this machine has no service account: attach one, bind the pod's with Workload "
        "Identity, or use --credentials-file"
    ),
    HTTPStatus.TOO_MANY_REQUESTS.value: "this machine asks its metadata server too often",
}


def _status_remedy(refusal: _Refusal) -> str:
    match refusal.status:
        case 407:
            return "give HTTPS_PROXY the proxy's user and password"
        case 429:
            return "the quota of the IAM Credentials API is used up: ask for more, or wait"
        case status if 300 <= status < 400:  # noqa: PLR2004 (redirections, RFC 9110 section 15.4)
            return "credentials follow no redirect: is a captive portal or proxy in the way?"
    return ""


def _iam_remedy(refusal: _Refusal) -> str:
    if refusal.mentions("service_disabled", "has not been used in project"):
        return "gcloud services enable iamcredentials.googleapis.com"
    if not refusal.target:
        return ""
    if refusal.mentions("insufficient authentication scopes", "scope_insufficient"):
        return "give the machine the access scope cloud-platform"
    if refusal.status == HTTPStatus.FORBIDDEN:
        role = _OPEN_ID if refusal.url.endswith(":generateIdToken") else _CREATOR
        return (
            f"grant {role} on {refusal.target} to the identity of the credentials "
            f"(in a chain of delegates {_CREATOR}, on each account to the one before it), and "
            "check the account's name"
        )
    if refusal.status == HTTPStatus.NOT_FOUND:
        return f"there is no service account {refusal.target}: check its name"
    return ""


_GRANT_REMEDIES: Final = (
    (("invalid_rapt", "rapt_required", "expired or revoked"), _LOG_IN),
    (("timeframe", "short-lived", "iat and exp"), "set this machine's clock (chrony, NTP)"),
    (
        ("account not found", "not a valid email", "disabled"),
        "the service account was deleted or disabled: enable it, or use another",
    ),
    (
        ("invalid jwt signature", "invalid signature", "no valid verifier"),
        f"the key was deleted, disabled or replaced: {_NEW_KEY}",
    ),
    (("invalid_client", "unauthorized_client", "deleted_client"), _LOG_IN),
)
"""What to do, by words that Google's token endpoint says; the first that fits."""


def _grant_remedy(refusal: _Refusal) -> str:
    for words, remedy in _GRANT_REMEDIES:
        if refusal.mentions(*words):
            return remedy
    return _POOL if refusal.url.endswith("/v1/token") else ""


def _take_apart(url: str, status: int, text: str) -> _Refusal:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    match body:
        case {"error": {"message": str(message), **error}}:
            return _Refusal(url, status, str(error.get("status", "")), text, message)
        case {"error": str(code), **rest}:
            description = str(rest.get("error_description", ""))
            return _Refusal(url, status, code, text, description)
    plain = "" if text.lstrip()[:1] in {"<", "{", "["} else text  # a page is for browsers
    return _Refusal(url, status, "", text, plain)
