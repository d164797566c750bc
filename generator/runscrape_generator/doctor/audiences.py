"""Which audiences a service takes, as Cloud Run compares them.

cloud.google.com/run/docs/configuring/custom-audiences: its own URLs, and the custom ones to the
letter; never the URL of a tag.
"""

from __future__ import annotations

from runscrape_generator.doctor.evidence import Evidence
from runscrape_generator.model import Service

_TAG = "---"
"""Between tag and service in the host of a tag's URL."""


def accepted(evidence: Evidence) -> tuple[str, ...]:
    """What the service takes; by its host alone where nobody knows the service."""
    service, host = evidence.service, evidence.target.host
    if service is None:
        return (f"https://{host}",) if host.endswith(".run.app") else ()
    found = (service.uri, *service.urls, *service.custom_audiences)
    return tuple(dict.fromkeys(each for each in found if each))


def is_accepted(audience: str, takes: tuple[str, ...]) -> bool:
    """Whether it is one of them; a slash at the end counts for nothing in practice."""
    return audience in takes or audience.rstrip("/") in takes


def is_tag(audience: str, service: Service | None) -> bool:
    """Whether it is the URL of a tagged revision."""
    tags = service.tag_urls if service is not None else ()
    return audience.rstrip("/") in tags or (
        _TAG in audience and audience.rstrip("/").endswith(".run.app")
    )
