"""Telling Prometheus to read its new configuration, and what it made of it.

Three outcomes, because they ask for different things. *Done*: it runs the new file. *Refused*: it
answered, and keeps the old configuration, so the old file is put back. *Unknown*: nobody answered
(down, starting, too slow). Then the new file, which did validate, stays: a Prometheus that is down
will read it when it starts, and the next run asks again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import IO
from urllib.parse import urlsplit

import requests
from requests.auth import HTTPBasicAuth

from runscrape_generator.addresses import is_loopback

TIMEOUT = 60.0
"""Seconds. A reload of 4,000 jobs takes 5 to 7 s, and waits for token requests under way."""

_REASON_LENGTH = 1000
_DOWN = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
_REMEDIES = {
    401: "it wants a user and a password: give these to --reload-command",
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


def by_url(url: str, *, login: tuple[str, str] | None = None, timeout: float = TIMEOUT) -> Answer:
    """POST to ``/-/reload``: 200 is done; 500 is refused, with Prometheus' reason in the body.

    *login* is user and password for Basic authentication.

    A redirect is not followed: it would become a GET, which reloads nothing.
    """
    host = urlsplit(url).hostname or ""
    past_proxy = {"no_proxy": host} if is_loopback(host) else {}
    try:
        with requests.post(
            url,
            timeout=timeout,
            allow_redirects=False,
            stream=True,
            proxies=past_proxy,
            auth=HTTPBasicAuth(*(each.encode() for each in login)) if login else _without_netrc,
        ) as response:
            return _answered(response)
    except requests.Timeout:
        return Answer(Outcome.UNKNOWN, f"{url} did not answer in {timeout:g} s")
    except requests.RequestException as error:
        return Answer(Outcome.UNKNOWN, f"{url} could not be asked: {_cause(error)}")


def _without_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Send no credentials: requests would take those of ``~/.netrc``."""
    return request


def _cause(error: BaseException) -> str:
    """What is at the bottom of an error of requests: ``Connection refused``."""
    reason: object = error
    while isinstance(reason, BaseException):
        inner = getattr(reason, "reason", None) or next(iter(reason.args), None)
        if not isinstance(inner, BaseException):
            break
        reason = inner
    text = str(reason)
    return _one_line(text.partition("): ")[2] or text)  # without "HTTPConnection(host=…): "


def _answered(response: requests.Response) -> Answer:
    if response.ok and not response.is_redirect:
        return Answer(Outcome.DONE)
    try:
        body = next(response.iter_content(_REASON_LENGTH), b"").decode(errors="replace")
    except requests.RequestException:
        body = ""
    remedy = _REMEDIES.get(response.status_code)
    reason = f"{response.url} answered {response.status_code}: {_one_line(body or response.reason)}"
    reason += f" ({remedy})" if remedy else ""
    down = response.status_code in _DOWN
    return Answer(Outcome.UNKNOWN if down else Outcome.REFUSED, reason)


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
