"""Answers that no application makes, since there was no request that it could be given."""

from __future__ import annotations

import json

from gunicorn.http import errors as http_errors


class BodyTooLarge(http_errors.ParseException):  # type: ignore[misc]  # gunicorn has no types
    """A body in chunks that is larger than any that is served."""


STATUSES = {
    http_errors.LimitRequestLine: "414 URI Too Long",
    http_errors.LimitRequestHeaders: "431 Request Header Fields Too Large",
    http_errors.UnsupportedTransferCoding: "501 Not Implemented",
    http_errors.ExpectationFailed: "417 Expectation Failed",
    BodyTooLarge: "413 Content Too Large",
}
"""By what gunicorn's parser says; anything else is a 400."""


def status_of(error: http_errors.ParseException) -> str:
    """Give the status line's end for what could not be read as HTTP."""
    return STATUSES.get(type(error), "400 Bad Request")


def plain_answer(status: str) -> bytes:
    """Give the bytes of an answer in the terms of RFC 6749, section 5.2; the connection ends."""
    code = int(status[:3])
    error = {500: "server_error", 503: "temporarily_unavailable"}.get(code, "invalid_request")
    body = json.dumps({"error": error, "error_description": status[4:]})
    retry = "Retry-After: 1\r\n" if code == 503 else ""  # noqa: PLR2004
    return (
        f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Cache-Control: no-store\r\n{retry}Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
