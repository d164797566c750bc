"""Secrets that the emulator makes up at its start, and that its issuers then insist on."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from emulator.model import World
from emulator.world import federated_principal


def _secret(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Secrets:
    """What the credential files hold."""

    client_id: str = "764086051850-emulator.apps.googleusercontent.com"
    client_secret: str = field(default_factory=lambda: _secret("GOCSPX-"), repr=False)
    refresh_token: str = field(default_factory=lambda: _secret("1//0"), repr=False)
    subject_token: str = field(default_factory=lambda: _secret("subject-"), repr=False)

    def audience(self, world: World) -> str:
        """The STS audience of the workload identity pool's provider."""
        pool = federated_principal(world).removeprefix("principal:").partition("/subject/")[0]
        return f"{pool}/providers/oidc"
