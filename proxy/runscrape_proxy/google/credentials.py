"""The credentials as they are now: read again when their file changes, or when asked to."""

from __future__ import annotations

import json
import logging
import os
import time
from typing import TYPE_CHECKING, Any, Final

from google.auth.compute_engine import _metadata

from runscrape_proxy.clock import GoogleClock
from runscrape_proxy.errors import CredentialsError, MintError, StartError
from runscrape_proxy.files import WatchedFile, warn_of_readers
from runscrape_proxy.google import kubernetes, remedies, sources
from runscrape_proxy.google.find import Finder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from threading import Event

    from runscrape_proxy.model import CredentialKind, Minted, Minter
    from runscrape_proxy.settings import Settings

log = logging.getLogger(__name__)

ASK_AGAIN_SECONDS: Final = 5.0
_METADATA_SECONDS: Final = 3.0


class Credentials:
    """A :class:`~runscrape_proxy.model.Minter` whose credentials may be replaced.

    Raises CredentialsError, which says what would do, for a file that is named and missing or
    broken, and for a kind that cannot mint an ID token. After the start such a file is logged, and
    the credentials read before stay in force. Nothing here asks Google until a token is wanted.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.clock = GoogleClock()
        self._failure = ""
        """Why those that were read last cannot be used; empty where they can."""
        self._finder = Finder(settings, environ, self.clock)
        self._file = _watch(self._finder.file())
        if self._file is not None:
            try:
                self._file.load()
            except StartError as error:
                raise CredentialsError(str(error)) from None
        self._minter = self._build()
        self._has_minted = False
        self.read_at = time.time()
        """When the credentials in force were read, in seconds since the epoch."""

    @property
    def kind(self) -> CredentialKind:
        """How tokens are minted at present."""
        return self._minter.kind

    @property
    def identity(self) -> str:
        """The e-mail address that services see at present; empty while it is not known yet."""
        return self._minter.identity

    @property
    def path(self) -> Path | None:
        """The file that they come from; None for the metadata server."""
        return self._file.path if self._file is not None else None

    @property
    def error(self) -> str:
        """Why the newest credentials cannot be used, in one line; empty where they can."""
        if self._file is not None and self._file.error:
            return f"{self.path}: {self._file.error}"
        return self._failure

    def mint(self, audience: str, *, timeout: float) -> Minted:
        """One token; see :class:`runscrape_proxy.model.Minter`."""
        try:
            minted = self._minter.mint(audience, timeout=timeout)
        except MintError as error:
            if kubernetes.ACCOUNT not in error.remedy:
                raise
            raise kubernetes.with_real_names(error, self._ask_metadata_server) from None
        self._has_minted = True
        return minted

    def refresh(self, *, again: bool = False) -> bool:
        """Read the credentials if their file has changed; True if others are in force now.

        ``again`` reads everything anew, the authorities of TLS too. A file that is gone is no
        reason to look further: what comes next would be another identity. One that appears takes
        the place of a metadata server only if that has given no token so far, or with ``again``.
        """
        found = self._finder.file()
        if found is None and self._file is not None:
            self._file.refresh()  # which says that it is gone
            return False
        appeared = found is not None and self._file is None
        if found != self.path and (again or not (appeared and self._has_minted)):
            self._file = _watch(found)
        changed = self._file is not None and self._file.refresh()
        if self._file is not None and self._file.error:
            return False
        return (changed or again) and self._replace()

    def find_out(self, stopped: Event, every: float = ASK_AGAIN_SECONDS) -> None:
        """Learn from the metadata server who we are, where no file says it.

        On a machine that has neither this says so at once, and what to do; it asks on, ``every`` so
        many seconds, until there is an answer or a file, or ``stopped`` is set.
        """
        while self._file is None and not stopped.is_set():
            try:
                email = self._ask_metadata_server("instance/service-accounts/default/email")
            except MintError as error:
                self._failed(f"there is no credentials file, and {error}")
            else:
                self._failure = ""
                log.info("the metadata server answers: this machine's account is %s", email)
                return
            stopped.wait(every)

    def _ask_metadata_server(self, path: str) -> str:
        request = self._finder.http(direct=True).within(_METADATA_SECONDS)
        try:
            return str(_metadata.get(request, path))
        except remedies.MALFORMED as error:
            raise remedies.unusable(error) from None

    def _replace(self) -> bool:
        try:
            minter = self._build()
        except CredentialsError as error:
            self._failed(f"{error}; the credentials read before stay in force")
            return False
        before, self._minter = self._minter, minter
        self._failure, self.read_at = "", time.time()
        if _name(before) == _name(minter):
            log.info("credentials were read again: %s as before", _name(minter))
        else:
            log.warning("credentials were read again: %s, not %s", _name(minter), _name(before))
        return True

    def _build(self) -> Minter:
        if self._file is None:
            log.info("no credentials file: tokens come from the metadata server")
            return self._finder.from_metadata()
        info = self._file.value or {}
        if sources.is_secret(info):
            warn_of_readers(self._file.path, mode=0o600)
        return self._finder.from_file(info, self._file.path)

    def _failed(self, reason: str) -> None:
        if reason != self._failure:
            log.error("%s", reason)
        self._failure = reason


def _name(minter: Minter) -> str:
    return f"{minter.identity or 'this machine'} ({minter.kind})"


def _watch(path: Path | None) -> WatchedFile[dict[str, Any]] | None:
    return None if path is None else WatchedFile(path, _parse, what="credentials file")


def _parse(content: bytes) -> dict[str, Any]:
    try:
        info = json.loads(content)
    except ValueError:
        raise ValueError("not JSON, so not a credentials file") from None
    if not isinstance(info, dict):
        raise ValueError("not a JSON object, so not a credentials file")  # noqa: TRY004  as above
    return info
