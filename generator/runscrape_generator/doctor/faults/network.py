"""Faults of the way to the service: DNS, connection, TLS, an HTTP proxy on the way."""

from __future__ import annotations

from runscrape_generator.addresses import without_login
from runscrape_generator.doctor.causes import Fault
from runscrape_generator.doctor.evidence import Evidence, Failed, Failure, Stage
from runscrape_generator.doctor.targets import Target

_CAUSES = {
    Failed.NO_ADDRESS: "no-address",
    Failed.UNTRUSTED: "tls-untrusted",
    Failed.WRONG_NAME: "tls-wrong-name",
    Failed.OUT_OF_DATE: "tls-out-of-date",
    Failed.TLS: "tls-failed",
    Failed.REFUSED_BY_PROXY: "http-proxy-refused",
    Failed.NO_URL: "unknown",
}
_OURS = "runscrape-proxy: "
"""How every refusal of the gateway's begins."""
_BEFORE_THE_REQUEST = {Stage.DNS, Stage.CONNECTION, Stage.TUNNEL, Stage.TLS}


def fault(evidence: Evidence) -> Fault | None:
    """Name what kept the scrape from reaching the service; None where it got there."""
    failure = evidence.scrape.failure if evidence.scrape else None
    if failure is None:
        return None
    if evidence.target.gateway and failure.stage in {Stage.DNS, Stage.CONNECTION, Stage.TLS}:
        return to_proxy(failure)
    if failure.how is Failed.REFUSED_BY_PROXY and _OURS in failure.reason:
        return Fault("gateway-wants-http", failure.reason)
    if failure.stage in _BEFORE_THE_REQUEST:
        return _before_the_request(failure, evidence.target)
    if failure.how is Failed.NOT_HTTP:
        return Fault("unknown", f"what answered speaks no HTTP: {failure.reason}")
    return None


def _before_the_request(failure: Failure, target: Target) -> Fault:
    """Name what is in the way: of the connection, the job's HTTP proxy, where it has one."""
    detail = f"{failure.stage}: {failure.reason}"
    connecting = target.transport.proxy_url and failure.stage in {Stage.DNS, Stage.CONNECTION}
    if connecting and failure.how is not Failed.NO_URL:
        proxy = without_login(target.transport.proxy_url)
        return Fault("http-proxy-refused", f"{proxy}: {detail}")
    return Fault(_CAUSES.get(failure.how, "no-connection"), detail)


def to_proxy(failure: Failure, by_way_of: str = "") -> Fault:
    """Name what keeps a request from reaching runscrape-proxy, by way of an HTTP proxy perhaps."""
    if by_way_of and failure.stage in {Stage.DNS, Stage.CONNECTION, Stage.TUNNEL}:
        way = f"by way of the HTTP proxy {without_login(by_way_of)}"
        return Fault("proxy-unreachable", f"{way}: {failure.stage}: {failure.reason}")
    if failure.how is Failed.REFUSED:
        return Fault("proxy-not-running", failure.reason)
    if failure.how in {Failed.TLS, Failed.UNTRUSTED, Failed.WRONG_NAME, Failed.OUT_OF_DATE}:
        return Fault("proxy-tls", failure.reason)
    if failure.how is Failed.NOT_HTTP:
        return Fault("not-the-proxy", f"it speaks no HTTP: {failure.reason}")
    return Fault("proxy-unreachable", f"{failure.stage}: {failure.reason}")
