"""How the proxy talks to Google: kept connections, and one deadline for all that a mint does.

google-auth's own transport waits 120 s for each read, follows redirects with credentials, and
retries with sleeps. This one ends at the deadline, follows nothing, and turns whatever is not an
answer of 200 into a MintError, which google-auth passes on untouched: the only retries are those
of :mod:`runscrape_proxy.tokens.schedule`.
"""

from __future__ import annotations

import functools
import weakref
from dataclasses import dataclass, field
from email.message import Message
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import h11
import requests

from runscrape_proxy import http_client
from runscrape_proxy.clock import GoogleClock
from runscrape_proxy.errors import MintError
from runscrape_proxy.google import remedies
from runscrape_proxy.http_client import Deadline

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CONNECTIONS: Final = 128  # kept per host: more than mint at once
_HOSTS: Final = 10
_LARGEST_ANSWER: Final = 1 << 20


class GoogleHttp:
    """Connections to Google's issuers.

    ``ca_file`` (PEM) is trusted on top of the usual authorities. ``direct`` ignores the proxies of
    the environment: the metadata server of another machine would answer with its identity.
    ``clock`` hears of the Date of each answer. Raises StartError for a bad ``ca_file``, and OSError
    for a bad REQUESTS_CA_BUNDLE.
    """

    def __init__(
        self,
        *,
        clock: GoogleClock,
        ca_file: Path | None = None,
        direct: bool = False,
    ) -> None:
        self._ca_file = ca_file
        self._direct = direct
        self._clock = clock
        self._client = self.client()

    def within(self, seconds: float) -> GoogleRequest:
        """A transport to Google for google-auth that ends ``seconds`` from now."""
        return GoogleRequest(self, self._client, Deadline(seconds), self._clock)

    def until(self, deadline: Deadline) -> GoogleRequest:
        """One that ends at ``deadline``; it may ask others than Google, whose time is their own."""
        return GoogleRequest(self, self._client, deadline)

    def client(self, certificate: tuple[str, str] | None = None) -> http_client.Client:
        """Make the client, or one that shows a certificate (the paths of it and of its key)."""
        context = http_client.trust(self._ca_file)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        made = http_client.Client(
            context,
            per_host=_CONNECTIONS,
            hosts=_HOSTS,
            lookups=_CONNECTIONS,
            direct=self._direct,
        )
        weakref.finalize(self, made.close)
        return made


class GoogleRequest:
    """One mint's calls, all within one deadline: a ``google.auth.transport.Request``."""

    session: requests.Session | None = None
    """google-auth makes one where the metadata server wants TLS with a certificate of its own:
    https://cloud.google.com/compute/docs/metadata/overview#https-mds. Nothing else goes that way.
    """

    date: float | None = None
    """When the newest answer was written, in seconds since the epoch; None if it did not say."""

    def __init__(
        self,
        http: GoogleHttp,
        client: http_client.Client,
        deadline: Deadline,
        clock: GoogleClock | None = None,
    ) -> None:
        self.deadline = deadline
        self._http = http
        self._client = client
        self._clock = clock

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002 (google-auth's; the deadline stands over it)
        *,
        cert: tuple[str, str] | None = None,
        **_: Any,
    ) -> _Answer:
        """Send one request; raises MintError unless the answer is a 200.

        ``cert`` is what workload identity federation by X.509 shows.
        """
        if self.deadline.left <= 0:
            raise remedies.too_slow(url, self.deadline.seconds)
        if self.session is not None and url.startswith("https:"):
            answer = self._by_session(self.session, method, url, headers)
        else:
            content = body.encode() if isinstance(body, str) else body or b""
            client = self._client if cert is None else self._http.client(cert)
            answer = self._send(client, url, method, content, headers or {})
        self._note(answer.headers.get("Date"))
        if answer.status != HTTPStatus.OK:
            raise remedies.refused(url, answer.status, answer.data)
        return answer

    def _send(
        self,
        client: http_client.Client,
        url: str,
        method: str,
        body: bytes,
        headers: Mapping[str, str],
    ) -> _Answer:
        try:
            answer = client.send(_request(url, method, body, headers), self.deadline)
            data = answer.read(_LARGEST_ANSWER)
        except http_client.CallError as error:
            raise remedies.unreachable(url, error, self.deadline.seconds) from None
        except (h11.LocalProtocolError, ValueError):
            raise MintError(
                f"{remedies.host_of_url(url)} cannot be asked: its URL or a header of the request"
                " is not fit for HTTP",
                remedy="check the credentials file and what it points to",
            ) from None
        return _Answer(answer.status, _fields(answer.headers), data)

    def _by_session(
        self,
        session: requests.Session,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
    ) -> _Answer:
        try:
            answer = session.request(
                method, url, headers=headers, timeout=self.deadline.left, allow_redirects=False
            )
        except requests.RequestException as error:
            raise remedies.no_session(url, error) from None
        return _Answer(answer.status_code, _fields(answer.headers.items()), answer.content)

    def _note(self, date: str | None) -> None:
        self.date = _seconds(date or "")
        if self._clock is not None and self.date is not None:
            self._clock.note(self.date)


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer as google-auth reads it (``google.auth.transport.Response``)."""

    status: int
    headers: Message
    """Fields by name, in any case."""
    data: bytes = field(repr=False)


def _request(url: str, method: str, body: bytes, headers: Mapping[str, str]) -> http_client.Request:
    """Take a URL apart. Raises ValueError for one that is none."""
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in {"http", "https"}:
        raise ValueError("not a URL of a host")
    tls = parts.scheme == "https"
    return http_client.Request(
        host=parts.hostname,
        port=parts.port or (443 if tls else 80),
        tls=tls,
        target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        headers={"User-Agent": "runscrape-proxy", "Accept": "*/*"} | dict(headers),
        method=method,
        body=body,
    )


@functools.lru_cache(maxsize=16)
def _seconds(date: str) -> float | None:
    """A Date in seconds since the epoch; None for what is none. A second's answers share one."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def _fields(headers: Any) -> Message:
    fields = Message()
    for name, value in headers:
        fields[name] = value
    return fields
