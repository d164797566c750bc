"""Ports of 127.0.0.1 for programs that cannot choose one themselves."""

from __future__ import annotations

import socket

_given: set[int] = set()


def free_port() -> int:
    """Give a free port, none twice: whoever was given one may not have taken it yet."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _given:
            _given.add(port)
            return port
