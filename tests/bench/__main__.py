"""``make bench``: every figure as a ratio in one run, on this machine."""

from __future__ import annotations

import importlib
import pkgutil
import sys

from tests import bench

HELPERS = {"__main__", "bare", "gateway_peers", "load"}


def main(names: list[str]) -> None:
    """Run the benches that are named, or all of them: each module here with a ``main``."""
    found = sorted(module.name for module in pkgutil.iter_modules(bench.__path__))
    for name in names or [name for name in found if name not in HELPERS]:
        module = importlib.import_module(f"tests.bench.{name}")
        module.main()


if __name__ == "__main__":
    main(sys.argv[1:])
