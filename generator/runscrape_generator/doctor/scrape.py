"""A scrape as Prometheus makes it: its headers, its credentials, no redirect followed."""

from __future__ import annotations

from collections.abc import Mapping

from runscrape_generator.doctor.evidence import Exchange
from runscrape_generator.doctor.http.exchange import Request, exchange
from runscrape_generator.doctor.targets import Secret, Target

Version = tuple[int, int]

SCRAPE_PROTOCOLS = (2, 49)
"""Where ``scrape_protocols`` came, and with it the quality of each."""
PROMETHEUS_3 = (3, 0)
"""From here on names may be UTF-8, and an answer needs a Content-Type."""

_TYPES: Mapping[str, str] = {
    "PrometheusProto": "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
    "encoding=delimited",
    "PrometheusText0.0.4": "text/plain;version=0.0.4",
    "PrometheusText1.0.0": "text/plain;version=1.0.0",
    "OpenMetricsText0.0.1": "application/openmetrics-text;version=0.0.1",
    "OpenMetricsText1.0.0": "application/openmetrics-text;version=1.0.0",
}
_ESCAPED = {"PrometheusText1.0.0", "OpenMetricsText1.0.0"}
"""Those whose names may be UTF-8, from Prometheus 3 on."""
_OLD_ACCEPT = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
_USUAL_2 = ("OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText0.0.4")
_USUAL_3 = (
    "OpenMetricsText1.0.0",
    "OpenMetricsText0.0.1",
    "PrometheusText1.0.0",
    "PrometheusText0.0.4",
)


def scrape(
    target: Target,
    token: Secret | None,
    version: Version,
    *,
    seconds: float,
    url: str = "",
    timeout: float = 0.0,
) -> Exchange:
    """Scrape a target, or another ``url`` of it in the same way, within ``seconds``.

    ``timeout`` is what the target is told, by default its own. Raises OSError where the file of
    the job's own credentials cannot be read.
    """
    headers = {
        "User-Agent": f"Prometheus/{version[0]}.{version[1]}.0 (runscrape doctor)",
        "Accept": accept(target.protocols, version),
        "Accept-Encoding": "gzip" if target.compression else "identity",
        "X-Prometheus-Scrape-Timeout-Seconds": f"{timeout or target.timeout:g}",
    }
    more = {name: [each.read() for each in values] for name, values in target.headers.items()}
    headers |= {name: ", ".join(values) for name, values in more.items()}
    if target.credentials is not None:
        headers |= target.credentials.headers()
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    request = Request(
        url=url or target.url,
        headers=headers,
        transport=target.transport,
        secrets=tuple(each for values in more.values() for each in values),
    )
    return exchange(request, seconds)


def accept(protocols: tuple[str, ...], version: Version) -> str:
    """Give the Accept header of a version of Prometheus (``scrape/scrape.go``, acceptHeader)."""
    if version < SCRAPE_PROTOCOLS and not protocols:
        return _OLD_ACCEPT
    usual = _USUAL_3 if version >= PROMETHEUS_3 else _USUAL_2
    weight = len(_TYPES) + (1 if version >= PROMETHEUS_3 else 0)
    parts = []
    for name in protocols or usual:
        kind = _TYPES.get(name, "*/*")
        if version >= PROMETHEUS_3 and name in _ESCAPED:
            kind += ";escaping=allow-utf-8"
        parts.append(f"{kind};q=0.{weight}")
        weight -= 1
    return ",".join([*parts, f"*/*;q=0.{weight}"])
