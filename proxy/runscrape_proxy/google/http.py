"""How the proxy talks to Google: pooled connections, and one deadline for all that a mint does.

google-auth's own transport waits 120 s for each read, follows redirects with credentials, and
retries with sleeps. This one ends at the deadline even where the answer drips in byte by byte
(requests' timeout starts anew with each byte), follows nothing, and turns whatever is not an
answer of 200 into a MintError, which google-auth passes on untouched: the only retries are those
of :mod:`runscrape_proxy.tokens.schedule`, and one at once where a kept connection is found closed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import requests
from urllib3 import Timeout
from urllib3.exceptions import HTTPError

from runscrape_proxy.clock import GoogleClock
from runscrape_proxy.errors import MintError
from runscrape_proxy.google import remedies as failures
from runscrape_proxy.google.connections import Adapter, Deadline, StaleConnectionError, trust

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Deadline", "GoogleHttp", "Request"]

_POOL_SIZE: Final = 128  # connections kept per host: more than mint at once
_LARGEST_ANSWER: Final = 1 << 20


class GoogleHttp:
    """Connections to Google's issuers.

    ``ca_file`` (PEM) is trusted on top of the usual authorities. ``direct`` ignores the proxies of
    the environment: the metadata server of another machine would answer with its identity.
    ``clock`` hears of the Date of each answer.
    Raises OSError or ssl.SSLError for a bad ``ca_file``.
    """

    def __init__(
        self,
        *,
        ca_file: Path | None = None,
        direct: bool = False,
        clock: GoogleClock | None = None,
    ) -> None:
        context = trust(ca_file)
        self._clock = clock or GoogleClock()
        self._session = requests.Session()
        self._session.trust_env = not direct
        self._session.auth = _leave_alone
        for prefix in ("https://", "http://"):
            self._session.mount(prefix, Adapter(context, per_host=_POOL_SIZE))

    def within(self, seconds: float) -> Request:
        """A transport to Google for google-auth that ends ``seconds`` from now."""
        return Request(self._session, Deadline(seconds), self._clock)

    def until(self, deadline: Deadline) -> Request:
        """One that ends at ``deadline``; it may ask others than Google, whose time is their own."""
        return Request(self._session, deadline)


class Request:
    """One mint's calls, all within one deadline: a ``google.auth.transport.Request``."""

    date: float | None = None
    """When the newest answer was written, in seconds since the epoch; None if it did not say."""

    def __init__(
        self, session: requests.Session, deadline: Deadline, clock: GoogleClock | None = None
    ) -> None:
        self.session = session  # google-auth mounts the metadata server's TLS on it where asked to
        self.deadline = deadline
        self._clock = clock

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002 (google-auth's; the deadline stands over it)
        **kwargs: Any,
    ) -> _Answer:
        """Send one request; raises MintError unless the answer is a 200.

        Again only where a kept connection turned out to be closed: there is one less each time.
        """
        answer = None
        while answer is None:
            try:
                answer = self._send(method, url, data=body, headers=dict(headers or {}), **kwargs)
            except (requests.RequestException, HTTPError, OSError) as error:
                if not failures.any_of(list(failures.causes_of(error)), StaleConnectionError):
                    raise failures.unreachable(url, error, self.deadline.seconds) from None
        if answer.status != HTTPStatus.OK:
            raise failures.refused(url, answer.status, answer.data)
        return answer

    def _send(self, method: str, url: str, **kwargs: Any) -> _Answer:
        left = self.deadline.left
        if left <= 0:
            raise failures.too_slow(url, self.deadline.seconds)
        kwargs |= {"timeout": Timeout(connect=left, total=left)}
        response = self.session.request(method, url, allow_redirects=False, stream=True, **kwargs)
        with response:
            data = response.raw.read(_LARGEST_ANSWER + 1, decode_content=True)
        if len(data) > _LARGEST_ANSWER:
            raise MintError(f"{failures.host_of(url)} sent more than any token answer holds")
        self._note(response.headers.get("Date"))
        return _Answer(response.status_code, response.headers, data)

    def _note(self, date: str | None) -> None:
        try:
            self.date = parsedate_to_datetime(date or "").timestamp()
        except (ValueError, OverflowError):
            self.date = None
        if self._clock is not None and self.date is not None:
            self._clock.note(self.date)


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer as google-auth reads it (``google.auth.transport.Response``)."""

    status: int
    headers: Mapping[str, str]
    data: bytes = field(repr=False)


def _leave_alone(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from putting a password out of ~/.netrc in the place of our header."""
    return request
