"""The values of the placeholders in ``causes.yaml``: those of a target, and of the whole set-up.

What only the finder of a fault knows comes with the fault.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from runscrape_generator.addresses import is_loopback, without_secrets
from runscrape_generator.config.settings import Mode, Settings
from runscrape_generator.doctor.causes import Value, Values, is_known
from runscrape_generator.doctor.evidence import Evidence
from runscrape_generator.doctor.http.connection import is_url
from runscrape_generator.doctor.targets import Target
from runscrape_generator.model import Service
from runscrape_generator.text import printable

WITH_NUMBER = re.compile(r"(?P<name>.+)-(?P<number>\d{6,})\.(?P<region>[a-z0-9-]+)\.run\.app")
"""``NAME-PROJECTNUMBER.REGION.run.app``: the other URL of every service."""
_LABEL_VALUE = "abcdefghijklmnopqrstuvwxyz0123456789_-"
"""What a label of a Cloud Run service may hold."""
USUAL_MAXIMUM = 100
"""Instances, where a service does not say."""
_USUAL_LISTEN = "127.0.0.1:7777"
"""Where the proxy listens unless it is told otherwise."""


def of_setup(
    settings: Settings,
    settings_file: str,
    targets: tuple[Target, ...],
    *,
    prometheus: str,
    prometheus_config: Path | None,
) -> Values:
    """Give our own command lines, as far as the settings and the targets tell.

    ``prometheus`` and ``prometheus_config`` are the URL and the file that doctor was given.
    """
    return {
        "start": tuple(_start(settings, targets)),
        "generate": _generate(settings, settings_file),
        "again": _again(settings, settings_file),
        "targets": ("runscrape", "targets", *_settings_of(settings, settings_file)),
        "reload": _reload(settings, prometheus),
        "config_file": str(prometheus_config or _jobs_file(settings) or ""),
    }


def _generate(settings: Settings, settings_file: str) -> tuple[str, ...]:
    """Give what writes the configuration again; nothing where it is not known where to."""
    file = _jobs_file(settings)
    if file is None:
        return ()
    words = ("runscrape", "generate", *_settings_of(settings, settings_file))
    place = "--into" if settings.into else "--output"
    return words if settings_file else (*words, place, str(file))


def _again(settings: Settings, settings_file: str) -> tuple[str, ...]:
    """Give what writes again what services are scraped by: targets, where all share a job."""
    if _is_targets(settings):
        words = ("runscrape", "targets", *_settings_of(settings, settings_file))
        return words if settings_file else (*words, "--output", str(settings.output))
    return () if settings.mode is Mode.GATEWAY else _generate(settings, settings_file)


def _jobs_file(settings: Settings) -> Path | None:
    """Give the file that has the jobs, where the settings tell it."""
    return None if _is_targets(settings) else settings.output_path


def _is_targets(settings: Settings) -> bool:
    """Whether the output is for ``runscrape targets``; ``generate`` would refuse it."""
    return settings.output is not None and settings.output.suffix == ".json"


def _settings_of(settings: Settings, settings_file: str) -> Iterator[str]:
    """Give the options that have a run find the same services."""
    if settings_file:
        yield from ("--config", settings_file)
        return
    for name, values in (
        ("--project", settings.projects),
        ("--organization", settings.organizations),
        ("--folder", settings.folders),
    ):
        for value in values:
            yield from (name, value)


def _start(settings: Settings, targets: tuple[Target, ...]) -> Iterator[str]:
    """Give the proxy's command, for where the targets look for it."""
    yield "runscrape-proxy"
    listen = _listen(next(filter(None, (target.at_proxy for target in targets)), ""))
    if listen not in {"", _USUAL_LISTEN}:
        yield from ("--listen", listen)
    if any(target.gateway for target in targets):
        yield "--gateway"
    if settings.inventory_path is not None:
        yield from ("--inventory", str(settings.inventory_path))
    if secret := next(filter(None, (target.secret_file for target in targets)), None):
        yield from ("--client-secret-file", str(secret))


def _listen(url: str) -> str:
    """Give the address to listen at for a URL of the proxy; nothing for another machine's."""
    parts = _parts(url)
    host = parts.hostname or ""
    if not is_loopback(host):
        return ""
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _parts(url: str) -> SplitResult:
    """Take a URL apart; one that is none has no parts."""
    return urlsplit(url if is_url(url) else "")


def _reload(settings: Settings, prometheus: str) -> tuple[str, ...]:
    """Give what has Prometheus read its configuration; curl asks for a password."""
    if settings.reload_command:
        return tuple(shlex.split(settings.reload_command))
    url = settings.reload or (f"{prometheus.rstrip('/')}/-/reload" if prometheus else "")
    if not url:
        return ()
    user = unquote(_parts(url).username or "") or settings.reload_user
    login = ("--user", user) if user else ()
    return ("curl", "--fail", *login, "-X", "POST", without_secrets(url))


def of_target(evidence: Evidence) -> Values:
    """Give everything that is known of a target."""
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
        "token_url": without_secrets(target.token.url) if target.token else "",
        "proxy_host": _parts(target.at_proxy).hostname or "",
        "uri": service.uri if service else "",
        "number": project_number(service),
        "one_instance": ("--scaling" if _by_hand(service) else "--max-instances", "1"),
        "more_instances": _more_instances(service),
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
    """Whose token it was; empty if that is not known."""
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

    ``otherwise`` is said where none is known.
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


def _more_instances(service: Service | None) -> str:
    """Double the maximum of instances."""
    return str((service.max_instances or USUAL_MAXIMUM) * 2) if service is not None else ""
