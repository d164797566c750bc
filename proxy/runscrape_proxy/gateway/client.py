"""The gateway's outgoing side: one GET over https, and why there is no answer, in one line."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from runscrape_proxy import http_client
from runscrape_proxy.errors import ScrapeError
from runscrape_proxy.google.remedies import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from runscrape_proxy.gateway.targets import Target
    from runscrape_proxy.http_client import Deadline

KEPT_PER_HOST: Final = 2
"""A Prometheus has one scrape of a target under way; two of them share the work, or double it."""


class ServiceClient:
    """Asks services, over verified TLS, through HTTPS_PROXY where NO_PROXY does not say otherwise.

    Keeps at most ``connections`` open while nothing is asked, :data:`KEPT_PER_HOST` to one host;
    looks up ``lookups`` names at once; takes bodies of at most ``max_body`` bytes. Raises
    StartError for a bad ``ca_file``.
    """

    def __init__(
        self, *, ca_file: Path | None, connections: int, lookups: int, max_body: int
    ) -> None:
        self._ca_file = ca_file
        self._connections = connections
        self._lookups = lookups
        self._max_body = max_body
        self._client = self._new()

    def reload(self) -> None:
        """Trust the authorities that the files have now, on new connections.

        Raises StartError for a bad ``ca_file`` and OSError for a bad REQUESTS_CA_BUNDLE; what was
        read before stays in force then.
        """
        before, self._client = self._client, self._new()
        before.close()

    def _new(self) -> http_client.Client:
        return http_client.Client(
            http_client.trust(self._ca_file),
            per_host=KEPT_PER_HOST,
            hosts=max(1, self._connections // KEPT_PER_HOST),
            lookups=self._lookups,
        )

    def ask(
        self, target: Target, path: str, headers: Mapping[str, str], deadline: Deadline
    ) -> http_client.Call:
        """Ask for ``path`` (with its query) of a service; the answer is still to come.

        Raises ScrapeError: 502 where there can be no answer that is of use, 503 where this machine
        is out of descriptors, 504 where there is no answer by the deadline.
        """
        request = http_client.Request(
            host=target.host, port=target.port, tls=True, target=path, headers=headers
        )
        with _failures_of(target.host, deadline):
            deadline.check()
            return self._client.ask(request, deadline)

    def answer(self, call: http_client.Call, host: str, seconds: float) -> ServiceAnswer | None:
        """Read the head of the answer; None if nothing of it comes within ``seconds`` seconds.

        Raises ScrapeError, as :meth:`ask`.
        """
        with _failures_of(host, call.deadline):
            answer = call.answer(seconds)
        if answer is None:
            return None
        return ServiceAnswer(answer, host, call.deadline, self._max_body)


class ServiceAnswer:
    """What a service answered; its body is still to come. Read to its end, or closed."""

    def __init__(
        self, answer: http_client.Answer, host: str, deadline: Deadline, max_body: int
    ) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.length = answer.length
        """The body's length in bytes; None where the service sends it in chunks."""
        self._answer = answer
        self._host = host
        self._deadline = deadline
        self._max_body = max_body
        if answer.length is None and not answer.chunked:
            self._refuse(
                "answered with neither Content-Length nor chunks: nobody could tell whether the"
                " answer is whole"
            )
        if (answer.length or 0) > max_body:
            self._refuse(self._too_large())

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes, encoded as it was. Raises ScrapeError where it breaks off."""
        with _failures_of(self._host, self._deadline):
            for piece in self._answer.pieces():
                if self._answer.received > self._max_body:
                    self._refuse(self._too_large())
                yield piece

    def close(self) -> None:
        """Drop the connection unless the body was read to its end."""
        self._answer.close()

    def _too_large(self) -> str:
        return f"answered with more than {self._max_body} bytes (--gateway-max-body)"

    def _refuse(self, what: str) -> None:
        self.close()
        raise ScrapeError(HTTPStatus.BAD_GATEWAY, f"{self._host} {what}")


@contextlib.contextmanager
def _failures_of(host: str, deadline: Deadline) -> Iterator[None]:
    """Say in one line why a service did not answer. Raises ScrapeError for any CallError."""
    try:
        yield
    except http_client.CallError as error:
        raise _failure(host, error, deadline) from None


def _failure(host: str, error: http_client.CallError, deadline: Deadline) -> ScrapeError:
    said = clean(str(error))
    match error:
        case http_client.TooSlow():
            return ScrapeError(
                HTTPStatus.GATEWAY_TIMEOUT,
                f"{host} did not answer within {deadline.seconds:.3g} s, which is the scrape"
                " timeout less what the gateway needs itself",
            )
        case http_client.CutOff():
            return ScrapeError(
                HTTPStatus.GATEWAY_TIMEOUT,
                f"{host} had not answered yet when its slot was needed: more than half of all"
                " slots wait for services (--gateway-concurrency)",
            )
        case http_client.NoDescriptors() | http_client.TooManyLookups():
            return ScrapeError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"no connection to {host}: {said}",
                {"Retry-After": "5"},
            )
    words = _WORDS.get(type(error), "no answer from {host} ({said})")
    return ScrapeError(HTTPStatus.BAD_GATEWAY, words.format(host=host, said=said))


_WORDS: Final = {
    http_client.TlsFailed: (
        "TLS to {host} failed ({said}): if a proxy opens TLS here, name its authority with"
        " --ca-file"
    ),
    http_client.NoAddress: "{host} has no address here (DNS)",
    http_client.NoAnswer: "{host} closed the connection without an answer",
    http_client.BadProxy: "no way to {host}: {said}",
    http_client.ProxyRefused: (
        "the proxy on the way to {host} did not let us through ({said}): check HTTPS_PROXY and"
        " NO_PROXY"
    ),
    http_client.NoConnection: "no connection to {host} ({said})",
    http_client.BadAnswer: "{host} did not answer as HTTP has it ({said})",
    http_client.Broken: "{host} broke its answer off half way ({said})",
}
