"""How a step of an HTTP request failed, in one line and of which kind."""

from __future__ import annotations

import http.client
import socket
import ssl

from runscrape_generator.doctor.evidence import Failed, Failure, Stage
from runscrape_generator.text import one_line, printable

_NAME_MISMATCH = 62
"""OpenSSL's ``X509_V_ERR_HOSTNAME_MISMATCH``."""


def classified(stage: Stage, error: Exception) -> Failure:
    """Tell what kind of failure *error* is, met while taking the step."""
    return Failure(stage, _kind(stage, error), printable(_words(error)))


def _kind(stage: Stage, error: Exception) -> Failed:
    if isinstance(error, ssl.SSLCertVerificationError):
        named = error.verify_code == _NAME_MISMATCH
        return Failed.WRONG_NAME if named else Failed.UNTRUSTED
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
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, http.client.IncompleteRead):
        return f"the connection ended {error.expected} bytes before the end"
    if isinstance(error, OSError) and error.strerror:
        return str(error.strerror)
    return one_line(error)
