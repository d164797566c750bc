"""Who calls one of Google's APIs, by the access token, and whether that identity may."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.errors import GoogleError, denied, disabled, restricted, unauthenticated
from emulator.model import Project
from emulator.state import State
from emulator.tokens import CLOUD_SCOPES, TokenError

_RUN_SCOPES = CLOUD_SCOPES | {
    f"https://www.googleapis.com/auth/{name}" for name in ("run", "run.readonly")
}


@dataclass(frozen=True)
class Callers:
    """Checks callers of the API *service*, such as ``run.googleapis.com``."""

    state: State
    service: str = "run.googleapis.com"
    scopes: frozenset[str] = _RUN_SCOPES

    def identify(self, token: str | None, *, required: bool) -> str | None:
        """Give the caller's email, None for nobody; raises GoogleError."""
        if token is None:
            if required:
                raise unauthenticated("is missing required", "CREDENTIALS_MISSING", self.service)
            return None
        try:
            access = self.state.tokens.access(token, f"https://{self.service}/")
        except TokenError:
            raise unauthenticated("had invalid", "ACCESS_TOKEN_INVALID", self.service) from None
        if not access.scopes & self.scopes:
            raise GoogleError(
                "PERMISSION_DENIED",
                "Request had insufficient authentication scopes.",
                "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                metadata={"service": self.service},
            )
        return access.identity

    def project(
        self, token: str | None, reference: str, permission: str, resource: str, *, required: bool
    ) -> tuple[str, Project]:
        """Find a project (by id or number) for a caller who may see it.

        Raises GoogleError as Google does, which does not tell a project that is not there from one
        that the caller may not see.
        """
        world = self.state.world
        required = required or world.settings.require_credentials
        identity = self.identify(token, required=required)
        found = world.project(reference)
        if found is None:
            raise denied(permission, resource)
        name, entry = found
        if entry.api_disabled:
            raise disabled(entry.number)
        if entry.viewers is not None and identity not in entry.viewers:
            raise denied(permission, resource)
        return name, entry


def check_region(project: Project, region: str) -> None:
    """Refuse a region that is closed to the project, or that it does not have.

    GOOGLE'S ANSWER IS UNCONFIRMED for a region that does not exist: INVALID_ARGUMENT here.
    """
    if region in project.closed_regions:
        raise restricted(region, project.number)
    if region not in (project.regions or ()):
        raise GoogleError("INVALID_ARGUMENT", f"Location {region!r} is not valid.")
