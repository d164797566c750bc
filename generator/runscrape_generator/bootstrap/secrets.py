"""The bundle's secrets: made once, readable by their owner alone, never shown.

They are not part of the plan, so that no diff, message or manifest has anything of them. They end
without a newline: the Prometheus Operator would send one along.
"""

from __future__ import annotations

import logging
import secrets
import stat

from runscrape_generator.bootstrap.changes import Changes
from runscrape_generator.bootstrap.folder import Folder, Owner
from runscrape_generator.errors import ConfigError

log = logging.getLogger(__name__)

BYTES = 32
"""Of randomness: 256 bits."""


def check(folder: Folder, name: str) -> bool:
    """Say whether the secret is there, by looking at the file and not into it.

    Raises ConfigError where what is there cannot be one.
    """
    found = folder.status(name)
    if found is None:
        return False
    path = folder.path / name
    if not found.st_size:
        raise ConfigError(f"{path}: is empty; remove it, and a new secret is made")
    if stat.S_IMODE(found.st_mode) & 0o077:
        log.warning(f"{path}: other users can read it; chmod 600 it, or make a new secret")
    return True


def drop_newline(changes: Changes, name: str) -> None:
    """Write the secret anew without the newline that the first release ended it with."""
    data = changes.folder.read(name)
    if data is not None and data != data.rstrip(b"\r\n"):
        changes.write(name, data.rstrip(b"\r\n"))


def write(changes: Changes, name: str, owner: Owner | None) -> None:
    """Make a new secret."""
    changes.write(name, secrets.token_urlsafe(BYTES).encode(), 0o600, owner)
