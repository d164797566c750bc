"""The bundle's secrets: made once, readable by their owner alone, never shown.

They are no part of the plan, so no difference, message or manifest has anything of them.
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
from pathlib import Path

from runscrape_generator.bootstrap.bundle import folder
from runscrape_generator.errors import ConfigError
from runscrape_generator.publish import files

log = logging.getLogger(__name__)

BYTES = 32
"""Of randomness: 256 bits."""


def ensure(path: Path, *, private_folder: bool) -> None:
    """Make the secret if there is none yet; 0600, whole or not at all.

    Raises WriteError, or ConfigError where what is there holds none.
    """
    if path.exists() or path.is_symlink():
        _look_at(path)
        return
    folder(path.parent, 0o700 if private_folder else 0o755)
    temporary = files.passing(path)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(BYTES) + "\n")
            file.flush()
            os.fsync(descriptor)
        # Unlike a rename, a link never takes the place of a secret that came in the meantime.
        os.link(temporary, path)
    except FileExistsError:
        _look_at(path)
    except OSError as error:
        raise files.failure(path, error) from error
    finally:
        files.discard(temporary)
    files.sync_folder(path)


def _look_at(path: Path) -> None:
    """Check what is there without reading it into anything that could show it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: is a link to nothing; remove it, and a new secret is made"
        ) from None
    except OSError as error:
        raise files.failure(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        # Container engines make a folder where a file to mount is missing.
        raise ConfigError(f"{path}: is no file; remove it, and a new secret is made")
    if not found.st_size:
        raise ConfigError(f"{path}: is empty; remove it, and a new secret is made")
    if stat.S_IMODE(found.st_mode) & 0o077:
        log.warning(f"{path}: other users can read it; chmod 600 it, or make a new secret")
