"""The steps of one request so far, the time that is left for the rest, and how a step failed."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from runscrape_generator.doctor.evidence import Failed, Failure, Stage, Step
from runscrape_generator.text import one_line, printable

_OF_VERIFICATION = {9: Failed.OUT_OF_DATE, 10: Failed.OUT_OF_DATE, 62: Failed.WRONG_NAME}
"""By OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID, …_CERT_HAS_EXPIRED and …_HOSTNAME_MISMATCH."""


class StepFailedError(Exception):
    """A step that failed, as :class:`Failure` tells it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class Steps:
    """Takes steps, one after the other, all before one deadline (on ``time.monotonic``)."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.taken: list[Step] = []

    @property
    def left(self) -> float:
        """Seconds that are left; never 0, which would mean no limit to a socket."""
        return max(self.until - time.monotonic(), 0.001)

    @contextmanager
    def take(self, stage: Stage) -> Iterator[Step]:
        """Time the block as a step, which notes what it showed. Raises StepFailedError."""
        step = Step(stage)
        self.taken.append(step)
        began = time.monotonic()
        try:
            yield step
        except (OSError, ValueError, http.client.HTTPException) as error:
            step.text = printable(_words(error))
            raise StepFailedError(Failure(stage, _kind(stage, error), step.text)) from error
        finally:
            step.seconds = time.monotonic() - began


def _kind(stage: Stage, error: Exception) -> Failed:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _OF_VERIFICATION.get(error.verify_code, Failed.UNTRUSTED)
    of_stage = {Stage.DNS: Failed.NO_ADDRESS, Stage.TLS: Failed.TLS}
    for kinds, how in _KINDS:
        if isinstance(error, kinds):
            return how
    return of_stage.get(stage, Failed.NO_CONNECTION)


_KINDS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Failed], ...] = (
    (TimeoutError, Failed.TIMEOUT),
    (ConnectionRefusedError, Failed.REFUSED),
    (socket.gaierror, Failed.NO_ADDRESS),
    (ssl.SSLError, Failed.TLS),
    ((ConnectionError, http.client.IncompleteRead), Failed.CLOSED),
    (http.client.HTTPException, Failed.NOT_HTTP),
)
"""The first that fits."""


def _words(error: Exception) -> str:
    """Take the system's words, without its numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, http.client.IncompleteRead):
        return f"the connection ended {error.expected} bytes before the end"
    if isinstance(error, OSError) and error.strerror:
        return str(error.strerror)
    return one_line(error)
