"""The pages that stand in front of an app: Cloud Run's own, and the Google Front End's.

Each is built as it was seen (recorded answers, and Cloud Run's page "Troubleshooting"); what
nobody has seen is marked UNCONFIRMED.
"""

from __future__ import annotations

import html
import secrets

from emulator.model import Trouble
from emulator.wire import Request, Response

INVALID_TOKEN = (
    "WWW-Authenticate",
    'Bearer error="invalid_token" error_description="The access token could not be verified"',
)
"""Of every 401 of Cloud Run's: garbage, foreign, expired and misdirected tokens look the same."""

_HTML = ("Content-Type", "text/html; charset=UTF-8")
_SERVER = ("Server", "Google Frontend")
_AGAIN = "<p>Please try again in 30 seconds."
_TITLES = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "Page not found",
    429: "Too Many Requests",
    500: "Server Error",
    503: "Server Error",
}


def through_cloud_run() -> tuple[tuple[str, str], ...]:
    """Headers that every answer through Cloud Run has, the app's too."""
    trace = f"{secrets.token_hex(16)};o=1"
    return (("X-Cloud-Trace-Context", trace), _SERVER)


def _page(status: int, sentence: str, *headers: tuple[str, str]) -> Response:
    """UNCONFIRMED that 401 and 403 pages always have the server and trace headers."""
    title = _TITLES[status]
    text = (
        '\n<html><head>\n<meta http-equiv="content-type" content="text/html;charset=utf-8">\n'
        f"<title>{status} {title}</title>\n</head>\n<body text=#000000 bgcolor=#ffffff>\n"
        f"<h1>Error: {title}</h1>\n<h2>{sentence}</h2>\n<h2></h2>\n</body></html>\n"
    )
    return Response(status, text.encode(), (_HTML, *headers, *through_cloud_run()))


def unauthorized(request: Request) -> Response:
    """401: there is a token, and it is none for this service."""
    sentence = f"Your client does not have permission to the requested URL {_path(request)}."
    return _page(401, sentence, INVALID_TOKEN)


def forbidden(request: Request) -> Response:
    """403: no token, or a good one of an identity that may not invoke the service.

    UNCONFIRMED that it never has WWW-Authenticate; none is documented.
    """
    return _page(
        403,
        f"Your client does not have permission to get URL {_path(request)} from this server.",
    )


def not_found() -> Response:
    """404: no such service, or one that may not be reached from here. The path is not named."""
    return _page(404, "The requested URL was not found on this server.")


def in_trouble(trouble: Trouble) -> Response:
    """What Cloud Run answers in place of an app that it cannot ask."""
    if trouble == "busy":
        return _page(429, "Rate exceeded.")  # seen once, in one report
    if trouble in ("overloaded", "start-failure"):
        said = "The server encountered an error and could not complete your request."
        return _page(500, f"{said}{_AGAIN}")
    if trouble == "unavailable":
        return _page(503, f"The service you requested is not available yet.{_AGAIN}")
    # Plain text: UNCONFIRMED, one report for 503 and a text that is often quoted for 504.
    status, text = {
        "crash": (503, "upstream connect error or disconnect/reset before headers"),
        "timeout": (504, "upstream request timeout"),
    }[trouble]
    return Response(status, text.encode(), (("Content-Type", "text/plain"), *through_cloud_run()))


def reserved(request: Request) -> Response:
    """404 of the Google Front End itself, for a path that it keeps; without Cloud Run's headers."""
    text = (
        "<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n"
        '  <meta name=viewport content="initial-scale=1, minimum-scale=1, width=device-width">\n'
        "  <title>Error 404 (Not Found)!!1</title>\n"
        "  <a href=//www.google.com/><span id=logo aria-label=Google></span></a>\n"
        "  <p><b>404.</b> <ins>That\u2019s an error.</ins>\n"
        f"  <p>The requested URL {_path(request)} was not found on this server.  "
        "<ins>That\u2019s all we know.</ins>\n"
    )
    return Response(404, text.encode(), (_HTML, ("Referrer-Policy", "no-referrer")))


def _path(request: Request) -> str:
    return f"<code>{html.escape(request.path)}</code>"
