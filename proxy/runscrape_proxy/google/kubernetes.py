"""Who a pod is, for the remedies of GKE's workload identity.

https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runscrape_proxy.errors import MintError

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
"""Where Kubernetes puts a pod's own token; its ``sub`` is
``system:serviceaccount:NAMESPACE:NAME``."""

ACCOUNT: Final = "NAME@PROJECT.iam.gserviceaccount.com"
POOL: Final = "PROJECT.svc.id.goog"
"""Stand in a remedy until the metadata server has told the real names."""

_LARGEST: Final = 1 << 16
_NAME: Final = re.compile(r"[\w.@:-]{1,200}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A Kubernetes service account."""

    namespace: str = "NAMESPACE"
    name: str = "SERVICE_ACCOUNT"

    def binding(self) -> str:
        """The command that lets it be :data:`ACCOUNT`."""
        return (
            f"gcloud iam service-accounts add-iam-policy-binding {ACCOUNT}"
            " --role roles/iam.workloadIdentityUser"
            f" --member 'serviceAccount:{POOL}[{self.namespace}/{self.name}]'"
        )

    def annotation(self) -> str:
        """The command that says that it stands for :data:`ACCOUNT`."""
        return (
            f"kubectl annotate serviceaccount {self.name} --namespace {self.namespace}"
            f" iam.gke.io/gcp-service-account={ACCOUNT}"
        )


def our_account() -> ServiceAccount:
    """The account of this pod; placeholders for its names where they cannot be told."""
    try:
        with TOKEN.open("rb") as file:
            payload = file.read(_LARGEST).split(b".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
        _, _, namespace, name = str(claims["sub"]).split(":")
    except (OSError, LookupError, RecursionError, TypeError, ValueError):
        return ServiceAccount()
    return ServiceAccount(namespace, name)


def with_real_names(error: MintError, ask: Callable[[str], str]) -> MintError:
    """Put the real names into a remedy that has :data:`ACCOUNT` or :data:`POOL` in it.

    ``ask`` gives what the metadata server has at a path, and raises MintError.
    """
    remedy = error.remedy
    if "roles/iam.workloadIdentityUser" in remedy:
        remedy = remedy.replace(
            ACCOUNT, _told(ask, "instance/service-accounts/default/email", ACCOUNT)
        )
    project = _told(ask, "project/project-id", "PROJECT")
    remedy = remedy.replace("PROJECT.", f"{project}.")
    return MintError(error.reason, remedy=remedy, status=error.status)


def _told(ask: Callable[[str], str], path: str, otherwise: str) -> str:
    try:
        told = ask(path).strip()
    except MintError:
        return otherwise
    return told if _NAME.fullmatch(told) else otherwise
