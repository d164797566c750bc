"""``make fuzz``: each target in turn, for FUZZ_SECONDS together (120 unless set).

``python -m tests.fuzz NAME…`` runs only those named. A failure shows the smallest input that fails.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

from tests.fuzz import files, gateway, services, tokens
from tests.fuzz.target import Target

TARGETS: dict[str, Callable[[], AbstractContextManager[Target]]] = {
    "token-requests": tokens.token_requests,
    "scrape-requests": gateway.scrape_requests,
    "services-answers": gateway.answers,
    "inventory": files.inventories,
    "proxy-files": files.secrets,
    "settings": files.settings,
    "services": services.messages,
}


def main(names: list[str]) -> int:
    """Run the targets that are named, or all; 1 if one fails."""
    seconds = float(os.environ.get("FUZZ_SECONDS", "120")) / len(names or TARGETS)
    failed = False
    for name in names or TARGETS:
        with TARGETS[name]() as target:
            try:
                tried = target.run(seconds)
            except Exception as error:  # noqa: BLE001  whatever it is, the others are run
                failed = True
                notes = "\n".join(getattr(error, "__notes__", []))
                print(f"{name}: FAILED\n{type(error).__name__}: {error}\n{notes}")  # noqa: T201
            else:
                print(f"{name}: {tried} inputs in {seconds:.0f} s")  # noqa: T201
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
