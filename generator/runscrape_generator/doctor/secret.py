"""Where a secret is, and secrets that no message shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


class Secret(str):
    """Text that no log, message or repr shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(…)"


@dataclass(frozen=True, slots=True)
class SecretSource:
    """A secret in the configuration itself, or in a file; neither is no secret."""

    value: Secret = field(default_factory=Secret)
    file: Path | None = None

    def read(self) -> Secret:
        """Read it as Prometheus does: without white space at either end. Raises OSError."""
        if self.file is None:
            return self.value
        return Secret(self.file.read_text(encoding="utf-8", errors="replace").strip())
