"""What holds for every test of the generator."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Undo what a shell's ``&`` does: it has SIGINT ignored, and so would all that we start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
