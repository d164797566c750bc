"""Opaque access tokens as the OAuth token endpoints give them."""

from __future__ import annotations

from collections.abc import Iterable

from emulator.errors import json_response
from emulator.state import State
from emulator.wire import Response


def grant_access(
    state: State, kind: str, identity: str, scopes: Iterable[str], **more: object
) -> Response:
    """Answer with an access token for *identity*; *kind* of issuer is for the counts."""
    lifetime = state.world.settings.access_token_lifetime
    state.counts.add("access_tokens", kind)
    token = state.tokens.access_token(identity, lifetime, scopes)
    value = {"access_token": token, "expires_in": int(lifetime), "token_type": "Bearer"}
    return json_response(value | more)
