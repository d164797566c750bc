"""Telling Prometheus to read its new configuration, and what it made of it.

Three outcomes, because they ask for different things. *Done*: it runs the new file. *Refused*: it
answered, and keeps the old configuration, so the old file is put back. *Unknown*: nobody answered
(down, starting, too slow). Then the new file, which did validate, stays: a Prometheus that is down
will read it when it starts, and the next run asks again.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from http import HTTPStatus
from http.client import BadStatusLine
from typing import IO

import requests

from runscrape_generator.config.settings import Settings
from runscrape_generator.publish.server import OWN_CA, Server, beginning, server

TIMEOUT = 60.0
"""Seconds. A reload of 4,000 jobs takes 5 to 7 s, and waits for token requests under way."""

_METRICS_TIMEOUT = 10.0
_BETWEEN_LOOKS, _LOOKS = 0.1, 100
"""Seconds between two looks at the metrics, and how many: vmagent reloads 1,000 jobs in one."""

_REASON_LENGTH = 1000
_LARGEST_METRICS = 32 * 1024 * 1024
_DOWN = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
_REDIRECTS = (301, 302, 303, 307, 308)
_REMEDIES = {
    **dict.fromkeys(_REDIRECTS, "a redirect is not followed: name the address that it leads to"),
    401: "give it the right user and password: --reload-user and --reload-password-file",
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
class ReloadResult:
    """The outcome, and for people the reason where it was not done."""

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Reloading:
    """How to reload, and who is told (URL and command: another one must be told anew)."""

    call: Callable[[], ReloadResult]
    about: tuple[str | None, ...]


def reloading(settings: Settings) -> Reloading | None:
    """How *settings* want Prometheus reloaded; None if they do not. Raises ConfigError."""
    about = (settings.reload, settings.reload_command)
    if (asked := server(settings)) is not None:
        return Reloading(partial(by_url, asked), about)
    if settings.reload_command:
        return Reloading(partial(by_command, settings.reload_command), about)
    return None


def by_url(
    asked: Server,
    *,
    timeout: float = TIMEOUT,
    sleep: Callable[[float], None] = time.sleep,
) -> ReloadResult:
    """POST to ``/-/reload``: 200 is done; 500 is refused, with Prometheus' reason in the body.

    vmagent answers 200 before it has even read its configuration, so after a 200 its metrics are
    looked at, where the same server shows them: ``…_config_last_reload_successful`` 0 is refused.
    """
    before = _reload_metrics(asked)
    try:
        with asked.request("POST", "/-/reload", timeout) as response:
            answer = _answered(response)
    except requests.Timeout:
        return ReloadResult(Outcome.UNKNOWN, f"{asked.url} did not answer in {timeout:g} s")
    except requests.RequestException as error:
        return ReloadResult(Outcome.UNKNOWN, f"{asked.url} could not be asked: {_cause(error)}")
    if answer.outcome is not Outcome.DONE or not before:
        return answer
    return _looked_at(asked, before, sleep)


_SUCCESSFUL = "_config_last_reload_successful"
_RELOAD_METRIC = re.compile(
    rf"^((?:prometheus|vm_promscrape)(?:{_SUCCESSFUL}|_config_reloads(?:_errors)?_total)) (\S+)$",
    re.MULTILINE,
)


def _reload_metrics(asked: Server) -> dict[str, str]:
    """What the server's own metrics say of reloads; empty where they say too little.

    vmagent 1.79 has a count alone, which does not tell a refusal from no change.
    """
    try:
        with asked.request("GET", "/metrics", _METRICS_TIMEOUT) as response:
            text = beginning(response, _LARGEST_METRICS) if response.ok else ""
    except requests.RequestException:
        return {}
    found = dict(_RELOAD_METRIC.findall(text))
    return found if any(name.endswith(_SUCCESSFUL) for name in found) else {}


def _looked_at(
    asked: Server, before: dict[str, str], sleep: Callable[[float], None]
) -> ReloadResult:
    """Wait until the metrics show that the reload is over, and give what came of it.

    vmagent counts a reload that changes something or fails; one that changes nothing shows in no
    metric, so the wait has an end.
    """
    now = _reload_metrics(asked)
    for _ in range(_LOOKS):
        if now != before or not any(name.startswith("vm_") for name in now):
            break
        sleep(_BETWEEN_LOOKS)
        now = _reload_metrics(asked)
    for name, value in now.items():
        if name.endswith(_SUCCESSFUL) and value == "0":
            reason = (
                f"{asked.url} answered 200, but {name} is 0: its log says what it does not take"
            )
            return ReloadResult(Outcome.REFUSED, reason)
    return ReloadResult(Outcome.DONE)


def _cause(error: BaseException) -> str:
    """What is at the bottom of an error of requests: ``Connection refused``."""
    reason: object = error
    while isinstance(reason, BaseException):
        wrapped = (getattr(reason, "reason", None), *reason.args)
        inner = next((each for each in wrapped if isinstance(each, BaseException)), None)
        if inner is None:
            break
        reason = inner
    if type(reason) is BadStatusLine:
        return "what answers there is no HTTP server"
    text = str(reason)
    said = _one_line(text.partition("): ")[2] or text)  # without "HTTPConnection(host=…): "
    if isinstance(error, requests.exceptions.SSLError):
        said += f" ({OWN_CA})"
    return said


def _answered(response: requests.Response) -> ReloadResult:
    if HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES:
        return ReloadResult(Outcome.DONE)
    try:
        body = beginning(response, _REASON_LENGTH)
    except requests.RequestException:
        body = ""
    remedy = _REMEDIES.get(response.status_code)
    reason = f"{response.url} answered {response.status_code}: {_one_line(body or response.reason)}"
    reason += f" ({remedy})" if remedy else ""
    down = response.status_code in _DOWN
    return ReloadResult(Outcome.UNKNOWN if down else Outcome.REFUSED, reason)


def by_command(command: str, *, timeout: float = TIMEOUT) -> ReloadResult:
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
            return ReloadResult(Outcome.REFUSED, f"the reload command cannot be run: {error}")
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            return ReloadResult(Outcome.UNKNOWN, f"the reload command took more than {timeout:g} s")
        finally:
            _end(process)
        if code == 0:
            return ReloadResult(Outcome.DONE)
        said = _one_line(_tail(output)) or "it said nothing"
    how = f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}"
    return ReloadResult(Outcome.REFUSED, f"the reload command {how}: {said}")


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
