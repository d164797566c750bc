"""The proxy's own metrics, on a registry of their own."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client import disable_created_metrics as _disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from runscrape_proxy.model import METRICS_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric

    from runscrape_proxy.model import AudienceStatus

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
    """Counts what happens, and collects at each scrape what is.

    ``statuses`` gives what is known of each audience; ``inventory_good`` whether the newest
    reading of each inventory succeeded, None where there is none; ``skew`` how many seconds this
    machine's clock is ahead of Google's, None where that is not known.
    """

    def __init__(
        self,
        statuses: Callable[[], Iterable[AudienceStatus]],
        inventory_good: Callable[[], bool | None],
        *,
        skew: Callable[[], float | None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        # Prometheus 2.42 would store each *_created as one more gauge.
        _disable_created_metrics()  # type: ignore[no-untyped-call]
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
        self._mints = {ok: mints.labels("ok" if ok else "error") for ok in (True, False)}
        self._seconds = Histogram(
            METRICS_PREFIX + "mint_duration_seconds",
            "How long Google took for one ID token, failures included.",
            buckets=MINT_BUCKETS,
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(_State(statuses, inventory_good, skew, clock))
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
        self._mints[ok].inc()
        self._seconds.observe(seconds)

    def exposition(self) -> bytes:
        """Render all of it in the text format 0.0.4."""
        return generate_latest(self.registry)


class _State:
    """Gauges that are read from the parts themselves when Prometheus asks."""

    def __init__(
        self,
        statuses: Callable[[], Iterable[AudienceStatus]],
        inventory_good: Callable[[], bool | None],
        skew: Callable[[], float | None],
        clock: Callable[[], float],
    ) -> None:
        self._statuses = statuses
        self._skew = skew
        self._inventory_good = inventory_good
        self._clock = clock

    def describe(self) -> Iterable[Metric]:
        """Say nothing at registration: prometheus_client would collect for it."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield one family after the other."""
        expiry = GaugeMetricFamily(
            METRICS_PREFIX + "token_expiry_timestamp_seconds",
            "When the held token of an audience ends.",
            labels=["audience"],
        )
        audiences = 0
        now = self._clock()
        for status in self._statuses():
            audiences += 1
            if status.left is not None:
                expiry.add_metric([status.audience], round(now + status.left))
        yield expiry
        yield _gauge("audiences", "Audiences that were asked for and are kept ready.", audiences)
        if (good := self._inventory_good()) is not None:
            yield _gauge(
                "inventory_last_reload_successful", "1 if each inventory could be read.", int(good)
            )
        if (skew := self._skew()) is not None:
            yield _gauge(
                "clock_skew_seconds",
                "How far this machine's clock is ahead of Google's; negative if it is behind.",
                round(skew, 1),
            )


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(METRICS_PREFIX + name, documentation, value=value)
