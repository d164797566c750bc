"""The processes of a bundle: what starts each, and what asks each whether it is well."""

from __future__ import annotations

from dataclasses import dataclass

from runscrape_generator.bootstrap.options import Choices
from runscrape_generator.bootstrap.platforms import CONFIG, PLACES, STATE, Platform
from runscrape_generator.config import releases
from runscrape_generator.config.settings import AUTO, Mode, Settings

METRICS = f"{STATE}/metrics"
JOBS = "jobs/cloudrun.yml"
"""Below the state: what scrape_config_files names under systemd."""
RELOAD = f"{STATE}/reload"
"""The file that a unit watches under systemd, to reload Prometheus as root."""
DEBIANS_CONFIG = "/etc/prometheus/prometheus.yml"
"""Debian's Prometheus' own configuration."""
EXPORTER = "/bin/node_exporter"
"""In node_exporter's image."""
DEBIAN_EXPORTER = "/usr/bin/prometheus-node-exporter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """One argument list for each process."""

    proxy: tuple[str, ...]
    prometheus: tuple[str, ...]
    """Without the program, which is the image's entry point; under systemd it is not ours."""
    exporter: tuple[str, ...]
    first: tuple[tuple[str, ...], ...]
    """What makes the files, in this order."""
    again: tuple[tuple[str, ...], ...]
    """The same with a reload after a change: what the timer runs, and people after an edit."""
    generator: tuple[str, ...]
    """The same with ``--watch``: what keeps the files up to date."""
    operator: tuple[str, ...]
    """What writes the resources for the Prometheus Operator."""
    operator_proxy: tuple[str, ...]
    """The proxy in the pod of the operator's Prometheus."""


def keeps_a_block(choices: Choices, settings: Settings) -> bool:
    """Whether the jobs are kept in the distribution's own prometheus.yml, in a block.

    Before 2.43 Prometheus cannot read them from a file of their own (scrape_config_files).
    """
    version = settings.prometheus_version
    is_old = version != AUTO and releases.release(version) < (2, 43)
    return choices.platform is Platform.SYSTEMD and is_old


def commands(choices: Choices, settings: Settings) -> Commands:
    """Give the argument list of every process of the platform."""
    once = _once(choices, settings)
    return Commands(
        proxy=_proxy(choices, settings.mode),
        prometheus=_prometheus(choices),
        exporter=_exporter(choices),
        first=once,
        again=_again(choices, once),
        generator=(*_again(choices, once)[-1], "--watch", choices.every),
        operator=(*once[0][:-1], f"{STATE}/jobs/scrapeconfigs.yaml"),
        operator_proxy=_operator_proxy(),
    )


def _program(choices: Choices, name: str) -> str:
    if choices.platform is Platform.SYSTEMD:
        return f"{choices.program_dir}/{name}"
    return name


def _once(choices: Choices, settings: Settings) -> tuple[tuple[str, ...], ...]:
    runscrape, config = _program(choices, "runscrape"), ("--config", f"{CONFIG}/runscrape.yaml")
    written = ("--output", f"{STATE}/{output(choices)}")
    if keeps_a_block(choices, settings):
        written = ("--into", DEBIANS_CONFIG)
    generate = (runscrape, "generate", *config, *written)
    targets = (runscrape, "targets", *config, "--output", f"{STATE}/targets.json")
    return (generate, targets) if settings.mode is Mode.GATEWAY else (generate,)


def output(choices: Choices) -> str:
    """Name what ``generate`` writes, below the state: a whole configuration, or jobs for one."""
    return JOBS if choices.platform is Platform.SYSTEMD else "prometheus.yml"


def _again(choices: Choices, once: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """Add the reload; Prometheus reads targets again by itself.

    Under systemd a unit of root's does it. Through the gateway there is one job that never
    changes, so it is the targets, which come last, that are kept.
    """
    generate, *targets = once
    if choices.platform is Platform.SYSTEMD:
        return ((*generate, "--reload-command", f"touch {RELOAD}"), *targets)
    return ((*generate, "--reload", PLACES[choices.platform].reload_url), *targets)


def _proxy(choices: Choices, mode: Mode) -> tuple[str, ...]:
    places = PLACES[choices.platform]
    listen = {
        Platform.COMPOSE: ("--listen", "0.0.0.0:7777", "--allowed-host", "proxy"),
        Platform.KUBERNETES: ("--listen", "127.0.0.1:7777"),
        Platform.SYSTEMD: (),  # the socket unit's
    }[choices.platform]
    return (
        _program(choices, "runscrape-proxy"),
        *listen,
        *("--inventory", places.inventory),
        *("--client-secret-file", places.proxy_secret),
        "--prewarm",
        *(("--gateway",) if mode is Mode.GATEWAY else ()),
    )


def _operator_proxy() -> tuple[str, ...]:
    """Name what the CronJob keeps in a ConfigMap, and the key that the ScrapeConfigs refer to."""
    return (
        *("runscrape-proxy", "--listen", "127.0.0.1:7777"),
        *("--inventory", "/var/lib/inventory/inventory.json"),
        *("--client-secret-file", "/run/secrets/runscrape/client_secret"),
    )


def _prometheus(choices: Choices) -> tuple[str, ...]:
    return (
        f"--config.file={STATE}/prometheus.yml",
        "--storage.tsdb.path=/prometheus",
        "--web.listen-address=0.0.0.0:9090",
        "--web.enable-lifecycle",
        "--enable-feature=extra-scrape-metrics",
        f"--storage.tsdb.retention.time={choices.retention}",
        f"--storage.tsdb.retention.size={retention_size(choices)}",
    )


def retention_size(choices: Choices) -> str:
    """Give the size asked for, or four fifths of the volume: the rest is for the write-ahead log.

    Prometheus counts as Kubernetes does, by 1024, and writes GB for Gi.
    """
    if choices.retention_size:
        return choices.retention_size
    number, unit = int(choices.volume_size[:-2]), choices.volume_size[-2]
    if number < 10 and unit != "M":  # noqa: PLR2004 - a fifth of 1 would be lost by rounding
        number, unit = number * 1024, {"T": "G", "G": "M"}[unit]
    return f"{max(1, number * 4 // 5)}{unit}B"


def _exporter(choices: Choices) -> tuple[str, ...]:
    program = DEBIAN_EXPORTER if choices.platform is Platform.SYSTEMD else EXPORTER
    listen = "0.0.0.0:9101" if choices.platform is Platform.COMPOSE else "127.0.0.1:9101"
    return (
        program,
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={METRICS}",
        f"--web.listen-address={listen}",
        "--web.disable-exporter-metrics",
    )


PROXY_HEALTH = (
    "python",
    "-c",
    (
        "import urllib.request as r; r.build_opener(r.ProxyHandler({}))"
        ".open('http://127.0.0.1:7777/-/healthy', timeout=5)"
    ),
)
"""Our image has no other client than Python; a proxy of the environment is passed by."""


def generator_health(seconds: int) -> tuple[str, ...]:
    """Ask whether it has run in the last so many seconds: each run writes the metrics file."""
    file = f"{METRICS}/runscrape.prom"
    look = f"time.time() - os.stat('{file}').st_mtime > {seconds}"
    return ("python", "-c", f"import os, sys, time; sys.exit({look})")


def prometheus_health(image: str) -> tuple[str, ...]:
    """Ask Prometheus with what its image has: BusyBox, or in the distroless one promtool alone."""
    if "distroless" in image:
        return ("/bin/promtool", "check", "ready", "--url=http://127.0.0.1:9090")
    return ("wget", "--quiet", "--output-document=/dev/null", "http://127.0.0.1:9090/-/ready")
