"""How work tells how far it has come, without knowing who is told."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""``progress(label, total)`` opens a bar while it is entered, and gives ``advance(by)``."""
