"""IAM policies of services and projects, as far as the credentials that are here may read them.

Run Admin API v2 ``services.getIamPolicy``, Resource Manager v1 ``projects.getIamPolicy``, IAM v1
``projects.roles.get``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

import requests
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession

from runscrape_generator.cloudrun.calls import CallPool
from runscrape_generator.cloudrun.credentials import Access, authorized_access
from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import RunscrapeError
from runscrape_generator.model import Service
from runscrape_generator.text import one_line

SECONDS = 10.0
"""For one call."""
INVOKER = "roles/run.invoker"

Bindings = Mapping[str, frozenset[str]]
"""Members by role, of bindings without a condition: those are no sure grant."""


class UnreadableError(Exception):
    """A policy that may not be read, or could not be: why, in one line."""


class Policies:
    """Reads policies with Application Default Credentials; raises UnreadableError."""

    def __init__(self, settings: Settings) -> None:
        self._access = _access(settings)
        authorized: Any = AuthorizedSession
        session = authorized(self._access.credentials)
        self._session: requests.Session = self._access.network.apply(session, {})

    def of_service(self, service: Service) -> Bindings:
        """Give the policy of one service: its own, without what its project brings."""
        place = f"{service.project}/locations/{service.region}/services/{service.name}"
        url = f"{self._access.address.url}/v2/projects/{quote(place)}:getIamPolicy"
        return bindings(self._json("GET", url))

    def of_services(
        self, services: Iterable[Service], threads: int
    ) -> Mapping[str, Bindings | Exception]:
        """Read several side by side: by a service's id its policy, or why that cannot be read."""
        calls: CallPool[str, Bindings] = CallPool(threads, SECONDS)
        for service in services:
            calls.submit(service.id, partial(self._one_of_many, service))
        return dict(calls.outcomes())

    def _one_of_many(self, service: Service, _until: float) -> Bindings:
        return self.of_service(service)

    def of_project(self, project: str) -> Bindings:
        """Give the policy of a project: its own, without what folders and organisation bring."""
        host = self._access.address.of_api("cloudresourcemanager")
        return bindings(self._json("POST", f"{host}/v1/projects/{quote(project)}:getIamPolicy"))

    def has_role(self, project: str, role: str) -> bool:
        """Whether a project has a custom role of this id; False too where that may not be read."""
        host = self._access.address.of_api("iam")
        try:
            self._json("GET", f"{host}/v1/projects/{quote(project)}/roles/{role}")
        except UnreadableError:
            return False
        return True

    def _json(self, method: str, url: str) -> dict[str, Any]:
        try:
            answer = self._session.request(method, url, timeout=SECONDS, allow_redirects=False)
            content = answer.json()
        except (requests.exceptions.RequestException, GoogleAuthError, ValueError) as error:
            raise UnreadableError(one_line(error)) from None
        if not isinstance(content, dict):
            raise UnreadableError("the answer is no JSON object")
        if answer.status_code != requests.codes.ok:
            refusal = content.get("error")
            said = refusal.get("message") if isinstance(refusal, dict) else ""
            raise UnreadableError(f"{answer.status_code} {said}".strip())
        return content


def _access(settings: Settings) -> Access:
    try:
        return authorized_access(settings)
    except (GoogleAuthError, RunscrapeError, ValueError) as error:
        raise UnreadableError(one_line(error)) from None


def bindings(policy: Mapping[str, object]) -> Bindings:
    """Read a policy's JSON (``google.iam.v1.Policy``)."""
    found: dict[str, set[str]] = {}
    entries = policy.get("bindings")
    for each in entries if isinstance(entries, list) else ():
        if isinstance(each, dict) and not each.get("condition"):
            found.setdefault(str(each.get("role")), set()).update(_texts(each.get("members")))
    return {role: frozenset(members) for role, members in found.items()}


def _texts(value: object) -> Iterable[str]:
    return (str(each) for each in value) if isinstance(value, list) else ()
