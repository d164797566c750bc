"""From evidence to the one cause: the first thing in the way, in the order in which Google checks.

Host known, reserved path, ingress, VPC Service Controls and default URL, Identity-Aware Proxy,
invoker, instance, app; before all that the proxy and its token, after it what the app answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runscrape_generator.doctor.causes import Fault, Finding, Values, finding
from runscrape_generator.doctor.evidence import Evidence
from runscrape_generator.doctor.faults import app, google, network, prometheus, token, warnings
from runscrape_generator.doctor.remedies import of_target

_Look = Callable[[Evidence], Fault | None]

_IN_THE_WAY: tuple[_Look, ...] = (
    prometheus.before_the_scrape,
    token.fault,
    network.fault,
    google.fault,
    app.fault,
    prometheus.after_the_scrape,
)
"""What is looked for, in order; the first that finds something has the cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What is wrong with one target, if anything is."""

    evidence: Evidence
    cause: Finding | None = None
    """None where the target is well."""
    warnings: tuple[Finding, ...] = ()


def diagnose(evidence: Evidence, setup: Values) -> Diagnosis:
    """Decide from everything that was seen; a pure function.

    ``setup`` has the values of remedies that are the same for all targets.
    """
    cause = next(filter(None, (look(evidence) for look in _IN_THE_WAY)), None)
    differing = prometheus.differs(evidence, cause) if cause else None
    worth_a_look = (*filter(None, (differing,)), *warnings.faults(evidence))
    values = {**setup, **of_target(evidence)}
    return Diagnosis(
        evidence=evidence,
        cause=finding(cause, values) if cause else None,
        warnings=tuple(finding(each, values) for each in worth_a_look),
    )
