"""The Compose bundle's containers once more, as Podman's quadlets (podman-systemd.unit(5))."""

from __future__ import annotations

from dataclasses import dataclass

from runscrape_generator.bootstrap.options import Choices
from runscrape_generator.bootstrap.platforms import CONFIG, PLACES, STATE, Platform
from runscrape_generator.bootstrap.processes import (
    PROXY_HEALTH,
    Commands,
    prometheus_health,
)

_GOOGLE = "/run/secrets/google-credentials.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quadlet:
    """One ``.container`` file."""

    name: str
    alias: str
    """Its host name on the network."""
    description: str
    image: str
    command: tuple[str, ...]
    volumes: tuple[str, ...]
    after: tuple[str, ...] = ()
    entrypoint: str = ""
    publish: str = ""
    environment_files: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    health: tuple[str, ...] = ()
    """What asks whether it is well; an image in the OCI format has no HEALTHCHECK of its own."""
    memory: str = "512m"
    pids: int = 256


def quadlets(choices: Choices, commands: Commands, fresh: tuple[str, ...]) -> tuple[Quadlet, ...]:
    """Give each container of the bundle; paths are absolute, as quadlets want them.

    ``fresh`` asks whether the generator has run lately.
    """
    base = choices.directory.absolute()
    config = f"{base}/config:{CONFIG}:ro,z"
    state, secret = f"{base}/state:{STATE}:ro,z", PLACES[Platform.COMPOSE].proxy_secret
    client = f"{base}/secrets/client-secret:{secret}:ro,z"
    file = choices.credentials_file
    google = (f"{file}:{_GOOGLE}:ro,z",) if file else ()
    environment = (f"GOOGLE_APPLICATION_CREDENTIALS={_GOOGLE}",) if file else ()
    return (
        Quadlet(
            name="runscrape-proxy",
            alias="proxy",
            description="Tokens for Prometheus' scrapes of Cloud Run services",
            image=choices.image,
            command=commands.proxy,
            volumes=(config, state, client, *google),
            environment=environment,
            environment_files=(f"{base}/proxy.env",),
            health=PROXY_HEALTH,
            pids=4096,
        ),
        Quadlet(
            name="runscrape-prometheus",
            alias="prometheus",
            description="Prometheus",
            image=choices.prometheus_image,
            command=commands.prometheus,
            volumes=(config, state, client, f"{base}/data/prometheus:/prometheus:z"),
            after=("runscrape-proxy",),
            publish="127.0.0.1:9090:9090",
            health=prometheus_health(choices.prometheus_image),
            memory="2g",
            pids=512,
        ),
        Quadlet(
            name="runscrape-generator",
            alias="generator",
            description="Scrape jobs for Cloud Run services",
            image=choices.image,
            command=commands.generator,
            volumes=(config, f"{base}/state:{STATE}:z", *google),
            environment=environment,
            after=("runscrape-prometheus", "runscrape-metrics"),
            health=fresh,
        ),
        Quadlet(
            name="runscrape-metrics",
            alias="metrics",
            description="Metrics of the generator of scrape jobs",
            image=choices.exporter_image,
            entrypoint=commands.exporter[0],
            command=commands.exporter[1:],
            volumes=(state,),
            memory="64m",
            pids=64,
        ),
    )
