"""What the demo's programs complain about, read out of their logs as it comes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

COMPLAINTS = {
    "emulator.log": re.compile("emulator: (?!listening)"),
    "runscrape.log": re.compile("runscrape: (?:warning|error): "),
    "proxy.log": re.compile(r"\S+ (?:WARNING|ERROR|CRITICAL) "),
    "prometheus.log": re.compile(".*level=(?:WARN|ERROR|warn|error) "),
}
"""How a line begins that whoever watches the demo should see."""


class Complaints:
    """Gives each complaint once; one that only repeats the one before is left out."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read = dict.fromkeys(COMPLAINTS, 0)
        self._last = dict.fromkeys(COMPLAINTS, "")

    def new(self) -> Iterator[str]:
        """Give what came since the last call."""
        for name, pattern in COMPLAINTS.items():
            for line in self._lines(name):
                found = pattern.match(line)
                said = line[found.end() :] if found else ""
                if said and said != self._last[name]:
                    self._last[name] = said
                    yield line

    def _lines(self, name: str) -> list[str]:
        """Whole lines that were not read yet."""
        path = self._directory / name
        if not path.exists():
            return []
        with path.open("rb") as log:
            log.seek(self._read[name])
            data = log.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read[name] += len(whole)
        return whole.decode("utf-8", "replace").splitlines()
