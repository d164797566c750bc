"""What a running Prometheus sees: its targets, its configuration, its version.

https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from runscrape_generator.addresses import without_login, without_secrets
from runscrape_generator.cloudrun.network import CA_VARIABLES, Network
from runscrape_generator.config import durations
from runscrape_generator.doctor.evidence import Failed, Seen
from runscrape_generator.doctor.http.connection import is_url
from runscrape_generator.doctor.http.exchange import Request, exchange
from runscrape_generator.doctor.targets import Credentials, Target, Transport
from runscrape_generator.errors import ConfigError
from runscrape_generator.publish.server import OWN_CA
from runscrape_generator.render.yaml import from_yaml
from runscrape_generator.text import from_json, printable, shortened, show

SECONDS = 30.0
"""For one question: the targets of a thousand jobs take a while."""
_UNAUTHORIZED = {401, 403}
_LOGIN = "set reload_user and reload_password_file, which are for this, too"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """Answers of one server, at one moment."""

    url: str
    now: float
    """When it was asked, in seconds since 1970."""
    version: tuple[int, int] | None = None
    targets: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    """Active targets by job and URL."""
    jobs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The entries of ``scrape_configs`` that are in force, by name."""
    config_file: str = ""
    refused: bool = False
    """Whether it refused its configuration when it was last told to reload."""

    def seen(self, target: Target, config: Path | None) -> Seen | None:
        """Say what it sees of a target; ``config`` is the file that doctor was given."""
        found = self.targets.get((target.job, _same(target.first_url)))
        if found is None:
            other_file = self._other_file(config)
            return Seen(loaded=False, other_file=other_file, refused=self.refused)
        last = _timestamp(str(found.get("lastScrape", "")))
        return Seen(
            loaded=True,
            health=str(found.get("health", "")),
            last_error=printable(shortened(without_secrets(str(found.get("lastError") or "")))),
            age=self.now - last if last else None,
            other_job=self._other_job(target) or _other_timeout(found, target, config),
            refused=self.refused,
        )

    def _other_file(self, config: Path | None) -> str:
        """Name the file that it reads, where that is sure to be another one."""
        mine = str(config.resolve()) if config is not None else ""
        if not mine or not self.config_file.startswith("/"):
            return ""
        return "" if Path(self.config_file).resolve() == Path(mine) else self.config_file

    def _other_job(self, target: Target) -> str:
        """Say how the job in force asks for another token than the one that was read."""
        job = self.jobs.get(target.job)
        wanted = target.token
        if job is None or wanted is None:
            return ""
        oauth2 = job.get("oauth2") or {}
        params = {str(k): str(v) for k, v in (oauth2.get("endpoint_params") or {}).items()}
        audience = params.get("audience") or params.get("resource") or ""
        for what, theirs, ours in (
            ("audience", audience, wanted.audience),
            ("token_url", str(oauth2.get("token_url") or ""), wanted.url),
            ("client_id", str(oauth2.get("client_id") or ""), wanted.client_id),
        ):
            if theirs != ours:
                said, file = (printable(without_secrets(each)) for each in (theirs, ours))
                return f"its {what} is {said or 'not set'}, in the file {file}"
        return ""


def _other_timeout(found: Mapping[str, Any], target: Target, config: Path | None) -> str:
    """Say how long the job in force lets a scrape take, where the file that was read differs.

    Without a file the ``global`` block, which may say it for all jobs, is not known.
    """
    said = str(found.get("scrapeTimeout") or "")  # Prometheus 2.31 and newer
    if config is None or not said or durations.parse(said) == target.timeout:
        return ""
    return f"its scrape_timeout is {said}, in the file {target.timeout:g}s"


def look(url: str, login: Credentials | None = None) -> Prometheus:
    """Ask a server. Raises ConfigError where it cannot be asked: doctor was told to."""
    base = url.rstrip("/")
    if not is_url(base):
        raise ConfigError(f"--prometheus: {show(without_login(url))} is no http or https URL")
    try:
        headers = {"Accept": "application/json"} | (login.headers() if login else {})
    except OSError as error:
        raise ConfigError(f"--prometheus: {error.filename}: {error.strerror}") from None
    ask = partial(_get, headers, _transport(base))
    data, now = ask(f"{base}/api/v1/targets?state=active")
    active = data.get("activeTargets") or []
    build, _ = ask(f"{base}/api/v1/status/buildinfo")
    config, _ = ask(f"{base}/api/v1/status/config")
    flags, _ = ask(f"{base}/api/v1/status/flags")
    runtime, _ = ask(f"{base}/api/v1/status/runtimeinfo")
    return Prometheus(
        url=base,
        now=now,
        version=_version(str(build.get("version", ""))),
        targets={_key(each): each for each in active},
        jobs=_jobs(str(config.get("yaml", ""))),
        config_file=str(flags.get("config.file", "")),
        refused=runtime.get("reloadConfigSuccess") is False,
    )


def _transport(url: str) -> Transport:
    """Go by the environment's proxy and CA file, as a reload does."""
    network = Network()
    ca_file = Path(network.ca_file) if any(map(os.environ.get, CA_VARIABLES)) else None
    return Transport(ca_file=ca_file, proxy_url=network.proxy(url) or "")


def _get(
    headers: Mapping[str, str], transport: Transport, url: str
) -> tuple[Mapping[str, Any], float]:
    made = exchange(Request(url=url, headers=headers, transport=transport), SECONDS)
    url = without_login(url)
    if made.failure is not None:
        why = f"{made.failure.stage}: {made.failure.reason}"
        own = f" ({OWN_CA})" if made.failure.how is Failed.UNTRUSTED else ""
        raise ConfigError(f"--prometheus: {url}: {why}{own}")
    answer = made.answer
    if answer is None or answer.status != HTTPStatus.OK:
        status = answer.status if answer else 0
        login = f"; {_LOGIN}" if status in _UNAUTHORIZED else ""
        raise ConfigError(f"--prometheus: {url} answers {status}{login}")
    try:
        data = from_json(answer.body)["data"]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"--prometheus: {url} is no API of Prometheus") from None
    if not isinstance(data, dict):
        raise ConfigError(f"--prometheus: {url} is no API of Prometheus")
    return data, made.began


def _key(target: Mapping[str, Any]) -> tuple[str, str]:
    job = str(target.get("labels", {}).get("job") or target.get("scrapePool", ""))
    return job, _same(str(target.get("scrapeUrl", "")))


def _same(url: str) -> str:
    """Write a URL in one way: Prometheus 3 adds no port, and neither do people."""
    return re.sub(r"^(https://[^/]*):443(?=/|$)|^(http://[^/]*):80(?=/|$)", r"\1\2", url)


def _jobs(text: str) -> dict[str, Mapping[str, Any]]:
    content = next(iter(from_yaml(text, as_written=True)), None)
    entries = content.get("scrape_configs") if isinstance(content, dict) else None
    return {str(job.get("job_name")): job for job in entries or [] if isinstance(job, dict)}


def _version(text: str) -> tuple[int, int] | None:
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def _timestamp(text: str) -> float | None:
    """Read RFC 3339; None for Go's zero time, which means never."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.timestamp() if found.year > 1 else None
