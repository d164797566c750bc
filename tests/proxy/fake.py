"""A proxy whose Google is a function: for what is about HTTP, not about credentials.

Run as ``python -m tests.proxy.fake DELAY_SECONDS [option…]`` it is the real ``runscrape-proxy``
with this minter in place of the credentials. Audiences say what becomes of them by their name:
``hang`` in it waits for the whole timeout and fails, ``fail`` fails at once, ``brief`` ends soon.
"""

from __future__ import annotations

import base64
import json
import sys
import time

from runscrape_proxy import cli
from runscrape_proxy.errors import MintError
from runscrape_proxy.model import CredentialKind, Minted
from runscrape_proxy.serving import server

LIFETIME, BRIEF = 3600, 20
"""Seconds of a token's life; BRIEF is what a metadata server's may have left."""


class FakeMinter:
    """Mints tokens that look like Google's and are signed by nobody."""

    kind = CredentialKind.SERVICE_ACCOUNT
    identity = "prometheus@demo.iam.gserviceaccount.com"

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay

    def mint(self, audience: str, *, timeout: float) -> Minted:
        if "hang" in audience:
            time.sleep(timeout)
            raise MintError("Google did not answer in time")
        if "fail" in audience:
            raise MintError(
                "permission denied", remedy="grant roles/iam.serviceAccountOpenIdTokenCreator"
            )
        if "bug" in audience:
            raise RuntimeError(jwt_for(audience, 0))
        time.sleep(self.delay)
        life = BRIEF if "brief" in audience else LIFETIME
        return Minted(jwt_for(audience, time.time() + life), life)


def jwt_for(audience: str, expires_at: float) -> str:
    """A token of about the length that Google's have."""
    parts = [{"alg": "RS256", "kid": "0" * 40}, {"aud": audience, "exp": int(expires_at)}]
    head, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts)
    return f"{head.rstrip('=')}.{body.rstrip('=')}.{'s' * 342}"


if __name__ == "__main__":
    with cli.command.make_context(cli.PROGRAM, sys.argv[2:]) as context:
        server.run(cli.settings_of(context), FakeMinter(float(sys.argv[1])))
