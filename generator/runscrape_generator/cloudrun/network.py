"""How calls leave this machine: through which proxy, and which certificates they trust.

Decided here for every call: gRPC, REST and token requests. Left to themselves they differ: gRPC
reads only lower-case variables, needs a scheme in them and knows no ``no_proxy=*``; requests and
gRPC each have a variable of their own for the CA file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import google.auth.transport.requests
import grpc
import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy

from runscrape_generator.addresses import in_url, is_loopback
from runscrape_generator.errors import ConfigError

CA_VARIABLES = (
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "SSL_CERT_FILE",
)
"""The first one that is set names the CA file, or folder, for every call."""

_METADATA_HOSTS = frozenset({"metadata.google.internal", "169.254.169.254", "fd20:ce::254"})
_METADATA_VARIABLES = ("GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT")
"""Where google-auth looks for another metadata server (``google.auth.environment_vars``)."""

ChannelOption = tuple[str, Any]


@dataclass(frozen=True)
class Network:
    """The environment's proxies and CA file."""

    def proxy(self, url: str) -> str | None:
        """Give the proxy for a call to ``url``, as ``http://[USER:PASSWORD@]HOST:PORT``, or None.

        The rules are requests': ``https_proxy`` (or ``http_proxy``, for an http URL) or
        ``all_proxy``, in lower or upper case, with or without a scheme; ``no_proxy`` holds domains,
        hosts with ports, addresses, networks or ``*``. Neither the metadata server nor a server on
        this machine without TLS is behind any. Raises ConfigError for a proxy that gRPC could not
        use.
        """
        parts = urlsplit(url)
        here = parts.scheme == "http" and is_loopback(parts.hostname or "")
        if here or parts.hostname in self._metadata_hosts:
            return None
        found = select_proxy(url, get_environ_proxies(url))
        return _checked(found) if found else None

    def session(self, headers: Mapping[str, str] | None = None) -> requests.Session:
        """Make a session for REST that goes by these rules and sends ``headers`` every time."""
        return self.apply(requests.Session(), headers or {})

    def apply(self, session: requests.Session, headers: Mapping[str, str]) -> requests.Session:
        """Make any session go by these rules alone; it reads neither the environment nor .netrc."""
        session.trust_env = False
        session.headers.update(headers)
        adapter = _Adapter(self)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return session

    def token_request(self) -> Any:
        """Make what google-auth sends token requests with."""
        request: Any = google.auth.transport.requests.Request
        return request(session=self.session())

    def channel_options(self, url: str) -> tuple[ChannelOption, ...]:
        """Give the options that make a gRPC channel to ``url`` go by these rules."""
        # gRPC would look at no_proxy again, by rules of its own, unless it finds this instead.
        os.environ["no_grpc_proxy"] = ""  # noqa: SIM112 - gRPC reads it in lower case only
        proxy = self.proxy(url)
        if proxy is None:
            return (("grpc.enable_http_proxy", 0),)
        return (("grpc.http_proxy", proxy),)

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Give gRPC's TLS the same certificates as REST has; raises ConfigError."""
        return grpc.ssl_channel_credentials(root_certificates=_certificates(Path(self.ca_file)))

    @cached_property
    def ca_file(self) -> str:
        """The CA file or folder, from the environment or as certifi has it; raises ConfigError."""
        for name in CA_VARIABLES:
            path = os.environ.get(name)
            if path and not os.access(path, os.R_OK):
                raise ConfigError(f"{name}: {path} cannot be read: set it to a file with CAs")
            if path:
                return path
        return DEFAULT_CA_BUNDLE_PATH

    @cached_property
    def _metadata_hosts(self) -> frozenset[str]:
        named = (os.environ.get(name, "") for name in _METADATA_VARIABLES)
        return _METADATA_HOSTS | {urlsplit(f"//{one}").hostname or "" for one in named}


class _Adapter(HTTPAdapter):
    """Sends every request by the rules of a :class:`Network`, redirected ones too."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, *, timeout: Any = None, **more: Any
    ) -> requests.Response:
        """Send a request through the proxy that its URL wants."""
        url = str(request.url)
        proxy = self._network.proxy(url)
        secure = url.startswith("https:")
        return super().send(
            request,
            stream=bool(more.get("stream")),
            timeout=timeout,
            verify=self._network.ca_file if secure else True,
            proxies={urlsplit(url).scheme: proxy} if proxy else {},
        )


def _checked(proxy: str) -> str:
    """Complete a proxy's URL with scheme and port; raises ConfigError, which shows no password."""
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        host, port = parts.hostname or "", parts.port or 80
        host.encode("idna")  # fails as requests would, for an empty label
    except ValueError:
        raise ConfigError("the proxy of the environment (https_proxy, …) is not a URL") from None
    if not host:
        raise ConfigError(
            "the proxy of the environment names no host: set https_proxy to http://HOST:PORT"
        )
    if parts.scheme != "http":
        raise ConfigError(
            f"the proxy of the environment is {parts.scheme}://{host}: only http:// proxies "
            "can carry gRPC; set https_proxy to http://HOST:PORT"
        )
    user, at, _ = parts.netloc.rpartition("@")
    return f"http://{user}{at}{in_url(host)}:{port}"


def _certificates(path: Path) -> bytes:
    """Read a file of certificates, or all files of a folder of them."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found = b"\n".join(each.read_bytes() for each in files if each.is_file())
    if b"-----BEGIN CERTIFICATE-----" not in found:
        raise ConfigError(f"{path} holds no CA certificate (PEM)")
    return found
