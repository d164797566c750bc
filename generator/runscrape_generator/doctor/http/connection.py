"""A connection to a server, directly or by way of an HTTP proxy, with TLS where it is wanted."""

from __future__ import annotations

import http.client
import socket
import ssl
from base64 import b64encode
from collections.abc import Sequence
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from runscrape_generator.addresses import without_secrets
from runscrape_generator.doctor.evidence import Failed, Failure, Stage
from runscrape_generator.doctor.http.steps import StepFailedError, Steps
from runscrape_generator.doctor.targets import Transport
from runscrape_generator.text import printable, shortened, show

_PIECE = 64 * 1024
_MOMENT = 0.5
"""Seconds for the rest of a refusal, which usually comes with its head, and for an address."""
_PORTS = {"http": 80, "https": 443}


def is_url(text: str) -> bool:
    """Whether it is a URL of a server that can be asked."""
    try:
        found = urlsplit(text)
        return found.scheme in _PORTS and bool(found.hostname and found.port != 0)
    except ValueError:
        return False


def connect(target: str, transport: Transport, steps: Steps) -> socket.socket:
    """Connect to the server, or to the HTTP proxy before it, and start TLS where it is https."""
    for each in (target, transport.proxy_url or target):
        if not is_url(each):
            why = f"{show(without_secrets(each))} is no URL with http:// or https://"
            raise StepFailedError(Failure(Stage.DNS, Failed.NO_URL, why))
    url = urlsplit(target)
    proxy = urlsplit(transport.proxy_url) if transport.proxy_url else None
    first = proxy or url
    host, port = first.hostname or "", first.port or _PORTS[first.scheme]
    with steps.take(Stage.DNS) as step:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [each[4] for each in found]
        step.text = ", ".join(dict.fromkeys(str(each[0]) for each in addresses))
    with steps.take(Stage.CONNECTION) as step:
        connection = _open(addresses, steps)
        step.text = "{}:{}".format(*connection.getpeername()[:2])
    try:
        if proxy is not None and proxy.scheme == "https":
            connection = _secured(connection, host, Transport(ca_file=transport.ca_file), steps)
        if url.scheme == "https":
            if proxy is not None:
                _tunnel(connection, url, proxy, steps)
            connection = _secured(connection, url.hostname or "", transport, steps)
    except StepFailedError:
        connection.close()
        raise
    return connection


def _open(addresses: Sequence[tuple[Any, ...]], steps: Steps) -> socket.socket:
    """Connect to the first address that answers; the last error counts if none does.

    The last one has all the time that is left, the others a moment: where IPv6 leads nowhere, say,
    Prometheus goes on with IPv4 after 0.3 s.
    """
    problem = OSError("no address")
    for number, (host, port, *_) in enumerate(addresses, 1):
        patience = steps.left if number == len(addresses) else min(_MOMENT, steps.left)
        try:
            return socket.create_connection((host, port), patience)
        except OSError as error:
            problem = error
    raise problem


def _tunnel(connection: socket.socket, url: SplitResult, proxy: SplitResult, steps: Steps) -> None:
    """Ask an HTTP proxy for a connection to the server (RFC 9110, section 9.3.6)."""
    authority = f"{url.netloc}" if url.port else f"{url.netloc}:443"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    lines += [f"{name}: {value}" for name, value in login(proxy, "Proxy-Authorization").items()]
    with steps.take(Stage.TUNNEL) as step:
        connection.settimeout(steps.left)
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _PIECE:
            connection.settimeout(steps.left)
            if not (more := connection.recv(1)):  # not a byte of what comes after
                raise http.client.RemoteDisconnected("the HTTP proxy closed the connection")
            head += more
        step.text = head.split(b"\r\n", 1)[0].decode("latin-1")
    if step.text.split()[1:2] != ["200"]:
        why = " ".join(filter(None, (step.text, _rest(connection))))
        raise StepFailedError(Failure(Stage.TUNNEL, Failed.REFUSED_BY_PROXY, printable(why)))


def _rest(connection: socket.socket) -> str:
    """Read what a refusal says beside its status, if that has come: for people, on one line."""
    try:
        connection.settimeout(_MOMENT)
        text = connection.recv(_PIECE).decode("utf-8", "replace")
    except OSError:
        return ""
    return "" if text.lstrip().startswith("<") else shortened(text, 200)


def login(url: SplitResult, header: str) -> dict[str, str]:
    """Give the header for the user and password in a URL; none where it has none."""
    if url.username is None:
        return {}
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {header: "Basic " + b64encode(pair.encode()).decode()}


def _secured(
    connection: socket.socket, host: str, transport: Transport, steps: Steps
) -> ssl.SSLSocket:
    with steps.take(Stage.TLS) as step:
        connection.settimeout(steps.left)
        name = transport.server_name or host
        secured = _context(transport).wrap_socket(connection, server_hostname=name)
        step.text = _certificate(secured)
    return secured


def _context(transport: Transport) -> ssl.SSLContext:
    """Trust what ``tls_config`` says in place of the system's authorities, as Prometheus does."""
    ca_file = transport.ca_file
    context = ssl.create_default_context(
        cafile=ca_file if ca_file and ca_file.is_file() else None, cadata=transport.ca or None
    )
    if transport.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if transport.cert_file is not None:
        context.load_cert_chain(transport.cert_file, transport.key_file)
    return context


def _certificate(connection: ssl.SSLSocket) -> str:
    """Say which TLS was made, and with whose certificate."""
    found: Any = connection.getpeercert() or {}
    names = {name: value for part in found.get("issuer", ()) for name, value in part}
    issuer = names.get("organizationName") or names.get("commonName")
    by = f", certificate by {issuer}, valid until {found['notAfter']}" if issuer else ""
    return f"{connection.version()}{by}"
