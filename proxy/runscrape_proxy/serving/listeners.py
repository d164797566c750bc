"""The sockets that the proxy serves on: bound here, before gunicorn, so that errors are at once.

Gunicorn itself would try a busy port five times, a second apart, and then end with a traceback's
worth of lines.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gunicorn import systemd

from runscrape_proxy.access.origin import is_loopback
from runscrape_proxy.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runscrape_proxy.settings import Settings

BACKLOG = 4096
"""A Prometheus that starts opens a connection for each of its jobs at once."""

UNIX = "unix:"


@dataclass(frozen=True, slots=True)
class Listening:
    """The sockets to serve on; where systemd ``passed`` them, duplicates for looking at only."""

    sockets: tuple[socket.socket, ...]
    passed: bool

    @property
    def names(self) -> list[str]:
        """The addresses as people write them."""
        return [name_of(each) for each in self.sockets]


def open_all(settings: Settings) -> Listening:
    """Take the sockets that systemd passed, else bind those of --listen.

    Raises StartError that names the address; no socket is left open then.
    """
    passed = inherited()
    bound = (_bind(address, settings.socket_mode) for address in settings.listen)
    with contextlib.ExitStack() as on_error:
        sockets = tuple(on_error.enter_context(each) for each in passed or bound)
        if settings.client_secret_file is None:
            refuse_open(sockets)
        on_error.pop_all()
    return Listening(sockets, passed=bool(passed))


def inherited() -> list[socket.socket]:
    """Return the sockets that systemd passed to this process (socket activation), if it did.

    The returned objects are duplicates for looking at. Raises StartError for one that does not
    listen.
    """
    first = systemd.SD_LISTEN_FDS_START
    try:
        number = systemd.listen_fds(unset_environment=False)
    except ValueError:
        raise StartError("LISTEN_PID and LISTEN_FDS are numbers, which systemd sets") from None
    sockets = []
    for descriptor in range(first, first + number):
        try:
            passed = socket.socket(fileno=os.dup(descriptor))
            listening = passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError as error:
            raise StartError(f"LISTEN_FDS: descriptor {descriptor}: {error.strerror}") from None
        if not listening:
            raise StartError(f"LISTEN_FDS: descriptor {descriptor} does not listen")
        sockets.append(passed)
    return sockets


def refuse_open(sockets: Iterable[socket.socket]) -> None:
    """Refuse to serve anybody who can reach an address beyond loopback without a secret.

    Raises StartError.
    """
    for opened in sockets:
        if opened.family == socket.AF_UNIX:
            continue
        host = opened.getsockname()[0]
        if not is_loopback(host):
            raise StartError(
                f"--listen {name_of(opened)}: not a loopback address, so --client-secret-file is"
                " needed: whoever reaches it could ask for tokens"
            )


def name_of(opened: socket.socket) -> str:
    """Return an address as people write it."""
    name = opened.getsockname()
    if opened.family == socket.AF_UNIX:
        return f"{UNIX}{name}"
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind(address: str, mode: int) -> socket.socket:
    """Listen on ``HOST:PORT``, ``[HOST]:PORT``, ``:PORT`` or ``unix:PATH``, whose mode is ``mode``.

    Raises StartError that names the address.
    """
    try:
        if address.startswith(UNIX) and address != UNIX:
            return _bind_unix(Path(address.removeprefix(UNIX)), mode)
        return _bind_tcp(*_host_and_port(address))
    except UnicodeError:  # a label of it is empty, or too long
        raise StartError(f"--listen {address}: no name of a host") from None
    except OSError as error:
        raise StartError(f"--listen {address}: {error.strerror or error}") from None


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or "/" in host or not port.isascii() or not port.isdigit() or int(port) > 0xFFFF:  # noqa: PLR2004
        raise StartError(f"--listen {address}: not HOST:PORT, :PORT or unix:PATH")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise StartError(f"--listen {address}: write an IPv6 address in brackets, [::1]:7777")
    return host or "0.0.0.0", int(port)  # noqa: S104  what :PORT asks for


def _bind_tcp(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, name = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return _listen(socket.socket(family, kind, protocol), name)


def _bind_unix(path: Path, mode: int) -> socket.socket:
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        _remove_dead(path)
    # It has no more rights for a moment than it is to have.
    before = os.umask(~mode & 0o777)
    try:
        opened = _listen(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), str(path))
    finally:
        os.umask(before)
    path.chmod(mode)
    return opened


def _remove_dead(path: Path) -> None:
    """Remove a socket that a killed process left; one that answers stays, and binding fails."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()


def _listen(opened: socket.socket, name: tuple[object, ...] | str) -> socket.socket:
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(name)
        opened.listen(BACKLOG)
    except BaseException:
        opened.close()
        raise
    return opened
