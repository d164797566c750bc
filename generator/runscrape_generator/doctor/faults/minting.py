"""Why Google gives no token, told from its own words in what the proxy (or doctor) says.

runscrape-proxy repeats Google's messages and adds a remedy; the words looked for are Google's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from runscrape_generator.doctor.causes import Fault, Value

_EMAIL = re.compile(r"[\w.+-]+@[\w.-]+\.gserviceaccount\.com", re.ASCII)
_MEMBER = re.compile(r"\b(?:serviceAccount|user|principal(?:Set)?):\S+[\w\])]")
_POD = re.compile(r"service account \(([\w.-]+)/([\w.-]+)\)|\[([\w.-]+)/([\w.-]+)\]", re.ASCII)
_PROJECT = re.compile(
    r"@([a-z][a-z0-9-]*)(?:\.([a-z0-9.-]+))?\.iam\.gserviceaccount\.com", re.ASCII
)
"""Behind the name of a domain-scoped project (``example.com:name``) comes its domain."""

_WORDS: Mapping[str, str] = {
    "credentials-api-off": r"has not been used in project|service_disabled",
    "pod-not-annotated": r"is not annotated with a target google service account",
    "pod-not-bound": r"iam returned 403|roles/iam\.workloadidentityuser",
    "account-gone": r"gaia id not found|account not found|not a valid email"
    r"|account has been deleted|account_disabled|was deleted or disabled"
    r"|there is no service account",
    "no-impersonation-role": r"iam\.serviceaccounts\."
    r"(getopenidtoken|getaccesstoken|implicitdelegation)",
    "clock-wrong": r"timeframe|check your iat and exp",
    "login-expired": r"invalid_rapt|rapt_required|expired or revoked|reauth|log in again"
    r"|deleted_client",
    "key-refused": r"invalid (jwt )?signature|no valid verifier",
    "cannot-mint": r"cannot mint",
    "no-credentials": r"not on google cloud\?|no credentials|default credentials were not found"
    r"|this machine has no service account|metadata service\. status: 404",
    "google-unreachable": r"did not answer within|no connection to|has no address here"
    r"|did not let us through|failed \(|closed the connection",
}
"""Causes in the order in which they are looked for, and words (in lower case) that show each."""

_SURE = {"cannot-mint", "google-unreachable"}
"""What :mod:`runscrape_generator.doctor.mint` knows by itself."""


def no_token(error: str, said: str) -> Fault:
    """Tell why there is no token from what the proxy, or Google, says about it."""
    text = said.lower()
    for cause, words in _WORDS.items():
        if re.search(words, text):
            return Fault(cause, said, _values(said))
    if error in _SURE:
        return Fault(error, said, _values(said))
    detail = f"{error}: {said}" if said else error
    return Fault("no-token", detail, _values(said))


def project_of(account: str) -> str:
    """Name a service account's project; empty where its address does not tell."""
    found = _PROJECT.search(account)
    if found is None:
        return ""
    name, domain = found.groups()
    return f"{domain}:{name}" if domain else name


def _values(said: str) -> Mapping[str, Value]:
    """Take the names that a message holds."""
    account = next(iter(_EMAIL.findall(said)), "")
    found: dict[str, Value] = {"account": account}
    found["account_project"] = project_of(account)
    if caller := _MEMBER.search(said):
        found["caller"] = caller[0]
    if pod := _POD.search(said):
        found["namespace"], found["ksa"] = (part for part in pod.groups() if part)
        found["pod"] = caller[0] if caller else ""
    return found
