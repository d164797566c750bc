"""Proxies and certificates: the same for gRPC, REST and token requests."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator
from runscrape_generator.cloudrun.discovery import discover
from runscrape_generator.cloudrun.network import CA_VARIABLES, Network
from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import ConfigError
from runscrape_generator.model import Discovery
from tests.conftest import DEMO_WORLD, MakeEmulator, UseCredentials
from tests.generator.recorder import Recorder
from tests.generator.tls_front import tls_front

HOST = "run.example.com"
"""A host that only the proxy of these tests can reach."""

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "grpc_proxy", "no_grpc_proxy")
GOOGLE = "https://run.googleapis.com:443"
OWN = "https://10.1.2.3:8443"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Take away every proxy and CA that this machine may have set."""
    for name in (*PROXIES, *map(str.upper, PROXIES), *CA_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


RULES: list[tuple[dict[str, str], str, str | None]] = [
    ({}, GOOGLE, None),
    ({"https_proxy": "http://p:1"}, GOOGLE, "http://p:1"),
    ({"HTTPS_PROXY": "http://p:1"}, GOOGLE, "http://p:1"),
    ({"https_proxy": "http://lower:1", "HTTPS_PROXY": "http://upper:1"}, GOOGLE, "http://lower:1"),
    ({"https_proxy": "p:3128"}, GOOGLE, "http://p:3128"),
    ({"HTTPS_PROXY": "p"}, GOOGLE, "http://p:80"),
    ({"https_proxy": "u%40corp:s%3A@p:1"}, GOOGLE, "http://u%40corp:s%3A@p:1"),
    ({"https_proxy": "http://[::1]:3128"}, GOOGLE, "http://[::1]:3128"),
    ({"ALL_PROXY": "p:1"}, GOOGLE, "http://p:1"),
    ({"https_proxy": ""}, GOOGLE, None),
    ({"http_proxy": "http://p:1"}, GOOGLE, None),
    ({"grpc_proxy": "http://p:1"}, GOOGLE, None),
    ({"http_proxy": "http://p:1"}, "http://api.example.com:80", "http://p:1"),
    ({"https_proxy": "http://p:1", "no_proxy": "*"}, GOOGLE, None),
    ({"HTTPS_PROXY": "p:1", "NO_PROXY": "*"}, GOOGLE, None),
    ({"https_proxy": "p:1", "NO_PROXY": "example.com, .googleapis.com"}, GOOGLE, None),
    ({"https_proxy": "p:1", "NO_PROXY": "googleapis.com"}, GOOGLE, None),
    ({"https_proxy": "p:1", "no_proxy": "run.googleapis.com:443"}, GOOGLE, None),
    ({"https_proxy": "p:1", "no_proxy": "run.googleapis.com:8443"}, GOOGLE, "http://p:1"),
    ({"https_proxy": "p:1", "no_proxy": "apis.com"}, GOOGLE, "http://p:1"),
    ({"https_proxy": "p:1", "no_grpc_proxy": "*"}, GOOGLE, "http://p:1"),
    ({"https_proxy": "p:1", "no_proxy": "10.0.0.0/8"}, OWN, None),
    ({"https_proxy": "p:1", "no_proxy": "10.1.2.3"}, OWN, None),
    ({"https_proxy": "p:1", "no_proxy": "11.0.0.0/8"}, OWN, "http://p:1"),
    ({"http_proxy": "p:1"}, "http://metadata.google.internal/computeMetadata/v1/", None),
    ({"http_proxy": "p:1"}, "http://169.254.169.254", None),
    ({"http_proxy": "p:1", "GCE_METADATA_HOST": "meta:8080"}, "http://meta:8080/x", None),
    ({"http_proxy": "p:1"}, "http://localhost:8080", None),
    ({"https_proxy": "p:1"}, "https://localhost:8080", "http://p:1"),
]


@pytest.mark.parametrize(("environ", "url", "proxy"), RULES)
def test_which_proxy(
    bare: pytest.MonkeyPatch, environ: dict[str, str], url: str, proxy: str | None
) -> None:
    """The variables count in either case, with or without a scheme; no_proxy as curl reads it.

    Neither the metadata server nor a plaintext server on this machine has a proxy.
    """
    for name, value in environ.items():
        bare.setenv(name, value)
    assert Network().proxy(url) == proxy


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("https://u:secret@p:1", "only http:// proxies"),
        ("socks5://u:secret@p", "only http:// proxies"),
        ("http://u:secret@", "names no host"),
        ("http://:secret", "is not a URL"),
        ("p:secret", "is not a URL"),
        ("http://u:secret@a..b:1", "is not a URL"),
    ],
)
def test_a_proxy_that_cannot_carry_grpc(
    bare: pytest.MonkeyPatch,
    google: Emulator,
    use_credentials: UseCredentials,
    proxy: str,
    said: str,
) -> None:
    """What gRPC cannot use is a mistake that is said before anything is listed, not half used."""
    use_credentials(google, "service_account")
    for name in (*PROXIES, *map(str.upper, PROXIES)):
        bare.delenv(name, raising=False)
    bare.setenv("https_proxy", proxy)
    with pytest.raises(ConfigError, match="the proxy of the environment") as caught:
        discover(Settings(projects=("demo",), api_endpoint="https://localhost:9"), {}, Recorder())
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


class Through(socketserver.ThreadingTCPServer):
    """A CONNECT proxy that knows one host, and passes the others on to another proxy."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, beyond: str) -> None:
        super().__init__(("127.0.0.1", 0), Tunnel)
        self.port = port
        host, _, number = beyond.removeprefix("http://").rpartition(":")
        self.beyond = (host, int(number))
        self.asked: list[str] = []


class Tunnel(socketserver.BaseRequestHandler):
    server: Through

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.request.recv(4096)
        target = head.split()[1].decode()
        self.server.asked.append(target)
        known = target == f"{HOST}:443"
        where = ("127.0.0.1", self.server.port) if known else self.server.beyond
        with socket.create_connection(where) as upstream, contextlib.suppress(OSError):
            if known:
                self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                upstream.sendall(head)
            relay(self.request, upstream)


def relay(one: socket.socket, other: socket.socket) -> None:
    while True:
        for ready in select.select([one, other], [], [])[0]:
            data = ready.recv(65536)
            if not data:
                return
            (other if ready is one else one).sendall(data)


@pytest.fixture
def google(make_emulator: MakeEmulator) -> Emulator:
    """Give an emulator that wants credentials, and a folder with its project."""
    demo = DEMO_WORLD["projects"]["demo"] | {"folders": ["12"]}
    return make_emulator({"projects": {"demo": demo}, "settings": {"require_credentials": True}})


@pytest.fixture
def front(
    google: Emulator, tmp_path: Path, use_credentials: UseCredentials, bare: pytest.MonkeyPatch
) -> Iterator[tuple[str, Path]]:
    """Give ``https://localhost:PORT`` in front of it, and the CAs of all of Google's hosts."""
    use_credentials(google, "authorized_user")  # its token comes from oauth2.googleapis.com
    for name in (*PROXIES, *map(str.upper, PROXIES), *CA_VARIABLES):
        bare.delenv(name, raising=False)
    with tls_front(google.api, tmp_path, HOST) as (endpoint, ca):
        ca.write_text(ca.read_text() + google.ca_file.read_text())
        yield endpoint, ca


@pytest.fixture
def proxy(front: tuple[str, Path], google: Emulator) -> Iterator[Through]:
    with Through(int(front[0].rpartition(":")[2]), google.proxy_url) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def listed(endpoint: str, timeout: float = 20, **more: Any) -> Discovery:
    settings = Settings(folders=("12",), api_endpoint=endpoint, timeout=timeout, **more)
    return discover(settings, {}, Recorder())


@pytest.mark.parametrize(
    ("name", "start"),
    [("HTTPS_PROXY", "http://"), ("https_proxy", ""), ("ALL_PROXY", "http://u:p%40@")],
)
def test_every_call_takes_the_proxy(
    front: tuple[str, Path],
    proxy: Through,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    start: str,
) -> None:
    """Token, search and listing go through it, whichever way it is written."""
    monkeypatch.setenv(name, f"{start}127.0.0.1:{proxy.server_address[1]}")
    monkeypatch.setenv("no_grpc_proxy", HOST)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(front[1]))
    found = listed(f"https://{HOST}")
    assert found.failures == ()
    assert len(found.scopes) == 2
    assert set(proxy.asked) == {f"{HOST}:443", "oauth2.googleapis.com:443"}
    assert len(proxy.asked) >= 3


@pytest.mark.parametrize("value", ["*", "localhost", "localhost:PORT"])
def test_no_call_takes_the_proxy(
    front: tuple[str, Path], proxy: Through, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """What NO_PROXY names is reached without it, by either protocol."""
    endpoint, ca = front
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server_address[1]}")
    monkeypatch.setenv("NO_PROXY", value.replace("PORT", endpoint.rpartition(":")[2]))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca))
    if value == "*":  # then the token's host is out of reach as well
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "demo")
        listed(endpoint, projects=("demo",), timeout=1)
    else:
        assert len(listed(endpoint).scopes) == 2
    assert not any("localhost" in asked for asked in proxy.asked)


@pytest.mark.parametrize("name", CA_VARIABLES)
def test_one_ca_for_all_calls(
    front: tuple[str, Path], google: Emulator, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Any one of the variables is enough for token, search and listing."""
    endpoint, ca = front
    monkeypatch.setenv("HTTPS_PROXY", google.proxy_url)
    monkeypatch.setenv("NO_PROXY", "localhost")
    monkeypatch.setenv(name, str(ca))
    found = listed(endpoint)
    assert found.failures == ()
    assert len(found.scopes) == 2


def test_a_folder_of_cas(
    front: tuple[str, Path], google: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A folder that c_rehash made counts for gRPC as it does for REST."""
    (tmp_path / "cas").mkdir()
    (tmp_path / "cas" / "all.pem").write_text(front[1].read_text())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cas"))
    monkeypatch.setenv("HTTPS_PROXY", google.proxy_url)
    monkeypatch.setenv("NO_PROXY", "localhost")
    assert Network().channel_credentials() is not None


@pytest.mark.parametrize("content", [None, b"", b"not PEM"])
def test_a_ca_that_is_none(bare: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None) -> None:
    """A CA file that cannot be read, or holds none, is named; plaintext needs none."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    bare.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(ConfigError, match=str(path)):
        Network().channel_credentials()
    assert Network().channel_options("http://localhost:1") == (("grpc.enable_http_proxy", 0),)


def test_the_metadata_server_has_no_proxy(
    bare: pytest.MonkeyPatch, google: Emulator, use_credentials: UseCredentials
) -> None:
    """Through a proxy it would be the proxy's identity, or none."""
    use_credentials(google, "metadata")
    for name in (*PROXIES, *map(str.upper, PROXIES)):
        bare.delenv(name, raising=False)
    bare.setenv("http_proxy", "http://127.0.0.1:9")
    found = discover(Settings(api_endpoint=google.api, timeout=10), {}, Recorder())
    assert len(found.scopes) == 2
