"""How long, and after which errors, a call to Google is tried again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import requests.exceptions
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError, TransportError

Value = TypeVar("Value")

FIRST_DELAY, MAX_DELAY = 0.25, 8.0
"""Seconds; doubled after each try, with google-api-core's jitter."""

TRIES = 3
"""One try may take at most this part of the whole time, so that a call that hangs is repeated."""

_TRANSIENT = (
    exceptions.TooManyRequests,  # and RESOURCE_EXHAUSTED
    exceptions.ServerError,  # 5xx, UNAVAILABLE, INTERNAL, a single call's DEADLINE_EXCEEDED
    exceptions.Aborted,
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    TransportError,
)


class CallFailedError(Exception):
    """A call that failed for good; ``__cause__`` is why, the text is which call it was."""


class Retries:
    """Repeats calls that failed with an error that may pass, until :meth:`stop`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Stop retrying: the next failure of each call is final."""
        self._stopped.set()

    def call(self, what: str, until: float, once: Callable[[float], Value]) -> Value:
        """Call ``once(seconds)`` until it succeeds, fails for good, or ``until`` has passed.

        ``seconds`` is what that one try may take. Raises CallFailedError, naming ``what``.
        """
        left = max(until - self._clock(), 0.001)
        share = left / TRIES

        def timed() -> Value:
            return once(max(min(share, until - self._clock()), 0.001))

        retry = Retry(
            predicate=self._again,
            initial=FIRST_DELAY,
            maximum=MAX_DELAY,
            multiplier=2.0,
            timeout=left,
        )
        try:
            result: Value = retry(timed)()
        except Exception as error:
            raise CallFailedError(what) from error
        return result

    def _again(self, error: BaseException) -> bool:
        return is_transient(error) and not self._stopped.is_set()


def is_transient(error: BaseException) -> bool:
    """Say whether another try may help: 429, 5xx, connections; never a refusal."""
    if isinstance(error, exceptions.MethodNotImplemented):  # 501, UNIMPLEMENTED: the wrong server
        return False
    if is_certificate_error(str(error)):
        return False
    if isinstance(error, GoogleAuthError) and error.retryable:
        return True
    return isinstance(error, _TRANSIENT)


def is_outage(error: BaseException) -> bool:
    """Say whether a call ended without an answer: out of time, or out of reach."""
    _, cause = unwrapped(error)
    return is_transient(cause) or isinstance(cause, TimeoutError)


def unwrapped(error: BaseException) -> tuple[str, BaseException]:
    """Take an error out of its wrappers: which call it was, and the last try's own error."""
    call = ""
    while True:
        if isinstance(error, CallFailedError):
            call = call or str(error)
        elif not isinstance(error, exceptions.RetryError):
            return call, error
        inner = error.__cause__ or getattr(error, "cause", None)
        if inner is None:
            return call, error
        error = inner


def is_certificate_error(message: str) -> bool:
    """Say whether a connection failed because of the server's certificate (in OpenSSL's words)."""
    return "CERTIFICATE_VERIFY_FAILED" in message
