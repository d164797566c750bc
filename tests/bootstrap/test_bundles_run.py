"""Each platform's bundle, run with the very commands, arguments, environment and files it names."""

from __future__ import annotations

from tests.bootstrap.conftest import Running
from tests.bootstrap.processes import eventually


def test_prometheus_reports_every_target_up(stack: Running) -> None:
    """The bundle runs as it is: Cloud Run, proxy, generator metrics and Prometheus are all up,
    a service that came after the bundle was written among them.
    """
    everything = {"api", "hello", "shop", "prometheus", "runscrape-proxy", "runscrape"}

    def settled() -> bool:
        up = stack.up()
        return up.keys() == everything and set(up.values()) == {"1"}

    try:
        eventually(settled, f"{stack.platform}: all up")
    except AssertionError:
        raise AssertionError(stack.up()) from None
