"""What ``runscrape bootstrap`` is asked for, and where things are on each platform.

On all of them the programs see the same two folders: ``/etc/runscrape`` (what people edit) and
``/var/lib/runscrape`` (what the generator writes). What differs is how they reach each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

CONFIG = "/etc/runscrape"
STATE = "/var/lib/runscrape"
MANIFEST = ".runscrape-bundle.json"
"""The file that remembers a bundle: its platform, the options given, the files written."""

RUN_AS = 65532
"""User and group of the image; also who root's compose bundles run as."""


class Platform(StrEnum):
    """Where the bundle is to run."""

    COMPOSE = "compose"
    KUBERNETES = "kubernetes"
    SYSTEMD = "systemd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user asked of ``bootstrap`` itself, beside the generator's settings."""

    platform: Platform
    directory: Path
    image: str
    """Our own, for both programs."""
    prometheus_image: str
    exporter_image: str
    """node_exporter's: it serves the generator's metrics file."""
    grafana_image: str
    kubectl_image: str
    """For the CronJob of Prometheus Operator users."""
    grafana: bool
    """Run Grafana too; compose only."""
    operator: bool
    """Write resources for the Prometheus Operator too; Kubernetes only."""
    every: str
    """A Prometheus duration: how often the generator looks."""
    credentials_file: Path | None
    """None: the metadata server, or workload identity."""
    google_service_account: str | None
    """None: ``runscrape@PROJECT.iam.gserviceaccount.com`` of the first project."""
    namespace: str
    """Of the Kubernetes objects."""
    program_dir: str
    """Of the systemd units: the folder with both commands."""
    operator_label: tuple[str, ...]
    """``key=value`` that the user's own Prometheus selects objects by."""
    retention: str
    retention_size: str | None
    """As Prometheus writes sizes; None: by the volume's."""
    volume_size: str
    storage_class: str | None
    alertmanager: tuple[str, ...]
    """``host:port`` each."""
    external_label: tuple[str, ...]
    """``name=value`` each, of Prometheus."""
    object_label: tuple[str, ...]
    """``key=value`` each, of Kubernetes."""
    ingress_namespace: tuple[str, ...]
    image_pull_secret: tuple[str, ...]
    user: int
    group: int
    """Who the compose containers run as: they read the secret and write the state folder."""
    remembered: Mapping[str, object]
    """What was given now or on an earlier run, by option: a later run need not say it again."""

    @property
    def places(self) -> PlatformPlaces:
        """Where things are on the platform."""
        return PLACES[self.platform]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformPlaces:
    """Where the programs find each other, as they themselves see it."""

    proxy: str
    """``host:port``, as Prometheus reaches it."""
    prometheus: str
    exporter: str
    proxy_secret: str
    """The client secret's file, as the proxy sees it."""
    prometheus_secret: str
    inventory: str = f"{STATE}/inventory.json"
    bundle_config: str
    """The folder of the bundle that becomes ``/etc/runscrape``."""
    bundle_state: str
    """The folder of the bundle that becomes ``/var/lib/runscrape``, or shows what will be there."""
    bundle_secret: str
    """The client secret in the bundle."""

    @property
    def token_url(self) -> str:
        """What the rendered jobs ask for tokens."""
        return f"http://{self.proxy}/token"

    @property
    def reload_url(self) -> str:
        """What the generator posts to after a change."""
        return f"http://{self.prometheus}/-/reload"


PLACES: Mapping[Platform, PlatformPlaces] = {
    Platform.COMPOSE: PlatformPlaces(
        proxy="proxy:7777",
        prometheus="prometheus:9090",
        exporter="metrics:9101",
        proxy_secret="/run/secrets/runscrape/client-secret",
        prometheus_secret="/run/secrets/runscrape/client-secret",
        bundle_config="config",
        bundle_state="state",
        bundle_secret="secrets/client-secret",
    ),
    Platform.KUBERNETES: PlatformPlaces(
        proxy="127.0.0.1:7777",
        prometheus="127.0.0.1:9090",
        exporter="127.0.0.1:9101",
        proxy_secret="/run/secrets/runscrape/client-secret",
        prometheus_secret="/run/secrets/runscrape/client-secret",
        # On the volume that outlives the pod: a pod that starts while Google is down knows it all.
        inventory="/var/lib/inventory/inventory.json",
        bundle_config="config",
        bundle_state="state",
        bundle_secret="secrets/client-secret",
    ),
    Platform.SYSTEMD: PlatformPlaces(
        proxy="127.0.0.1:7777",
        prometheus="127.0.0.1:9090",
        exporter="127.0.0.1:9101",
        # systemd.exec(5), LoadCredential=: %d, and /run/credentials/UNIT from version 250 on.
        proxy_secret="%d/client-secret",
        # Prometheus' own unit is left alone, so it reads the file, as a member of its group.
        prometheus_secret=f"{CONFIG}/client-secret",
        bundle_config="root/etc/runscrape",
        bundle_state="root/var/lib/runscrape",
        bundle_secret="root/etc/runscrape/client-secret",
    ),
}
