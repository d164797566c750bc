"""The gateway's outgoing side: one GET over https, kept connections, an answer in pieces."""

from __future__ import annotations

import contextlib
import functools
import logging
import socket
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy
from urllib3 import HTTPResponse, Timeout
from urllib3 import exceptions as urllib3_exceptions

from runscrape_proxy.errors import ScrapeError
from runscrape_proxy.google.remedies import any_of, causes_of, words_of
from runscrape_proxy.http_client import (
    Adapter,
    Deadline,
    NoAnswerError,
    StaleConnectionError,
    trust,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from runscrape_proxy.gateway.targets import Target

KEPT_PER_HOST: Final = 2
"""A Prometheus has one scrape of a target under way; two of them share the work, or double it."""

PIECE: Final = 64 * 1024
"""Bytes of a body that are held at once."""

_NO_PROXY: Final = (
    "no way to {host}: HTTPS_PROXY must name a proxy as http://HOST:PORT or https://HOST:PORT"
)
_FAILED = (urllib3_exceptions.HTTPError, OSError)


class Client:
    """Asks services, over verified TLS, through HTTPS_PROXY where NO_PROXY does not say otherwise.

    Keeps at most ``connections`` open while nothing is asked, :data:`KEPT_PER_HOST` to one host.
    Raises OSError or ssl.SSLError for a bad ``ca_file``.
    """

    def __init__(self, *, ca_file: Path | None, connections: int) -> None:
        hosts = max(1, connections // KEPT_PER_HOST)
        self._adapter = Adapter(trust(ca_file), per_host=KEPT_PER_HOST, hosts=hosts)
        # It warns of each connection to a host that is one too many to keep.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)

    def get(
        self, target: Target, path: str, headers: Mapping[str, str], deadline: Deadline
    ) -> Answer:
        """Ask for ``path`` (with its query) of a service.

        Raises ScrapeError: 502 where there is no answer, 504 where there is none by the deadline.
        """
        pool = self._pool(target)
        while True:
            left = deadline.left
            if left <= 0:
                raise _too_slow(target.host, deadline)
            try:
                response = pool.urlopen(
                    "GET",
                    path,
                    headers=headers,
                    timeout=Timeout(connect=left, total=left),
                    retries=False,
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                )
            except _FAILED as error:
                # A kept connection is lost with each such try, so there is an end to them.
                if not any_of(list(causes_of(error)), StaleConnectionError):
                    raise failure(target.host, error, deadline) from None
            else:
                answer = Answer(response, deadline=deadline, host=target.host)
                return _checked(answer, target.host)

    def _pool(self, target: Target) -> Any:
        """The connections to a host; its manager's own urlopen would take the URL apart again."""
        adapter = self._adapter
        try:
            proxy = _proxy_for(f"https://{target.host}:{target.port}")
            manager = adapter.proxy_manager_for(proxy) if proxy else adapter.poolmanager
        except _FAILED:  # not quoted: there may be a password in it
            raise ScrapeError(HTTPStatus.BAD_GATEWAY, _NO_PROXY.format(host=target.host)) from None
        return manager.connection_from_host(target.host, target.port, scheme="https")


class Answer:
    """What a service answered; its body is still to come. Closed, or read to its end."""

    def __init__(self, response: Any, *, host: str, deadline: Deadline) -> None:
        self.status: int = response.status
        self.headers: list[tuple[str, str]] = list(response.headers.items())
        self.length: int | None = None if response.chunked else response.length_remaining
        """The body's length in bytes; None where the service sends it in chunks."""
        self.has_an_end = bool(response.chunked) or self.length is not None
        """Whether a body that is cut off can be told from one that is whole."""
        self._response: HTTPResponse = response
        # Else urllib3 makes a decoder, though nothing is ever decoded.
        response.headers.discard("Content-Encoding")
        self._host = host
        self._deadline = deadline

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes, encoded as it was. Raises ScrapeError where it breaks off."""
        try:
            yield from self._response.stream(PIECE, decode_content=False)
        except _FAILED as error:
            raise failure(self._host, error, self._deadline, half_way=True) from None
        # The connection is free for the next scrape of this host.
        self._response.release_conn()

    def close(self) -> None:
        """Drop the connection unless the body was read to its end."""
        with contextlib.suppress(*_FAILED):
            self._response.close()


def failure(
    host: str, error: Exception, deadline: Deadline, *, half_way: bool = False
) -> ScrapeError:
    """Say in one line why a service did not answer."""
    causes = list(causes_of(error))
    refused = any_of(causes, urllib3_exceptions.NewConnectionError)
    late = any_of(causes, urllib3_exceptions.TimeoutError, TimeoutError) and not refused
    if late or deadline.left <= 0:
        return _too_slow(host, deadline)
    return ScrapeError(HTTPStatus.BAD_GATEWAY, _words(host, causes, half_way=half_way))


def _words(host: str, causes: list[BaseException], *, half_way: bool) -> str:
    said = words_of(causes)
    if half_way:
        return f"{host} broke its answer off half way ({said})"
    for kinds, words in _WORDS.items():
        if any_of(causes, *kinds):
            return words.format(host=host, said=said)
    return f"{host} did not answer as HTTP has it ({said})"


_WORDS: Final = {
    (ssl.SSLError,): (
        "TLS to {host} failed ({said}): if a proxy opens TLS here, name its authority with"
        " --ca-file"
    ),
    (urllib3_exceptions.NameResolutionError, socket.gaierror): "{host} has no address here (DNS)",
    (NoAnswerError,): "{host} closed the connection without an answer",
    (urllib3_exceptions.ProxyError,): (
        "the proxy on the way to {host} did not let us through ({said}): check HTTPS_PROXY and"
        " NO_PROXY"
    ),
    (urllib3_exceptions.NewConnectionError,): "no connection to {host} ({said})",
}
"""What to say, by the first kind of error that is among the causes."""


def _too_slow(host: str, deadline: Deadline) -> ScrapeError:
    return ScrapeError(
        HTTPStatus.GATEWAY_TIMEOUT,
        f"{host} did not answer within {deadline.seconds:.3g} s, which is the scrape timeout less"
        " what the gateway needs itself",
    )


def _checked(answer: Answer, host: str) -> Answer:
    if answer.status < HTTPStatus.OK:
        answer.close()
        raise ScrapeError(HTTPStatus.BAD_GATEWAY, f"{host} answered {answer.status}, which is none")
    if not answer.has_an_end:
        answer.close()
        raise ScrapeError(
            HTTPStatus.BAD_GATEWAY,
            f"{host} answered with neither Content-Length nor chunks: nobody could tell whether"
            " the answer is whole",
        )
    return answer


@functools.lru_cache(maxsize=16_384)
def _proxy_for(url: str) -> str | None:
    """The proxy on the way to a host, as requests reads the environment."""
    proxy = select_proxy(url, get_environ_proxies(url))
    return str(prepend_scheme_if_needed(proxy, "http")) if proxy else None  # type: ignore[no-untyped-call]
