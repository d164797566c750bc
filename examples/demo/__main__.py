"""The main job, end to end, on this machine.

Starts an emulated Google Cloud, ``runscrape-proxy`` under gunicorn and a real Prometheus, lets
``runscrape generate`` find the services, and shows what was scraped. On a terminal it stays until
Ctrl-C; elsewhere it exits with 0 only if every target that should be up is up.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from .complaints import Complaints
from .processes import DemoError
from .stack import Stack, stack
from .table import Row, render, rows

UP_WITHIN = 40.0
"""Seconds that the first scrapes may take."""

_PARENT = os.getppid()
"""Who started the demo; another one later on means that it is gone."""

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run the demo; gives the exit code."""
    for number in STOPS:
        signal.signal(number, _interrupt)
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        print(
            "There is no Prometheus here (sudo apt-get install prometheus), so a small client "
            "scrapes in its place."
        )
    print("starting a Google Cloud on loopback, runscrape-proxy and a scraper", flush=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="runscrape-demo-") as directory,
            stack(Path(directory), prometheus=prometheus) as running,
        ):
            return _show(running)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped")
        return 0


def _interrupt(*_: object) -> None:
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave anything running
    raise KeyboardInterrupt


def _show(running: Stack) -> int:
    table = _settle(running)
    print(f"\n{render(table)}\n")
    complaints = Complaints(running.directory)
    _complain(complaints)
    missing = [row for row in table if row.kept and not row.up]
    if missing:
        print(f"demo: {len(missing)} of the targets should be up and are not", file=sys.stderr)
    if sys.stdout.isatty():
        _stay(running, table, complaints)
    return 1 if missing else 0


def _settle(running: Stack) -> list[Row]:
    """Wait until every target that should be up is up, or the time is over."""
    end = time.monotonic() + UP_WITHIN
    while True:
        table = rows(running.inventory, running.scraper.scrapes())
        if all(row.up for row in table if row.kept) or time.monotonic() > end:
            return table
        time.sleep(0.25)


def _complain(complaints: Complaints) -> None:
    for line in complaints.new():
        print(line, file=sys.stderr, flush=True)


def _stay(running: Stack, table: list[Row], complaints: Complaints) -> None:
    """Keep the stack up for a look around; say what changes, and what is wrong."""
    if running.prometheus:
        print(f"Prometheus' targets:  {running.prometheus}/targets")
    print(f"The proxy:            {running.proxy}/")
    print(f"Google's services:    {running.world}")
    print("Edit that last file to add or remove a service, and watch it come and go. Ctrl-C ends.")
    seen = _states(table)
    while os.getppid() == _PARENT:  # a terminal that is closed takes the parent, not always us
        time.sleep(1)
        _complain(complaints)
        now = _states(rows(running.inventory, running.scraper.scrapes()))
        for job in sorted(seen.keys() | now.keys()):
            if seen.get(job) != now.get(job):
                print(f"{time.strftime('%H:%M:%S')}  {job}: {now.get(job, 'gone')}")
        seen = now


def _states(table: list[Row]) -> dict[str, str]:
    return {row.job: "up" if row.up else row.cells()[3] for row in table if row.kept}


if __name__ == "__main__":
    sys.exit(main())
