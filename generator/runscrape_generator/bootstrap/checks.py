"""What values the options of ``runscrape bootstrap`` take."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from runscrape_generator.config import durations

_FOLDER = re.compile(r"/[A-Za-z0-9_@+=,./-]*")
"""What unit files and quadlets can name without quotes; a colon ends a path there, and in PATH."""
_HOUR, _DAY = 60, 24
"""Minutes, hours."""
_MIN_EVERY, _MAX_EVERY = 30, 86_400
"""Seconds: more often wears out Google's quota, less often than daily is no discovery."""
_ADDRESS = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]):(?P<port>[1-9][0-9]{0,4})"
)
_MAX_PORT = 65_535

Check = tuple[Callable[[str], bool], str]
"""Whether a value is good, and what completes ``'…' is not …``."""


def size_in_bytes(text: str) -> int:
    """Read a size as Prometheus (``16GB``) or Kubernetes (``16Gi``) writes it: both by 1024."""
    return int(text[:-2]) << {"M": 20, "G": 30, "T": 40}[text[-2]]


def cron_schedule(seconds: float) -> str | None:
    """Write a period as cron does; None if it divides neither an hour nor a day."""
    minutes, odd = divmod(seconds, 60)
    if odd or minutes < 1:
        return None
    if _HOUR % minutes == 0:
        return f"*/{minutes:g} * * * *" if minutes < _HOUR else "0 * * * *"
    hours, odd = divmod(minutes, _HOUR)
    if odd or _DAY % hours:
        return None
    return f"0 */{hours:g} * * *" if hours < _DAY else "0 0 * * *"


def is_path(text: str) -> bool:
    """Whether unit files and quadlets can name the path without quotes."""
    return _FOLDER.fullmatch(str(Path(text).absolute())) is not None


def _is_program_dir(text: str) -> bool:
    """Whether units with ProtectHome= and PrivateTmp= (systemd.exec(5)) can start what is there."""
    hidden = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - not written to
    path = Path(os.path.normpath(text))
    return bool(_FOLDER.fullmatch(text)) and not any(map(path.is_relative_to, hidden))


def _is_period(text: str) -> bool:
    try:
        return _MIN_EVERY <= durations.parse(text) <= _MAX_EVERY
    except ValueError:
        return False


def _is_duration(text: str) -> bool:
    try:
        return durations.parse(text) > 0
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    """Whether it is a host, or an IPv6 address in brackets, and a port."""
    found = _ADDRESS.fullmatch(text)
    return found is not None and int(found["port"]) <= _MAX_PORT


def _matching(pattern: str, what: str) -> Check:
    return lambda text: re.fullmatch(pattern, text) is not None, what


IMAGE = _matching(r"[a-zA-Z0-9][a-zA-Z0-9._:/@-]{0,400}", "an image such as registry/name:tag")
"""NAME[:TAG][@DIGEST] (distribution/reference); what it allows needs no quotes in any file."""
PLAIN_PATH = "a path of letters, digits and _@+=,.-"
PATH: Check = (is_path, PLAIN_PATH)
PROGRAM_DIR: Check = (
    _is_program_dir,
    f"{PLAIN_PATH.replace('a path', 'an absolute path')} that a sandboxed unit sees",
)
PERIOD: Check = (_is_period, "a duration from 30s to 1d")
DURATION: Check = (_is_duration, "a duration such as 15d")
ACCOUNT = _matching(r"[a-z0-9.-]+@[a-z0-9.-]+", "an e-mail address")
NAMESPACE = _matching(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", "a namespace's name")
"""An RFC 1123 label, as Kubernetes wants it."""
OBJECT = _matching(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", "the name of an object")
"""An RFC 1123 subdomain: the name of most Kubernetes objects."""
LABEL = _matching(
    r"(?:[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
    r"=([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?",
    "a label such as team=core",
)
"""A Kubernetes label as ``key=value``."""
EXTERNAL_LABEL = _matching(
    r"(?!__)[A-Za-z_][A-Za-z0-9_]*=[^\x00-\x1f\x7f${}]+", "a label such as cluster=eu"
)
"""A Prometheus label; ``$`` stands for a variable there, and braces for our template's fields."""
SIZE = _matching(r"[1-9][0-9]*(?:MB|GB|TB)", "a size such as 16GB")
"""What Prometheus' --storage.tsdb.retention.size takes; 1GB is 2**30 bytes there."""
QUANTITY = _matching(r"[1-9][0-9]*[MGT]i", "a size such as 20Gi")
"""A Kubernetes quantity, of those that name a volume's size."""
ADDRESS: Check = (_is_address, "an address such as alertmanager:9093 or [fd00::1]:9093")
