"""The emulator as a program: ``python -m emulator --world WORLD.yaml --directory DIR``."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from emulator import Emulator, WorldError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="emulator", description=__doc__)
    parser.add_argument("--world", type=Path, required=True, help="YAML or JSON file")
    parser.add_argument("--directory", type=Path, required=True, help="keys, certificates, files")
    for name in ("api", "issuer", "metadata", "proxy"):
        parser.add_argument(f"--{name}-port", type=int, default=0, help="0: chosen by the kernel")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; 1 if the world is bad or a port is taken."""
    options = vars(_parser().parse_args(argv))
    logging.basicConfig(format="emulator: %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with Emulator(options.pop("world"), options.pop("directory"), **options) as emulator:
            path = emulator.write_description()
            print(f"emulator: listening, see {path}", flush=True)
            stop.wait()
    except (WorldError, OSError) as error:
        print(*(f"emulator: {line}" for line in str(error).splitlines()), sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
