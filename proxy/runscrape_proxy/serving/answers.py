"""Answers that no application makes, since there was no request that it could be given."""

from __future__ import annotations

import json
from typing import Final

from gunicorn.http import errors as http_errors

from runscrape_proxy.serving.receiving import MAX_BODY, MAX_HEAD

MAX_LINE: Final = 8190
"""Bytes of a request line: gunicorn's most, and above the 8000 of RFC 9112, section 3."""

MAX_FIELDS: Final = 64
MAX_FIELD: Final = 8190
"""Header fields of a request, and the bytes of each."""


class BodyTooLarge(http_errors.ParseException):  # type: ignore[misc]  # gunicorn has no types
    """A body in chunks that is larger than any that is served."""


class BodyBreaksOff(http_errors.ParseException):  # type: ignore[misc]  # likewise
    """A body in chunks whose client has ended its side before the last of them."""


STATUSES = {
    http_errors.LimitRequestLine: "414 URI Too Long",
    http_errors.LimitRequestHeaders: "431 Request Header Fields Too Large",
    http_errors.UnsupportedTransferCoding: "501 Not Implemented",
    http_errors.ExpectationFailed: "417 Expectation Failed",
    BodyTooLarge: "413 Content Too Large",
}
"""By what gunicorn's parser says; anything else is a 400."""


REMEDIES = {
    400: "not HTTP as RFC 9112 has it: let Prometheus ask, with nothing in between",
    408: "the request was not whole in time: look at the network between the client and here",
    413: f"a body has at most {MAX_BODY // 1024} KiB",
    414: f"a request line has at most {MAX_LINE} bytes",
    417: "of all expectations only 100-continue is met",
    431: f"a head has at most {MAX_HEAD // 1024} KiB and {MAX_FIELDS} fields of"
    f" {MAX_FIELD} bytes: send fewer or shorter headers",
    500: "an error inside runscrape-proxy: see its log",
    501: "send the body with Content-Length, or in chunks and not otherwise encoded",
    503: "no thread can be started here: raise the limit of processes, see the log",
}
"""What is wrong, and what to do, by status."""


def status_of(error: http_errors.ParseException) -> str:
    """Give the status line's end for what could not be read as HTTP."""
    return STATUSES.get(type(error), "400 Bad Request")


def plain_answer(status: str) -> bytes:
    """Give the bytes of an answer in the terms of RFC 6749, section 5.2; the connection ends."""
    code = int(status[:3])
    error = {500: "server_error", 503: "temporarily_unavailable"}.get(code, "invalid_request")
    body = json.dumps({"error": error, "error_description": REMEDIES[code]})
    retry = "Retry-After: 1\r\n" if code == 503 else ""  # noqa: PLR2004
    return (
        f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Cache-Control: no-store\r\n{retry}Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
