"""How long work says how far it is, without knowing who looks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""``progress(label, total)`` opens a bar while it is entered, and gives ``advance(by)``."""


def no_progress(_label: str, _total: int) -> AbstractContextManager[Callable[[int], None]]:
    """Show no bar."""
    return nullcontext(lambda _by: None)
