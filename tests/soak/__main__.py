"""``make soak``: SOAK_SECONDS of faults (600 unless set), planned from SOAK_SEED (printed).

Exit code 1 where a scrape was lost without a fault that explains it, a file was broken or lost a
service, a token reached a service that it was not for, or the proxy grew. The logs are then kept.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.kit.consumers import releases_of
from tests.soak import plan
from tests.soak.faults import Faults
from tests.soak.judge import Loss, all_losses, bad_looks, cause
from tests.soak.plan import Fault
from tests.soak.stage import stage
from tests.soak.watcher import Watcher


def _say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)  # noqa: T201


def _play(planned: Sequence[Fault], faults: Faults, seconds: float) -> None:
    """Begin and end each fault at its time."""
    began = time.monotonic()
    events = [(each.begin, 0, each) for each in planned] + [(each.end, 1, each) for each in planned]
    for at, ends, fault in sorted(events, key=lambda event: event[:2]):
        _wait_until(began + at, faults)
        if ends:
            faults.end(fault)
        else:
            _say(f"{at:6.0f} s  {fault.kind} {fault.service}")
            faults.begin(fault)
    _wait_until(began + seconds, faults)


def _wait_until(at: float, faults: Faults) -> None:
    while time.monotonic() < at:
        faults.tick()
        time.sleep(min(0.1, max(0.0, at - time.monotonic())))


def _table(over: Iterable[Fault], lost: Mapping[Loss, Fault | None]) -> None:
    costs = Counter((fault.kind, loss.mode) for loss, fault in lost.items() if fault)
    _say(f"\n{'fault':24}{'times':>6}{'lost: oauth2':>14}{'gateway':>9}  may cost")
    for kind, count in sorted(Counter(each.kind for each in over).items()):
        of_modes = [costs[kind, mode] for mode in plan.MODES]
        may = "yes" if plan.KINDS[kind].costs else "none"
        _say(f"{kind:24}{count:>6}{of_modes[0]:>14}{of_modes[1]:>9}  {may}")


def soak(seed: int, seconds: float, folder: Path) -> list[str]:
    """Run it; prints the table and gives what was wrong."""
    planned = plan.plan(seed, seconds)
    with stage(folder, plan.world(planned, [], [], 0)) as running:
        faults, watcher = Faults(running, planned), Watcher(running)
        began = time.time()
        with watcher.watching():
            _play(planned, faults, seconds)
        ended = time.time()
        samples = running.samples(ended - began)
        wrong = running.wrong_audiences()
    over = [*faults.over, *watcher.stalls]
    lost = {loss: cause(loss, over) for loss in all_losses(samples, over, began, ended)}
    _table(over, lost)
    grown = list(watcher.growth(began + seconds / 2))
    problems = [
        f"! {'missing' if loss.missing else 'down'} without a fault at {loss.at - began:.1f} s: "
        f"{loss.mode} {loss.project}/{loss.service}"
        for loss, fault in lost.items()
        if fault is None
    ]
    problems += [f"! {each}" for each in bad_looks(watcher.looks, over)]
    problems += [f"! {wrong} tokens reached a service that they were not for"] if wrong else []
    _say(
        f"\n{sum(map(len, samples.values()))} scrapes, {len(lost)} lost; {watcher.count} looks at "
        f"files, {len(watcher.looks)} changes; {faults.kills} kills of generators; {faults.ended} "
        f"programs ended by themselves; wrong audiences: {wrong}\nthe proxy:",
        *grown,
        *problems,
    )
    return [*problems, *(line for line in grown if line.startswith("!"))]


def main() -> int:
    """Run a soak; 1 if anything is wrong."""
    if not releases_of("prometheus"):
        _say("Prometheus is not installed: make prometheus")
        return 2
    seconds = float(os.environ.get("SOAK_SECONDS", "600"))
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(10**6))
    _say(f"SOAK_SEED={seed} SOAK_SECONDS={seconds:.0f}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all children end
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    problems = soak(seed, seconds, folder)
    if problems:
        _say(f"{len(problems)} problems; the logs are in {folder}")
    else:
        shutil.rmtree(folder)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
