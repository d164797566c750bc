"""The real values that remedies name: project, service, identity, our own command lines."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from runscrape_generator.addresses import without_login
from runscrape_generator.doctor.evidence import Evidence
from runscrape_generator.doctor.findings import Value, Values, is_known
from runscrape_generator.model import Service
from runscrape_generator.text import printable

WITH_NUMBER = re.compile(r"(?P<name>.+)-(?P<number>\d{6,})\.(?P<region>[a-z0-9-]+)\.run\.app")
"""``NAME-PROJECTNUMBER.REGION.run.app``: the other URL of every service."""
_LABEL_VALUE = "abcdefghijklmnopqrstuvwxyz0123456789_-"
"""What a label of a Cloud Run service may hold."""
USUAL_MAXIMUM = 100
"""Instances, where a service does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """How the programs of this set-up are called, as far as is known."""

    start: tuple[str, ...] = ()
    """The proxy's command."""
    generate: tuple[str, ...] = ()
    """What writes the configuration again."""
    targets: tuple[str, ...] = ()
    """What writes the target file again."""
    reload: tuple[str, ...] = ()
    """What has Prometheus read its configuration."""
    config_file: str = ""
    """The configuration that doctor was given."""


def values(evidence: Evidence, programs: Programs) -> Values:
    """Give everything that is known of a target and its set-up, by placeholder."""
    target, service = evidence.target, evidence.service
    project, region, name = target.place
    audience = target.token.audience if target.token else ""
    return {
        **_on_service(project, region, name),
        "project": project,
        "region": region,
        "service": name,
        "host": target.host,
        "path": target.path,
        "job": target.job,
        "audience": audience,
        "own_audience": _own_audience(audience),
        "token_url": without_login(target.token.url) if target.token else "",
        "proxy_host": urlsplit(target.at_proxy).hostname or "",
        "uri": service.uri if service else "",
        "number": project_number(service),
        "one_instance": ("--scaling" if _by_hand(service) else "--max-instances", "1"),
        "start": programs.start,
        "generate": programs.generate,
        "targets": programs.targets,
        "reload": programs.reload,
        "config_file": programs.config_file,
        "identity": identity(evidence),
        "member": member(identity(evidence)),
        "working_path": "",
    }


def _on_service(project: str, region: str, name: str) -> dict[str, Value]:
    """Give the beginnings of gcloud's commands on a service; none where it is not known whole."""
    if not all(map(is_known, (project, region, name))):
        return {}
    place = ("--project", project, "--region", region)
    run = ("gcloud", "run", "services")
    log = " ".join(
        f"resource.{key}={json.dumps(value)}"  # a value in quotes cannot end its comparison
        for key, value in (
            ("type", "cloud_run_revision"),
            ("labels.service_name", name),
            ("labels.location", region),
        )
    )
    return {
        "update": (*run, "update", name, *place),
        "describe": (*run, "describe", name, *place),
        "bind": (*run, "add-iam-policy-binding", name, *place),
        "policy": (*run, "get-iam-policy", name, *place),
        "logs": (
            *("gcloud", "logging", "read", "--project", project),
            *("--freshness", "1h", "--limit", "20", log),
        ),
    }


def _by_hand(service: Service | None) -> bool:
    return service is not None and service.manual_instances is not None


def _own_audience(audience: str) -> str:
    """Give an audience that may be added to a service's custom ones, else nothing.

    A service that took another's URL would take tokens made for that one, and ``gcloud`` takes
    what has a comma or begins with a caret for a list (``gcloud topic escaping``).
    """
    another = (urlsplit(audience).hostname or "").endswith((".run.app", ".cloudfunctions.net"))
    return "" if another or "," in audience or audience.startswith("^") else audience


def identity(evidence: Evidence) -> str:
    """Whose token it was; empty while nobody knows."""
    claims = evidence.token.claims if evidence.token else None
    return claims.email if claims else ""


def member(email: str) -> str:
    """Write an identity as IAM does."""
    if not email:
        return ""
    kind = "serviceAccount" if email.endswith(".gserviceaccount.com") else "user"
    return f"{kind}:{email}"


def project_number(service: Service | None) -> str:
    """Take the project's number out of the service's other URL; empty where it has none."""
    for url in service.urls if service is not None else ():
        if match := WITH_NUMBER.fullmatch(urlsplit(url).hostname or ""):
            return match["number"]
    return ""


def path_values(path: str, otherwise: str = "") -> dict[str, Value]:
    """Name a path that would work: in words, and as a label's value where a label can hold it.

    ``otherwise`` is said where nobody knows one.
    """
    bare = path.removeprefix("/")
    fits = bare and not set(bare) - set(_LABEL_VALUE)
    return {
        "working_path": f" ({printable(path)} works)" if path else otherwise,
        "path_label": bare if fits else "",
    }


def fitting_timeout(seconds: float) -> str:
    """Give a scrape timeout that such an answer fits into, as Prometheus writes it."""
    return f"{math.ceil(seconds * 2)}s"


def more_instances(maximum: int) -> str:
    """Double the maximum of instances."""
    return str((maximum or USUAL_MAXIMUM) * 2)
