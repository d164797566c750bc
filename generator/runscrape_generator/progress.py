"""How long work says how far it is, without knowing who looks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""``progress(label, total)`` opens a bar while it is entered, and gives ``advance(by)``."""
