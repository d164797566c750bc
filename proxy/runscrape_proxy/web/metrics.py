"""The proxy's own metrics, on a registry of their own."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from runscrape_proxy.model import METRICS_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.core import Metric

    from runscrape_proxy.clock import GoogleClock
    from runscrape_proxy.inventory import Inventories
    from runscrape_proxy.tokens.keeper import Tokens

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""Understood by every Prometheus since 0.0.4 was new."""

VERSION = version("runscrape")
"""Read once: at its limit of open files the proxy could not read it at each scrape."""

MINT_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds; a mint takes 50 to 200 ms, and 4 s is the usual timeout."""

RESULTS = (
    "ok",
    "invalid_request",
    "unsupported_grant_type",
    "invalid_client",
    "invalid_target",
    "access_denied",
    "temporarily_unavailable",
    "server_error",
)


class Metrics:
    """Counts what happens, and collects at each scrape what is known of tokens, files and clock.

    ``wall`` gives the seconds since the epoch by this machine's clock.
    """

    def __init__(
        self,
        tokens: Tokens,
        inventory: Inventories | None,
        clock: GoogleClock,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._tokens = tokens
        self._inventory = inventory
        self._clock = clock
        self._wall = wall
        # Prometheus 2.42 would store each *_created as one more gauge.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        requests = Counter(
            METRICS_PREFIX + "token_requests",
            "Token requests answered, by result: ok or the RFC 6749 error.",
            ["result"],
            registry=self.registry,
        )
        mints = Counter(
            METRICS_PREFIX + "mints",
            "ID tokens asked of Google, by result.",
            ["result"],
            registry=self.registry,
        )
        self._requests = {result: requests.labels(result) for result in RESULTS}
        self._mints = {result: mints.labels(result) for result in ("ok", "error")}
        self._seconds = Histogram(
            METRICS_PREFIX + "mint_duration_seconds",
            "How long Google took for one ID token, failures included.",
            buckets=MINT_BUCKETS,
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(self)
        info = Gauge(
            METRICS_PREFIX + "build_info",
            "1, labelled with what is running.",
            ["version"],
            registry=self.registry,
        )
        info.labels(VERSION).set(1)

    def token_request(self, result: str) -> None:
        """Count one answer of the token endpoint, by one of :data:`RESULTS`."""
        self._requests[result].inc()

    def mint(self, *, ok: bool, seconds: float) -> None:
        """Count one mint."""
        self._mints["ok" if ok else "error"].inc()
        self._seconds.observe(seconds)

    def exposition(self) -> bytes:
        """Render all of it in the text format 0.0.4."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """Give the gauges that are read when Prometheus asks; prometheus_client calls this."""
        expiry = GaugeMetricFamily(
            METRICS_PREFIX + "token_expiry_timestamp_seconds",
            "When the held token of an audience ends.",
            labels=["audience"],
        )
        statuses = self._tokens.statuses()
        now = self._wall()
        for status in statuses:
            if status.left is not None:
                expiry.add_metric([status.audience], round(now + status.left))
        yield expiry
        yield _gauge(
            "audiences", "Audiences that were asked for and are kept ready.", len(statuses)
        )
        if self._inventory is not None:
            yield _gauge(
                "inventory_last_reload_successful",
                "1 if each inventory could be read.",
                int(not self._inventory.error),
            )
        if (skew := self._clock.skew) is not None:
            yield _gauge(
                "clock_skew_seconds",
                "How far this machine's clock is ahead of Google's; negative if it is behind.",
                round(skew, 1),
            )


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(METRICS_PREFIX + name, documentation, value=value)
