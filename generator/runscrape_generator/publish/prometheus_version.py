"""Which Prometheus the output is for, with ``--prometheus-version auto``.

It is that of the server that ``--reload`` names, else promtool's, else 2.42. An output must not
change back and forth because a server was down for one run, or because the shell that starts a run
finds no promtool: what each has told is kept beside the inventory, and stands in for it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from runscrape_generator.config.job_fields import OLDEST_PROMETHEUS
from runscrape_generator.config.releases import assumed, release
from runscrape_generator.config.settings import AUTO, Format, Settings
from runscrape_generator.errors import ConfigError, RunscrapeError, ValidationError
from runscrape_generator.publish import files, promtool
from runscrape_generator.publish.server import Server, server
from runscrape_generator.text import from_json

log = logging.getLogger(__name__)

TIMEOUT = 5.0
"""Seconds for the server, or for promtool, to tell its version."""
_LARGEST_ANSWER = 1 << 16
_REMEMBERED = ".runscrape-prometheus"
_PROMTOOL = "promtool"
_FOR_PROMETHEUS = {Format.PROMETHEUS, Format.SCRAPE_CONFIGS}
"""What a Prometheus reads itself; the operator's version is not the one that is reloaded."""
_VERSION = re.compile(r"v?(\d+\.\d+)")


@dataclass(frozen=True, slots=True)
class Found:
    """A release, and who has told it."""

    version: str
    """Such as ``3.5``, without the patch: what Prometheus knows changes with the minor."""
    told_by: str
    learnt: tuple[str, str] | None = None
    """Whom to remember for it: the URL of a reload, or promtool; and what it said."""

    @property
    def by_promtool(self) -> bool:
        """Whether the promtool that is installed has told it."""
        return self.learnt is not None and self.learnt[0] == _PROMTOOL


def resolved(settings: Settings) -> tuple[Settings, Found | None]:
    """Give the settings with the release that ``auto`` stands for; None where it is given."""
    if settings.prometheus_version != AUTO or settings.format is Format.VMAGENT:
        return settings, None
    found = find(settings)
    log.info(f"the output is for Prometheus {found.version} ({found.told_by})")
    return replace(settings, prometheus_version=found.version, version_from=found.told_by), found


def find(settings: Settings) -> Found:
    """Find the release; asks the server and promtool, and writes nothing."""
    memory = _memory(settings)
    if settings.format in _FOR_PROMETHEUS:
        sources = (_of_server(settings, memory), _of_promtool(settings, memory))
        if (found := next(filter(None, sources), None)) is not None:
            return found
    version = assumed(settings.rules)
    return Found(version, "nobody tells it, and the rules use nothing newer")


def _of_server(settings: Settings, memory: Mapping[str, str]) -> Found | None:
    try:
        asked = server(settings)
    except ConfigError:
        return None  # the run tells of it, where it is to reload
    if asked is None:
        return None
    if (version := _ask(asked)) is not None:
        return Found(version, f"{asked.address} says so", (asked.url, version))
    if asked.url in memory:
        told_by = f"{asked.address} said so last, and does not answer now"
        return Found(memory[asked.url], told_by)
    return None


def _of_promtool(settings: Settings, memory: Mapping[str, str]) -> Found | None:
    """The release of the promtool that would be asked about the output."""
    if settings.promtool == "none":
        return None
    named = settings.promtool not in {"auto", "syntax"}
    program = shutil.which(settings.promtool if named else "promtool")
    if program is not None and (version := _promtool_version(program)) is not None:
        return Found(version, f"{program} is of that version", (_PROMTOOL, version))
    if _PROMTOOL in memory:
        return Found(memory[_PROMTOOL], "promtool was of that version, and is not found now")
    return None


def _ask(asked: Server) -> str | None:
    """Ask a server for its version; None where it does not tell one that can be used."""
    try:
        with asked.request("GET", "/api/v1/status/buildinfo", TIMEOUT) as response:
            said = from_json(_body(response))["data"]["version"] if response.ok else None
    except (requests.RequestException, HTTPError, ValueError, LookupError, TypeError):
        return None
    return _usable(str(said))


def _body(response: requests.Response) -> bytes:
    """Read what is sent in time; what is cut short is no JSON."""
    until = time.monotonic() + TIMEOUT
    body = b""
    while part := response.raw.read1(_LARGEST_ANSWER, decode_content=True):  # what is there by now
        body += part
        if len(body) > _LARGEST_ANSWER or time.monotonic() > until:
            break
    return body


def _promtool_version(program: str) -> str | None:
    try:
        said = promtool.run(program, "--version", seconds=TIMEOUT)
    except ValidationError:
        return None
    text = said.stdout + said.stderr  # on which of the two changed with the releases
    return _usable(text.partition("version ")[2])


def _usable(text: str) -> str | None:
    """The release at the start of *text*, if it is one that we write for."""
    match = _VERSION.match(text)
    usable = match is not None and release(match[1]) >= release(OLDEST_PROMETHEUS)
    return match[1] if match is not None and usable else None


def _place(settings: Settings) -> Path | None:
    path = settings.inventory_path
    return files.hidden(Path(os.path.realpath(path)), _REMEMBERED) if path else None


def _memory(settings: Settings) -> dict[str, str]:
    """What was told before: the URL of a reload, or promtool → release."""
    try:
        path = _place(settings)
        data = from_json(files.read(path) or b"{}") if path else {}
    except (RunscrapeError, ValueError):
        return {}
    usable = data.items() if isinstance(data, dict) else ()
    return {name: told for name, told in usable if isinstance(told, str) and _usable(told) == told}


def remember(found: Found | None, settings: Settings) -> None:
    """Keep what was told, for runs in which nobody does; no run fails because it cannot be kept."""
    path = _place(settings)
    if found is None or found.learnt is None or path is None:
        return
    before = _memory(settings)
    now = before | dict([found.learnt])
    if now == before:
        return
    try:
        files.replace(path, (json.dumps(now, indent=2, sort_keys=True) + "\n").encode())
    except RunscrapeError as error:
        log.info(f"the version of Prometheus is not remembered: {error}")
