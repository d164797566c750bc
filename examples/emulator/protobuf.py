"""A service of the world as the Run Admin API's protobuf message."""

from __future__ import annotations

import datetime as dt
from typing import Any

from google.api.launch_stage_pb2 import (  # type: ignore[import-untyped] # none shipped
    LaunchStage,
)
from google.cloud import run_v2

from emulator.model import Failure, Service, Traffic

_INGRESS = {
    "all": run_v2.IngressTraffic.INGRESS_TRAFFIC_ALL,
    "internal": run_v2.IngressTraffic.INGRESS_TRAFFIC_INTERNAL_ONLY,
    "internal-and-cloud-load-balancing": (
        run_v2.IngressTraffic.INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER
    ),
    "none": run_v2.IngressTraffic.INGRESS_TRAFFIC_NONE,
}
_LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
_REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
_EPOCH = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def service_message(service: Service, order: int) -> Any:
    """Make the message; *order* in the world gives its creation time."""
    parent = f"projects/{service.project}/locations/{service.region}"
    name = f"{parent}/services/{service.name}"
    created = _EPOCH + dt.timedelta(minutes=order)
    message = run_v2.Service(
        name=name,
        uid=service.uid,
        generation=1,
        observed_generation=1,
        labels=service.labels,
        annotations=service.annotations,
        create_time=created,
        update_time=created,
        creator="alice@example.com",
        last_modifier="alice@example.com",
        client="gcloud",
        ingress=_INGRESS[service.ingress],
        launch_stage=LaunchStage.Value(service.launch_stage),
        invoker_iam_disabled=service.invoker_iam_disabled,
        default_uri_disabled=service.default_uri_disabled,
        iap_enabled=service.iap_enabled,
        urls=service.urls,
        custom_audiences=service.custom_audiences,
        uri=service.uri or "",
        latest_ready_revision=_revision(name, service.latest_ready_revision),
        latest_created_revision=_newest(name, service),
        reconciling=service.reconciling,
        etag=f'"{service.uid}"',
        **_scaling(service),
        **_traffic(service),
        **_conditions(service),
    )
    if service.function:
        message.build_config = run_v2.BuildConfig(function_target=service.name)
        message.labels["goog-managed-by"] = "cloudfunctions"
    if service.multi_region:
        regions = run_v2.Service.MultiRegionSettings(regions=service.multi_region)
        message.multi_region_settings = regions
    if service.deleted:
        message.delete_time = created
        message.expire_time = created + dt.timedelta(days=30)
    return run_v2.Service.pb(message)


def _revision(name: str, revision: str | None) -> str:
    return f"{name}/revisions/{revision}" if revision else ""


def _newest(name: str, service: Service) -> str:
    """The newest revision, another one than the newest ready one where it failed."""
    if service.failure or not service.latest_ready_revision:
        return _revision(name, f"{service.name}-00002-bad")
    return _revision(name, service.latest_ready_revision)


def _scaling(service: Service) -> dict[str, Any]:
    template = {
        "service_account": f"app@{service.project}.iam.gserviceaccount.com",
        "containers": [{"image": f"gcr.io/{service.project}/{service.name}"}],
        "scaling": {
            "min_instance_count": service.template_min_instances,
            "max_instance_count": service.template_max_instances,
        },
    }
    own = {
        "min_instance_count": service.min_instances,
        "max_instance_count": service.max_instances,
        "scaling_mode": getattr(
            run_v2.ServiceScaling.ScalingMode, service.scaling_mode or "", None
        ),
        "manual_instance_count": service.manual_instances,
    }
    told = any(value not in (None, 0) for value in own.values())
    return {"template": template, "scaling": own if told else None}


def _traffic(service: Service) -> dict[str, Any]:
    targets = service.traffic or (Traffic(percent=100),)
    wanted = [
        {
            "type_": _REVISION if target.revision else _LATEST,
            "revision": target.revision or "",
            "percent": target.percent,
            "tag": target.tag or "",
        }
        for target in targets
    ]
    if not service.ready:
        return {"traffic": wanted}
    serving = [
        entry | {"uri": target.uri if target.tag else ""}
        for entry, target in zip(wanted, targets, strict=True)
    ]
    return {"traffic": wanted, "traffic_statuses": serving}


def _conditions(service: Service) -> dict[str, Any]:
    states = run_v2.Condition.State
    failure = service.failure or (None if service.ready else Failure())
    terminal: dict[str, Any] = {"type_": "Ready", "state": states.CONDITION_SUCCEEDED}
    if service.reconciling:
        terminal["state"] = states.CONDITION_RECONCILING
    elif failure:
        terminal |= {"state": states.CONDITION_FAILED, "message": failure.message}
        if failure.reason:
            terminal["reason"] = _named(run_v2.Condition.CommonReason, failure.reason)
        elif failure.revision_reason:
            terminal["revision_reason"] = _named(
                run_v2.Condition.RevisionReason, failure.revision_reason
            )
    conditions = [{"type_": kind, "state": terminal["state"]} for kind in ("RoutesReady",)]
    return {"terminal_condition": terminal, "conditions": conditions}


def _named(enum: Any, name: str) -> Any:
    return enum[name]
