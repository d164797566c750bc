"""Reads policies and our custom role with the credentials that are here (``--diff``)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import requests
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession

from runscrape_generator.cloudrun.credentials import Access, open_access, with_credentials
from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import ConfigError
from runscrape_generator.iam.needs import INVOKER, LISTER, Needs
from runscrape_generator.iam.policies import Present, ProjectPolicy, bindings
from runscrape_generator.text import one_line

log = logging.getLogger(__name__)

SECONDS = 10.0
_PROJECTS = "https://cloudresourcemanager.googleapis.com/v1/projects"
_ROLES = "https://iam.googleapis.com/v1/projects"
_OK, _NOT_FOUND = 200, 404


class UnreadableError(Exception):
    """A policy that may not be read, or could not: why, in one line."""


def present(needs: Needs, settings: Settings) -> Present:
    """Read what may be read; of the rest it is said that it counts as not there."""
    access = open_access(settings)
    if access.credentials is None and access.problem is None:
        access = with_credentials(access)
    if access.problem is not None:
        raise ConfigError(f"--diff reads policies: {one_line(access.problem)}")
    reader = _Reader(access)
    projects, invokers = {}, {}
    for project in needs.projects:
        for found in reader.tried(f"project {project}", lambda p=project: reader.project(p)):
            projects[project] = found
    for service in needs.services:
        place = f"{service.project}/locations/{service.region}/services/{service.name}"
        for found in reader.tried(service.id, lambda p=place: reader.service(p)):
            invokers[service.id] = found
    return Present(projects, invokers)


class _Reader:
    def __init__(self, access: Access) -> None:
        authorized: Any = AuthorizedSession
        self._session: requests.Session = authorized(access.credentials)
        self._run = access.address.url

    def tried(self, what: str, read: Any) -> Iterator[Any]:
        """Give what was read, or nothing, with a warning."""
        try:
            yield read()
        except (UnreadableError, requests.exceptions.RequestException, GoogleAuthError) as error:
            log.warning(f"{what}: its policy cannot be read: {one_line(error)}")

    def project(self, project: str) -> ProjectPolicy:
        policy = self._json("POST", f"{_PROJECTS}/{quote(project)}:getIamPolicy")
        try:
            self._json("GET", f"{_ROLES}/{quote(project)}/roles/{LISTER}")
            role = True
        except UnreadableError:
            role = False
        return ProjectPolicy(role=role, bindings=bindings(policy))

    def service(self, place: str) -> frozenset[str]:
        policy = self._json("GET", f"{self._run}/v2/projects/{quote(place)}:getIamPolicy")
        return bindings(policy).get(INVOKER, frozenset())

    def _json(self, method: str, url: str) -> dict[str, Any]:
        answer = self._session.request(method, url, timeout=SECONDS, allow_redirects=False)
        try:
            content = answer.json()
        except ValueError:
            content = {}
        if answer.status_code != _OK or not isinstance(content, dict):
            error = content.get("error") if isinstance(content, dict) else None
            said = error.get("message") if isinstance(error, dict) else ""
            raise UnreadableError(f"{answer.status_code} {said}".strip())
        return content
