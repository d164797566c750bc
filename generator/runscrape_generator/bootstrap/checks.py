"""What values the options of ``runscrape bootstrap`` take."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from runscrape_generator.config import durations

_IMAGE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._:/@-]{0,400}")
"""NAME[:TAG][@DIGEST] (distribution/reference); what it allows needs no quotes in any file."""
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""An RFC 1123 label, as Kubernetes wants it."""
_ACCOUNT = re.compile(r"[a-z0-9.-]+@[a-z0-9.-]+")
_FOLDER = re.compile(r"/[A-Za-z0-9_@+=:,./-]*")
"""What unit files and quadlets can name without quotes."""
_SIZE = re.compile(r"[1-9][0-9]*(?:MB|GB|TB)")
"""What Prometheus' --storage.tsdb.retention.size takes; 1GB is 2**30 bytes there."""
_QUANTITY = re.compile(r"[1-9][0-9]*[MGT]i")
"""A Kubernetes quantity, of those that name a volume's size."""
_OBJECT = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""An RFC 1123 subdomain: the name of most Kubernetes objects."""
_ADDRESS = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?:[0-9]{1,5}")
_LABEL = re.compile(
    r"(?:[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
    r"=([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?"
)
"""A Kubernetes label as ``key=value``."""
_EXTERNAL = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*=[^\x00-\x1f\x7f${}]+")
"""A Prometheus label; ``$`` stands for a variable there, and braces for our template's fields."""
_HOUR, _DAY = 60, 24
"""Minutes, hours."""
_MIN_EVERY, _MAX_EVERY = 30, 86_400
"""Seconds: more often wears out Google's quota, less often than daily is no discovery."""

Check = tuple[Callable[[str], bool], str]
"""Whether a value is good, and what completes ``'…' is not …``."""


def size_in_bytes(text: str) -> int:
    """Read a size as Prometheus (``16GB``) or Kubernetes (``16Gi``) writes it: both by 1024."""
    return int(text[:-2]) << {"M": 20, "G": 30, "T": 40}[text[-2]]


def cron_schedule(seconds: float) -> str | None:
    """Write a period as cron does; None where it cannot: it begins anew each hour and each day."""
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


def _matching(pattern: re.Pattern[str], what: str) -> Check:
    return lambda text: pattern.fullmatch(text) is not None, what


IMAGE = _matching(_IMAGE, "an image such as registry/name:tag")
PATH: Check = (is_path, "a path without spaces")
PROGRAM_DIR: Check = (
    _is_program_dir,
    "an absolute path without spaces that a sandboxed unit sees",
)
PERIOD: Check = (_is_period, "a duration from 30s to 1d")
DURATION: Check = (_is_duration, "a duration such as 15d")
ACCOUNT = _matching(_ACCOUNT, "an e-mail address")
NAMESPACE = _matching(_NAMESPACE, "a namespace's name")
OBJECT = _matching(_OBJECT, "the name of an object")
LABEL = _matching(_LABEL, "a label such as team=core")
EXTERNAL_LABEL = _matching(_EXTERNAL, "a label such as cluster=eu")
SIZE = _matching(_SIZE, "a size such as 16GB")
QUANTITY = _matching(_QUANTITY, "a size such as 20Gi")
ADDRESS = _matching(_ADDRESS, "an address such as alertmanager:9093")
