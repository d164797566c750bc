"""How long, and after which errors, a call to Google is tried again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import requests.exceptions
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError, TransportError

Value = TypeVar("Value")

FIRST_DELAY, MAX_DELAY = 0.25, 8.0
"""Seconds, doubled after each try; between half of it and all of it is waited."""

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

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Stop retrying: the next failure of each call is final."""
        self._stopped.set()

    def call(self, what: str, until: float, once: Callable[[float], Value]) -> Value:
        """Call ``once(seconds)`` until it succeeds, fails for good, or ``until`` has passed.

        ``seconds`` is what that one try may take. Raises CallFailedError, naming ``what``.
        """
        share = max(until - time.monotonic(), 0.001) / TRIES
        delay = FIRST_DELAY
        while True:
            try:
                return once(max(min(share, until - time.monotonic()), 0.001))
            except Exception as error:
                wait = _asked_to_wait(error) or random.uniform(delay / 2, delay)  # noqa: S311
                if not is_transient(error) or time.monotonic() + wait >= until:
                    raise CallFailedError(what) from error
                if self._stopped.wait(wait):
                    raise CallFailedError(what) from error
            delay = min(2 * delay, MAX_DELAY)


def _asked_to_wait(error: Exception) -> float | None:
    """Read ``Retry-After`` of a REST answer, in seconds (RFC 9110 section 10.2.3); None without."""
    answer: Any = getattr(error, "response", None)
    value = str(getattr(answer, "headers", {}).get("Retry-After", ""))
    return float(value) if value.isascii() and value.isdigit() else None


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
    while isinstance(error, CallFailedError) and error.__cause__ is not None:
        call = call or str(error)
        error = error.__cause__
    return call, error


def is_certificate_error(message: str) -> bool:
    """Say whether a connection failed because of the server's certificate (in OpenSSL's words)."""
    return "CERTIFICATE_VERIFY_FAILED" in message
