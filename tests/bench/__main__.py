"""``make bench``: every figure in one table, each against its peer in the same run."""

from __future__ import annotations

import os
import platform
import sys
import time

from tests.bench import discovery, gateway, proxy, scale, table

BENCHES = {"discovery": discovery, "proxy": proxy, "gateway": gateway, "scale": scale}


def main(names: list[str]) -> None:
    """Run the benches that are named, or all of them."""
    began = time.monotonic()
    now = time.strftime("%Y-%m-%d %H:%M")
    _say(f"{now}, {os.cpu_count()} cores, Python {platform.python_version()}")
    _say(f"load at the start: {os.getloadavg()[0]:.1f}")
    table.head()
    for name in names or BENCHES:
        BENCHES[name].main()
    _say(f"load at the end: {os.getloadavg()[0]:.1f}; {time.monotonic() - began:.0f} s")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
