"""Where things are on each platform.

On all of them the programs see the same two folders: ``/etc/runscrape`` (what people edit) and
``/var/lib/runscrape`` (what the generator writes). What differs is how they reach each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

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
