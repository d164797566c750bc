"""Faults of Prometheus itself: targets that it drops, or does not have, or sees another way."""

from __future__ import annotations

from runscrape_generator.doctor.causes import Fault
from runscrape_generator.doctor.evidence import Evidence, Seen


def before_the_scrape(evidence: Evidence) -> Fault | None:
    """Name why Prometheus has no such target, as far as its configuration tells."""
    if evidence.target.problem is not None:
        return evidence.target.problem
    return Fault("unknown", evidence.trouble) if evidence.trouble else None


def after_the_scrape(evidence: Evidence) -> Fault | None:
    """Compare with what a running Prometheus says, where doctor found nothing wrong."""
    seen = evidence.seen
    if seen is None:
        return None
    if not seen.loaded:
        if seen.other_file:
            values = {"other_file": seen.other_file}
            return Fault("other-file", f"it reads {seen.other_file}", values)
        return Fault("reload-refused" if seen.refused else "not-loaded")
    if seen.other_job:
        return Fault("reload-refused" if seen.refused else "old-job", seen.other_job)
    if seen.health == "down":
        return _down(seen, evidence)
    return None


def differs(evidence: Evidence, fault: Fault) -> Fault | None:
    """Warn where a running Prometheus has up what doctor finds broken by ``fault``."""
    seen = evidence.seen
    if seen is None or seen.health != "up" or seen.other_job:
        return None
    ago = f"{seen.age:.0f} s ago" if seen.age is not None else "not long ago"
    return Fault("prometheus-has-it-up", f"up when it was scraped {ago}; here {fault.cause}")


def _down(seen: Seen, evidence: Evidence) -> Fault:
    said = f"Prometheus says: {seen.last_error}"
    refused = "401 Unauthorized" in seen.last_error or "403 Forbidden" in seen.last_error
    if refused and "oauth2" not in seen.last_error and evidence.token is not None:
        return Fault("old-token", said)
    return Fault("prometheus-differs", said)
