"""Requests, on kept connections where there are some."""

from __future__ import annotations

import functools
import ssl
import threading
from typing import TYPE_CHECKING

import h11

from runscrape_proxy.http_client.answer import Answer
from runscrape_proxy.http_client.environment import proxy_for
from runscrape_proxy.http_client.errors import BadAnswer, NoAnswer
from runscrape_proxy.http_client.idle import IdleConnections
from runscrape_proxy.http_client.opening import open_connection
from runscrape_proxy.http_client.request import Origin

if TYPE_CHECKING:
    from runscrape_proxy.http_client.connection import Connection
    from runscrape_proxy.http_client.deadline import Deadline, Socket
    from runscrape_proxy.http_client.request import Request


class Client:
    """Sends requests; keeps at most ``per_host`` idle connections to each of ``hosts`` hosts.

    ``lookups`` names are looked up at once, since nothing ends a thread's wait for the resolver.
    ``direct`` ignores the proxies of the environment.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        per_host: int,
        hosts: int,
        lookups: int,
        direct: bool = False,
    ) -> None:
        self._context = context
        self._direct = direct
        self._idle = IdleConnections(per_host, hosts)
        self._lookups = threading.BoundedSemaphore(lookups)
        self._proxy_for = functools.lru_cache(maxsize=16_384)(proxy_for)

    def close(self) -> None:
        """Close every idle connection."""
        self._idle.close()

    def send(self, request: Request, deadline: Deadline) -> Answer:
        """Send a request and read the head of the answer. Raises CallError."""
        call = self.ask(request, deadline)
        while True:
            answer = call.answer(deadline.left)
            if answer is not None:
                return answer

    def ask(self, request: Request, deadline: Deadline) -> Call:
        """Send a request; the answer is still to come. Raises CallError."""
        proxy = None if self._direct else self._proxy_for(request.authority, tls=request.tls)
        origin = Origin(request.host, request.port, request.tls, proxy)
        return Call(self, origin, request, deadline)

    def take(self, origin: Origin, deadline: Deadline) -> Connection:
        """Take a kept connection, or open one. Raises CallError."""
        return self._idle.take(origin) or open_connection(
            origin, self._context, deadline, self._lookups
        )

    def keep(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection for the next request."""
        self._idle.give(origin, connection)


class Call:
    """A request that was sent.

    Where a kept connection turns out to be closed before a byte of the answer has come, it is
    replaced, and the request sent again.
    """

    def __init__(
        self, client: Client, origin: Origin, request: Request, deadline: Deadline
    ) -> None:
        self.deadline = deadline
        self._client = client
        self._origin = origin
        self._request = request
        self._send()

    @property
    def sock(self) -> Socket:
        """What can be read once there is something of an answer."""
        return self._connection.sock

    def answer(self, seconds: float) -> Answer | None:
        """Read the head of the answer; its body is still to come.

        None if nothing of it comes within ``seconds`` seconds. Raises CallError.
        """
        head = None
        try:
            if self._connection.await_head(self.deadline, seconds):
                head = self._connection.read_head(self.deadline)
        except h11.RemoteProtocolError as error:
            self.close()
            raise BadAnswer(str(error)) from error
        except OSError as error:
            self._failed(error)
            self._send()
        except BaseException:
            self.close()
            raise
        if head is None:
            return None
        keep = functools.partial(self._client.keep, self._origin, self._connection)
        return Answer(head, self._connection, self.deadline, keep)

    def close(self) -> None:
        """Give up before there is an answer."""
        self.deadline.release()
        self._connection.close()

    def _send(self) -> None:
        request = self._request.for_origin(self._origin)
        while True:
            self._connection = self._client.take(self._origin, self.deadline)
            try:
                self._connection.send(request, self._request.body, self.deadline)
            except OSError as error:
                self._failed(error)
            except BaseException:
                self.close()
                raise
            else:
                return

    def _failed(self, error: OSError) -> None:
        """Raise NoAnswer unless asking again is safe."""
        self.close()
        if not self._connection.reused or self._connection.begun:
            raise NoAnswer(error.strerror or type(error).__name__) from error
