"""What the environment says of outgoing calls: proxies, and whose certificates are trusted."""

from __future__ import annotations

import base64
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import requests
from requests.utils import get_environ_proxies, select_proxy

from runscrape_proxy.errors import StartError
from runscrape_proxy.files import read_regular
from runscrape_proxy.http_client.errors import BadProxy


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy on the way."""

    host: str
    port: int
    tls: bool
    authorization: str = ""
    """What it gets as Proxy-Authorization."""

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Read ``[http[s]://][USER:PASSWORD@]HOST[:PORT]``. Raises BadProxy without quoting it."""
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port
        except ValueError:
            raise BadProxy(_BAD_PROXY) from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise BadProxy(_BAD_PROXY)
        tls = parts.scheme == "https"
        pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        basic = f"Basic {base64.b64encode(pair.encode()).decode()}" if pair != ":" else ""
        return cls(parts.hostname, port or (443 if tls else 80), tls, basic)


_BAD_PROXY: Final = "HTTPS_PROXY must name a proxy as http://HOST:PORT or https://HOST:PORT"


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Make the TLS context: the authorities that requests trusts, and those of ``ca_file`` (PEM).

    Raises StartError for a bad ``ca_file``.
    """
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    bundle = bundle or requests.utils.DEFAULT_CA_BUNDLE_PATH
    if Path(bundle).is_dir():
        context = ssl.create_default_context(capath=bundle)
    else:
        context = ssl.create_default_context(cafile=bundle)
    if ca_file is None:
        return context
    try:
        read_regular(ca_file)  # OpenSSL would wait at a pipe
        context.load_verify_locations(cafile=ca_file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StartError(f"--ca-file {ca_file}: {reason}") from None
    return context


def proxy_for(authority: str, *, tls: bool) -> Proxy | None:
    """The proxy on the way to a host, as requests reads the environment. Raises BadProxy."""
    url = f"{'https' if tls else 'http'}://{authority}"
    proxy = select_proxy(url, get_environ_proxies(url))
    return Proxy.parse(proxy) if proxy else None
