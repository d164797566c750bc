"""A service of the world as v1 of the Run Admin API (Knative's JSON) has it."""

from __future__ import annotations

import json
from typing import Any

from emulator.model import Project, Service

_RUN = "run.googleapis.com"


def knative_service(service: Service, project: Project) -> dict[str, Any]:
    """Make the JSON object; what v2 has as fields stands here in annotations."""
    revision = service.latest_ready_revision
    names = {"latestReadyRevisionName": revision} if revision else {}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": service.name,
            "namespace": str(project.number),
            "uid": service.uid,
            "labels": service.labels | {"cloud.googleapis.com/location": service.region},
            "annotations": service.annotations | _annotations(service),
            "generation": 1,
        },
        "spec": {
            "template": {"metadata": {"annotations": _template(service)}},
            "traffic": [{"percent": 100, "latestRevision": True}],
        },
        "status": {"conditions": [_ready(service)], "url": service.uri or "", **names},
    }


def _annotations(service: Service) -> dict[str, str]:
    said: dict[str, object] = {
        "ingress": service.ingress,
        "ingress-status": service.ingress,
        "launch-stage": service.launch_stage,
        "urls": json.dumps(service.urls) if service.urls else None,
        "custom-audiences": json.dumps(service.custom_audiences)
        if service.custom_audiences
        else None,
        "default-url-disabled": "true" if service.default_uri_disabled else None,
        "invoker-iam-disabled": "true" if service.invoker_iam_disabled else None,
        "iap-enabled": "true" if service.iap_enabled else None,
        "minScale": service.min_instances or None,
        "maxScale": service.max_instances or None,
        "scalingMode": service.scaling_mode.lower() if service.scaling_mode else None,
        "manualInstanceCount": service.manual_instances,
    }
    return {f"{_RUN}/{name}": str(value) for name, value in said.items() if value is not None}


def _template(service: Service) -> dict[str, str]:
    said = {"minScale": service.template_min_instances, "maxScale": service.template_max_instances}
    return {f"autoscaling.knative.dev/{name}": str(n) for name, n in said.items() if n}


def _ready(service: Service) -> dict[str, str]:
    status = "Unknown" if service.reconciling else str(service.ready)
    return {"type": "Ready", "status": status}
