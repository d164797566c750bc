"""What each fault does while it is on, to the stage as it runs."""

from __future__ import annotations

import resource
import signal
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tests.kit.prometheus import DIRECT
from tests.soak import plan
from tests.soak.plan import Fault
from tests.soak.stage import Kept, Stage

_AHEAD = 240.0
"""Seconds; a signed request with a clock more than 300 s off is refused by Google."""
_EVERY = 0.7
"""Seconds between two kills of the generators."""
_FULL, _FILES = resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE
Action = Callable[[Stage], object]


class Faults:
    """Begins and ends faults; ``over`` has each with the Unix times when it really was on."""

    def __init__(self, stage: Stage, planned: Sequence[Fault]) -> None:
        self.over: list[Fault] = []
        self.kills = self.ended = 0
        """Generators killed, and programs that ended by themselves."""
        self._stage = stage
        self._planned = planned
        self._on: dict[Fault, float] = {}
        self._turn = 0
        self._next_kill = 0.0

    def begin(self, fault: Fault) -> None:
        """Switch it on. What takes a while, such as a restart, is done when this returns."""
        self._on[fault] = time.time()
        self._update()
        if action := BEGIN.get(fault.kind):
            action(self._stage)

    def end(self, fault: Fault) -> None:
        """Switch it off."""
        if action := END.get(fault.kind):
            action(self._stage)
        self.over.append(replace(fault, begin=self._on.pop(fault), end=time.time()))
        self._update()

    def tick(self) -> None:
        """Kill the generators again and again while that fault is on; start what has ended."""
        for each in self._stage.programs.values():
            if each.program.code is not None:
                self.ended += 1
                print(f"{each.name} ended by itself: {each.program.code}", flush=True)  # noqa: T201
                each.restart()
        if any(fault.kind == "generators-killed" for fault in self._on) and (
            time.time() > self._next_kill
        ):
            self._next_kill = time.time() + _EVERY
            self._update()
            for name in GENERATORS:
                self._stage.programs[name].restart()
                self.kills += 1

    def _update(self) -> None:
        self._turn += 1
        world = plan.world(self._planned, list(self._on), self.over, self._turn)
        self._stage.google.update(world)


def _reload(stage: Stage) -> None:
    request = urllib.request.Request(f"{stage.prometheus}/-/reload", method="POST")
    with DIRECT.open(request, timeout=30):
        pass


def _move_inventory(stage: Stage) -> None:
    for mode in ("jobs", "gateway"):
        path = stage.etc / mode / "inventory.json"
        path.rename(path.with_suffix(".away")).rename(path)


def _each(do: Callable[[Kept], object], *names: str) -> Action:
    def act(stage: Stage) -> None:
        for name in names:
            do(stage.programs[name])

    return act


ALL = ("proxy", "jobs", "gateway")
GENERATORS = ALL[1:]
BEGIN: Mapping[str, Action] = {
    "disk-full": _each(lambda each: each.limit(_FULL, 0), *ALL),
    "generator-descriptors": _each(lambda each: each.limit(_FILES, 6), *GENERATORS),
    "proxy-descriptors": _each(lambda each: each.limit(_FILES, 6), "proxy"),
    "clock-ahead": lambda stage: stage.set_clock(_AHEAD),
    "clock-behind": lambda stage: stage.set_clock(-_AHEAD),
    "inventory-moved": _move_inventory,
    "generators-hup": _each(lambda each: each.program.send(signal.SIGHUP), *GENERATORS),
    "proxy-killed": _each(Kept.restart, "proxy"),
    "proxy-terminated": _each(lambda each: each.restart(signal.SIGTERM), "proxy"),
    "proxy-hup": _each(lambda each: each.program.send(signal.SIGHUP), "proxy"),
    "prometheus-reload": _reload,
}
"""What is done at a fault's begin, beyond the world of plan.py."""
END: Mapping[str, Action] = {
    "disk-full": _each(lambda each: each.limit(_FULL, None), *ALL),
    "generator-descriptors": _each(lambda each: each.limit(_FILES, None), *GENERATORS),
    "proxy-descriptors": _each(lambda each: each.limit(_FILES, None), "proxy"),
    "clock-ahead": lambda stage: stage.set_clock(0),
    "clock-behind": lambda stage: stage.set_clock(0),
}
"""What is done at its end."""
