"""Why Google gives no token, told from its own words in what the proxy (or doctor) says.

runscrape-proxy repeats Google's messages and adds a remedy; the words looked for are Google's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from runscrape_generator.doctor.findings import Fault, Value

_EMAIL = re.compile(r"[\w.+-]+@[\w.-]+\.gserviceaccount\.com", re.ASCII)
_MEMBER = re.compile(r"\b(?:serviceAccount|user|principal(?:Set)?):\S+[\w\])]")
_POD = re.compile(r"service account \(([\w.-]+)/([\w.-]+)\)|\[([\w.-]+)/([\w.-]+)\]", re.ASCII)
_PROJECT = re.compile(r"@([a-z][a-z0-9-]*)\.iam\.gserviceaccount\.com", re.ASCII)

_WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "credentials-api-off",
        ("has not been used in project", "service_disabled", "iamcredentials.googleapis.com\n"),
    ),
    ("pod-not-annotated", ("is not annotated with a target google service account",)),
    ("pod-not-bound", ("iam returned 403", "roles/iam.workloadidentityuser")),
    (
        "account-gone",
        (
            "gaia id not found",
            "account not found",
            "not a valid email",
            "account has been deleted",
            "account_disabled",
            "was deleted or disabled",
            "there is no service account",
        ),
    ),
    (
        "no-impersonation-role",
        (
            "iam.serviceaccounts.getopenidtoken",
            "iam.serviceaccounts.getaccesstoken",
            "iam.serviceaccounts.implicitdelegation",
        ),
    ),
    ("clock-wrong", ("reasonable timeframe", "timeframe", "check your iat and exp")),
    (
        "login-expired",
        (
            "invalid_rapt",
            "rapt_required",
            "expired or revoked",
            "reauth",
            "log in again",
            "deleted_client",
        ),
    ),
    ("key-refused", ("invalid jwt signature", "invalid signature", "no valid verifier")),
    ("cannot-mint", ("cannot mint",)),
    (
        "no-credentials",
        (
            "not on google cloud?",
            "no credentials",
            "default credentials were not found",
            "this machine has no service account",
            "metadata service. status: 404",
        ),
    ),
    (
        "google-unreachable",
        (
            "did not answer within",
            "no connection to",
            "has no address here",
            "did not let us through",
            "failed (",
            "closed the connection",
        ),
    ),
)
"""Causes in the order in which they are looked for, and words that show each."""


_SURE = {"cannot-mint", "google-unreachable"}
"""What :mod:`runscrape_generator.doctor.mint` knows by itself."""


def no_token(error: str, said: str) -> Fault:
    """Tell why there is no token from what the proxy, or Google, says about it."""
    text = said.lower()
    for cause, words in _WORDS:
        if any(word in text for word in words):
            return Fault(cause, said, _values(said))
    if error in _SURE:
        return Fault(error, said, _values(said))
    detail = f"{error}: {said}" if said else error
    return Fault("no-token", detail, _values(said))


def _values(said: str) -> Mapping[str, Value]:
    """Take the names that a message holds."""
    account = next(iter(_EMAIL.findall(said)), "")
    found: dict[str, Value] = {"account": account}
    if project := _PROJECT.search(account):
        found["account_project"] = project[1]
    if caller := _MEMBER.search(said):
        found["caller"] = caller[0]
    if pod := _POD.search(said):
        found["namespace"], found["ksa"] = (part for part in pod.groups() if part)
        found["pod"] = caller[0] if caller else ""
    return found
