"""What Run Admin API v2 says of a service, as :class:`runscrape_generator.model.Service`.

Reads the protobuf messages themselves: the proto-plus wrappers around them cost more, at 10,000
services, than everything else in a listing.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from runscrape_generator.model import Service

_NAME = re.compile(r"projects/([^/]+)/locations/([^/]+)/services/([^/]+)", re.ASCII)

_INGRESS = {
    2: "internal",
    3: "internal-and-cloud-load-balancing",
    4: "none",
}
"""``IngressTraffic`` by number, in gcloud's words. The rest is ``all``: 1, and 0 ("no revision is
active", so another rule skips the service), and what Google may add: a scrape that fails shows on
the targets page, a service left out for a reason we cannot name does not."""

_MANUAL = 2
"""``ServiceScaling.ScalingMode.MANUAL``."""
_CONDITION_FAILED = 3
"""``Condition.State.CONDITION_FAILED``."""


def service_of(pb: Any, project: str, region: str | None) -> Service:
    """Convert one ``google.cloud.run.v2.Service`` message.

    ``project`` and ``region`` are those that were listed, ``region`` None if all were. Raises
    ValueError, saying what is wrong, for a name that is not a service of those.
    """
    minimum, maximum = instances(pb.scaling, pb.template.scaling)
    found, name = place_of(pb.name, project, region)
    tag_urls = tuple(each.uri for each in pb.traffic_statuses if each.tag and each.uri)
    uri = pb.uri
    return Service(
        project=project,
        region=found,
        name=name,
        uid=pb.uid,
        uri=uri,
        urls=tuple(uri if url == uri else url for url in pb.urls if url not in tag_urls),
        custom_audiences=tuple(pb.custom_audiences),
        labels=dict(pb.labels),
        annotations=dict(pb.annotations),
        ingress=_INGRESS.get(pb.ingress, "all"),
        launch_stage=_launch_stage(pb),
        latest_ready_revision=pb.latest_ready_revision.rpartition("/")[2],
        min_instances=minimum,
        max_instances=maximum,
        manual_instances=minimum if pb.scaling.scaling_mode == _MANUAL else None,
        invoker_iam_disabled=pb.invoker_iam_disabled,
        default_uri_disabled=pb.default_uri_disabled,
        iap_enabled=pb.iap_enabled,
        failing=_failing(pb.terminal_condition),
        newest_revision=pb.latest_created_revision.rpartition("/")[2],
        tag_urls=tag_urls,
    )


def place_of(full_name: str, project: str, region: str | None) -> tuple[str, str]:
    """Take region and short name out of ``projects/P/locations/R/services/NAME``.

    A project may be asked for by its number and answered by its ID, or the reverse; apart from
    that, project and region have to be the ones listed, else ValueError.
    """
    match = _NAME.fullmatch(full_name)
    if match is None:
        raise ValueError(f"{full_name!r} is not the name of a service")
    of_project, of_region, name = match.groups()
    numbered = of_project.isdigit() != project.isdigit()
    elsewhere = of_region != region if region is not None else of_region == "-"
    if elsewhere or (of_project != project and not numbered):
        where = f"{project}/{region}" if region is not None else f"project {project}"
        raise ValueError(f"{full_name!r} was listed, which is not in {where}")
    return sys.intern(of_region), name  # one text for all services of a region


def instances(service: Any, revision: Any) -> tuple[int, int]:
    """Take the effective minimum and maximum from service-level and revision-level scaling.

    The service's are shared by all its revisions, the revision's hold for each, both at once:
    so the higher minimum and the lower maximum win (cloud.google.com/run/docs/configuring,
    min-instances and max-instances). Manual scaling fixes both. A maximum of 0 is not set.
    """
    if service.scaling_mode == _MANUAL:
        count: int = service.manual_instance_count
        return count, count
    limits = [n for n in (service.max_instance_count, revision.max_instance_count) if n > 0]
    return max(service.min_instance_count, revision.min_instance_count), min(limits, default=0)


def _failing(condition: Any) -> str:
    """Say why the service, or its newest revision, is not ready; empty while nothing failed."""
    if condition.state != _CONDITION_FAILED:
        return ""
    kind = condition.WhichOneof("reasons")
    known = condition.DESCRIPTOR.fields_by_name[kind].enum_type.values_by_number if kind else {}
    reason = known.get(getattr(condition, kind)) if kind else None
    return ": ".join(filter(None, (reason.name if reason else "", condition.message)))


def _launch_stage(pb: Any) -> str:
    """Name the stage; unspecified means GA (the field's documentation)."""
    known = pb.DESCRIPTOR.fields_by_name["launch_stage"].enum_type.values_by_number
    stage = known.get(pb.launch_stage) if pb.launch_stage else None
    return str(stage.name) if stage is not None else "GA"
