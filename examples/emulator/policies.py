"""IAM policies of projects and services, and custom roles: to read, not to change."""

from __future__ import annotations

import re
from collections.abc import Callable

from emulator.callers import Callers
from emulator.errors import GoogleError, denied, json_response
from emulator.model import Project, Service
from emulator.state import State
from emulator.tokens import CLOUD_SCOPES
from emulator.wire import Answer, Request, Response

_SERVICE = re.compile(
    r"/v2/projects/([^/]+)/locations/([^/]+)/services/([^/:]+):getIamPolicy", re.ASCII
)
_PROJECT = re.compile(r"/v1/projects/([^/:]+):getIamPolicy", re.ASCII)
_ROLE = re.compile(r"/v1/projects/([^/]+)/roles/([^/:]+)", re.ASCII)
_INVOKER = "roles/run.invoker"


class Policies:
    """Answers for the live world: Run Admin API v2, Resource Manager v1, IAM v1."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._callers = Callers(state, "run.googleapis.com", CLOUD_SCOPES)

    def route(self, request: Request) -> Callable[[], Answer] | None:
        """Give the way to the answer; None for other requests."""
        answers: tuple[tuple[str, re.Pattern[str], Callable[..., Response]], ...] = (
            ("GET", _SERVICE, self._service),
            ("POST", _PROJECT, self._project),
            ("GET", _ROLE, self._role),
        )
        for method, path, answer in answers:
            found = path.fullmatch(request.path)
            if found is not None and request.method == method:
                return lambda: self._answered(answer, request, found.groups())
        return None

    def _answered(
        self, answer: Callable[..., Response], request: Request, names: tuple[str, ...]
    ) -> Answer:
        try:
            project = self._readable(request, names[0])
            return answer(project, *names[1:])
        except GoogleError as error:
            return error.response()

    def _readable(self, request: Request, reference: str) -> Project:
        """Find a project for a caller who may read its policies."""
        identity = self._callers.identify(request.bearer, required=True)
        found = self._state.world.project(reference)
        if found is None or identity not in (found[1].policy_viewers or (identity,)):
            raise denied("resourcemanager.projects.getIamPolicy", f"projects/{reference}")
        return found[1]

    def _service(self, project: Project, region: str, name: str) -> Response:
        for service in project.services:
            if (service.region, service.name) == (region, name) and not service.deleted:
                return json_response({"version": 1, "etag": "BwY", "bindings": _invokers(service)})
        raise GoogleError("NOT_FOUND", f"Resource '{name}' of kind 'SERVICE' does not exist.")

    def _project(self, project: Project) -> Response:
        bindings = [
            {"role": role, "members": [_member(each) for each in members]}
            for role, members in project.bindings.items()
        ]
        return json_response({"version": 1, "etag": "BwY", "bindings": bindings})

    def _role(self, project: Project, role: str) -> Response:
        if role not in project.roles:
            raise GoogleError("NOT_FOUND", f"The role named {role} was not found.")
        return json_response({"name": role, "includedPermissions": ["run.services.list"]})


def _invokers(service: Service) -> list[dict[str, object]]:
    members = [_member(each) for each in service.invokers or ()]
    return [{"role": _INVOKER, "members": members}] if members else []


def _member(identity: str) -> str:
    """Write an identity of the world as a policy does."""
    if identity.startswith("all") or ":" in identity:
        return identity
    kind = "serviceAccount" if identity.endswith(".gserviceaccount.com") else "user"
    return f"{kind}:{identity}"
