"""``--api-endpoint``: where the Run Admin API answers, and other APIs beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from runscrape_generator.addresses import in_url, is_loopback
from runscrape_generator.errors import ConfigError

GLOBAL_HOST = "run.googleapis.com"
"""Serves list methods for every region, so that one channel is enough; writes need a regional host
(the Cloud Run connector's reference, ``namespaces.services.list``)."""

_GOOGLE = re.compile(r"(?:.+\.)?googleapis\.com")
_PRIVATE_CONNECT = re.compile(r"run-([^.]+)\.p\.googleapis\.com")
"""A name of Private Service Connect, which has one like it for every API."""


@dataclass(frozen=True, slots=True)
class ApiAddress:
    """Where an API answers."""

    target: str
    """``host:port`` for gRPC."""
    url: str
    """``scheme://host:port`` for REST, without a slash at the end."""
    plaintext: bool
    """``http://``: no TLS, and therefore no credentials either, except on loopback."""

    @property
    def loopback(self) -> bool:
        """Whether what is sent there stays on this machine."""
        return is_loopback(urlsplit(self.url).hostname or "")

    def of_api(self, name: str) -> str:
        """Where another API of Google's answers: beside this one, or here if this is not Google's.

        ``scheme://host:port``, as ``url``.
        """
        host = urlsplit(self.url).hostname or ""
        if not _GOOGLE.fullmatch(host):
            return self.url
        connected = _PRIVATE_CONNECT.fullmatch(host)
        return f"https://{name}{f'-{connected[1]}.p' if connected else ''}.googleapis.com:443"


def api_address(text: str | None) -> ApiAddress:
    """Read ``http://HOST:PORT``, ``https://HOST[:PORT]`` or ``HOST[:PORT]``; None: Google's own.

    Raises ConfigError for anything else.
    """
    text = text or GLOBAL_HOST
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        parts, port = urlsplit(""), None
    more = (parts.path.strip("/"), parts.query, parts.fragment, parts.username)
    if not parts.hostname or not port or any(more) or any(c.isspace() for c in text):
        raise ConfigError(
            f"--api-endpoint: {text!r} is neither http://HOST:PORT (plaintext) nor "
            f"https://HOST[:PORT] nor HOST[:PORT]"
        )
    host = in_url(parts.hostname)
    return ApiAddress(f"{host}:{port}", f"{parts.scheme}://{host}:{port}", parts.scheme == "http")
