"""What apps want for themselves in ``Authorization``: a file for each, in one folder.

A rule of runscrape.yaml names the file (``app_credentials``) and the inventory repeats the name. A
name only, and only with ``--gateway-credentials``: so whoever writes the inventory cannot have any
other file of this machine sent somewhere.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from runscrape_proxy.errors import ScrapeError
from runscrape_proxy.files import read_regular

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES: Final = 8190
"""As much as gunicorn takes for one header field."""

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,126}")
"""A file's name: no path, nothing hidden; a key of a Kubernetes Secret fits."""

# RFC 9110, section 11.6.2: a scheme and what it takes.
_VALUE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [\x20-\x7e]+")


class AppCredentials:
    """The files of one folder; None where the proxy was started without."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def read(self, name: str) -> str:
        """Return the header's value, such as ``Bearer TOKEN``; read anew, as it may be rotated.

        Raises ScrapeError (503), which does not quote the file.
        """
        if self._folder is None:
            raise _unusable(name, "runscrape-proxy was started without --gateway-credentials")
        try:
            content = read_regular(self._folder / name, MAX_BYTES).strip()
        except OSError as error:
            raise _unusable(name, error.strerror or type(error).__name__) from None
        except ValueError as error:
            raise _unusable(name, str(error)) from None
        if not _VALUE.fullmatch(content):
            raise _unusable(name, "it is not one line such as Bearer TOKEN")
        return content.decode("ascii")


def _unusable(name: str, why: str) -> ScrapeError:
    return ScrapeError(
        HTTPStatus.SERVICE_UNAVAILABLE, f"the app's own credentials, file {name}: {why}"
    )
