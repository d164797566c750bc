"""The gateway's metrics: what was answered, how full it is, how long scrapes take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from runscrape_proxy.model import METRICS_PREFIX

if TYPE_CHECKING:
    from runscrape_proxy.gateway.slots import Slots

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds; Prometheus gives a scrape 10 s unless told otherwise."""

BROKEN, GONE = "broken", "gone"
"""Codes for what had begun with another one: the service broke off, or the client left."""


class GatewayMetrics:
    """Counts scrapes, on the registry of the proxy's other metrics."""

    def __init__(self, registry: CollectorRegistry, slots: Slots) -> None:
        self._requests = Counter(
            METRICS_PREFIX + "gateway_requests",
            "Scrapes by the HTTP status answered; broken if the service broke its answer off,"
            " gone if the client did not wait for the end of it.",
            ["code"],
            registry=registry,
        )
        self._requests.labels("200")
        self._seconds = Histogram(
            METRICS_PREFIX + "gateway_request_duration_seconds",
            "How long scrapes took, to the last byte, refused ones not counted.",
            buckets=BUCKETS,
            registry=registry,
        )
        in_flight = Gauge(
            METRICS_PREFIX + "gateway_requests_in_flight", "Scrapes under way.", registry=registry
        )
        in_flight.set_function(lambda: slots.in_flight)
        limit = Gauge(
            METRICS_PREFIX + "gateway_requests_in_flight_limit",
            "How many may be under way at once: --gateway-concurrency.",
            registry=registry,
        )
        limit.set(slots.limit)

    def answered(self, code: str, seconds: float | None) -> None:
        """Count one answer; ``seconds`` where a service was asked."""
        self._requests.labels(code).inc()
        if seconds is not None:
            self._seconds.observe(seconds)
