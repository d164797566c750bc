"""What became of each target: asked of a real Prometheus, or found out by a small client."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

import requests
import yaml

from .processes import get_json

CLOUD_RUN_LABEL = "service_name"


@dataclass(frozen=True, slots=True)
class Scrape:
    """The newest scrape of one target."""

    up: bool
    samples: int
    error: str


Key = tuple[str, str]
"""A target: its job's name, and the metrics path."""


class Scraper(Protocol):
    """Who scrapes in this demo."""

    def scrapes(self) -> dict[Key, Scrape]:
        """Give the newest scrape of every Cloud Run target."""
        ...


class Prometheus:
    """A real one, asked through its HTTP API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def scrapes(self) -> dict[Key, Scrape]:
        """As Prometheus' targets page has it."""
        targets = get_json(f"{self.url}/api/v1/targets?state=active")["data"]["activeTargets"]
        samples = self._samples()
        return {
            (t["labels"]["job"], _path(t["scrapeUrl"])): Scrape(
                up=t["health"] == "up",
                samples=samples.get((t["labels"]["job"], t["labels"]["instance"]), 0),
                error=t["lastError"],
            )
            for t in targets
            if CLOUD_RUN_LABEL in t["labels"] and t["health"] != "unknown"
        }

    def _samples(self) -> dict[tuple[str, str], int]:
        query = urllib.parse.urlencode({"query": "scrape_samples_scraped"})
        result = get_json(f"{self.url}/api/v1/query?{query}")["data"]["result"]
        return {
            (one["metric"]["job"], one["metric"]["instance"]): int(float(one["value"][1]))
            for one in result
        }


class SmallClient:
    """Does what Prometheus would do with each job of a prometheus.yml, once for each call."""

    def __init__(self, config: Path) -> None:
        self.config = config

    def scrapes(self) -> dict[Key, Scrape]:
        """Scrape every Cloud Run target of the file as it is now."""
        jobs = yaml.safe_load(self.config.read_text("utf-8"))["scrape_configs"]
        found = {}
        for job in jobs:
            for group in job.get("static_configs", ()):
                if CLOUD_RUN_LABEL in group.get("labels", {}):
                    for target in group["targets"]:
                        found[job["job_name"], job["metrics_path"]] = _scrape(job, target)
        return found


def _scrape(job: Mapping[str, Any], target: str) -> Scrape:
    """Token, then scrape: RFC 6749, section 4.4.2, then RFC 6750, section 2.1."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(
                f"{job['scheme']}://{target}{job['metrics_path']}",
                headers=_authorization(session, job),
                proxies={"https": job["proxy_url"]} if "proxy_url" in job else None,
                verify=job.get("tls_config", {}).get("ca_file", True),
                allow_redirects=False,
                timeout=10,
            )
    except requests.RequestException as error:
        return Scrape(up=False, samples=0, error=str(error))
    if answer.status_code != HTTPStatus.OK:
        reason = f"server returned HTTP status {answer.status_code} {answer.reason}"
        return Scrape(up=False, samples=0, error=reason)
    samples = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
    return Scrape(up=True, samples=len(samples), error="")


def _authorization(session: requests.Session, job: Mapping[str, Any]) -> dict[str, str]:
    if "oauth2" not in job:
        return {}
    return {"Authorization": f"Bearer {_token(session, job['oauth2'])}"}


def _token(session: requests.Session, oauth2: Mapping[str, Any]) -> str:
    client = ":".join(
        urllib.parse.quote_plus(part) for part in (oauth2["client_id"], oauth2["client_secret"])
    )
    answer = session.post(
        oauth2["token_url"],
        data={"grant_type": "client_credentials", **oauth2["endpoint_params"]},
        headers={"Authorization": f"Basic {base64.b64encode(client.encode()).decode()}"},
        timeout=10,
    )
    if answer.status_code != HTTPStatus.OK:
        raise requests.RequestException(f"cannot fetch token: {answer.text.strip()}")
    return str(answer.json()["access_token"])


def _path(url: str) -> str:
    return urllib.parse.urlsplit(url).path
