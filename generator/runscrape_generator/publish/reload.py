"""Telling Prometheus to read its new configuration, and what it made of it.

Three outcomes, because they ask for different things. *Done*: it runs the new file. *Refused*: it
answered, and keeps the old configuration, so the old file is put back. *Unknown*: nobody answered
(down, starting, too slow). Then the new file, which did validate, stays: a Prometheus that is down
will read it when it starts, and the next run asks again.
"""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from http.client import HTTPException
from typing import IO

from runscrape_generator.addresses import is_loopback

TIMEOUT = 60.0
"""Seconds. A reload of 4,000 jobs takes 5 to 7 s, and waits for token requests under way."""

_REASON_LENGTH = 1000
_DOWN = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
_REMEDIES = {
    401: "put user and password into the --reload URL",
    403: "start Prometheus with --web.enable-lifecycle, or use --reload-command",
    404: "check the URL: it ends in /-/reload, after the path of --web.external-url",
    405: "check the URL: it ends in /-/reload, after the path of --web.external-url",
}


class Outcome(Enum):
    """What became of the request to reload."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome, and for people the reason where it was not done."""

    outcome: Outcome
    reason: str = ""


Reload = Callable[[], Answer]


def reloader(url: str | None, command: str | None, *, timeout: float = TIMEOUT) -> Reload | None:
    """Make a call of ``--reload`` or of ``--reload-command``; None where neither is set."""
    if url:
        return lambda: by_url(url, timeout=timeout)
    if command:
        return lambda: by_command(command, timeout=timeout)
    return None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET, which reloads nothing."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """Follow none: the 3xx becomes an HTTPError."""
        return


def by_url(url: str, *, timeout: float = TIMEOUT) -> Answer:
    """POST to ``/-/reload``: 200 is done; 500 is refused, with Prometheus' reason in the body."""
    request, shown = _request(url)
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if is_loopback(urllib.parse.urlsplit(request.full_url).hostname or ""):  # past any proxy
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout):
            return Answer(Outcome.DONE)
    except urllib.error.HTTPError as error:
        with error:
            return _answered(error, shown)
    except TimeoutError:
        return Answer(Outcome.UNKNOWN, f"{shown} did not answer in {timeout:g} s")
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        return Answer(Outcome.UNKNOWN, f"{shown} could not be asked: {_one_line(str(reason))}")


def _request(url: str) -> tuple[urllib.request.Request, str]:
    """Take user and password out of the URL into a header; give the URL without them too."""
    parts = urllib.parse.urlsplit(url)
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    request = urllib.request.Request(plain, data=b"", method="POST")  # noqa: S310 - http(s), see options
    if parts.username is not None:
        pair = f"{parts.username}:{parts.password or ''}"
        encoded = base64.b64encode(urllib.parse.unquote(pair).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {encoded}")
    return request, plain


def _answered(error: urllib.error.HTTPError, shown: str) -> Answer:
    try:
        body = error.read(_REASON_LENGTH).decode(errors="replace")
    except (OSError, HTTPException):
        body = ""
    remedy = _REMEDIES.get(error.code)
    reason = f"{shown} answered {error.code}: {_one_line(body) or error.reason}"
    reason += f" ({remedy})" if remedy else ""
    return Answer(Outcome.UNKNOWN if error.code in _DOWN else Outcome.REFUSED, reason)


def by_command(command: str, *, timeout: float = TIMEOUT) -> Answer:
    """Run the command with ``/bin/sh``, as cron would: 0 is done, anything else is refused.

    Its output goes to a file, not to a pipe: a daemon that it starts must not hold us up. What is
    too slow is killed with all its children, and counts as unknown.
    """
    with _scratch() as output:
        try:
            process = subprocess.Popen(  # noqa: S602 - a shell command is what the option takes
                command,
                shell=True,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:  # no shell in this container
            return Answer(Outcome.REFUSED, f"the reload command cannot be run: {error}")
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            return Answer(Outcome.UNKNOWN, f"the reload command took more than {timeout:g} s")
        finally:
            _end(process)
        if code == 0:
            return Answer(Outcome.DONE)
        said = _one_line(_tail(output)) or "it said nothing"
    how = f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}"
    return Answer(Outcome.REFUSED, f"the reload command {how}: {said}")


def _scratch() -> IO[bytes]:
    """Open a file for the command's output; on a read-only system that is lost."""
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return open(os.devnull, "r+b")  # noqa: PTH123 - as a plain stream


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the command's process group if the command itself is still there."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _tail(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - _REASON_LENGTH))
    return file.read().decode(errors="replace")


def _one_line(text: str) -> str:
    """Fit for a message: one line, nothing that moves a terminal's cursor."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())
