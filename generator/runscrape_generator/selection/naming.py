"""Names of jobs: a pure function of one service and the settings.

So none is ever renamed because another service came or went: a renamed job is a new set of series.

Any text is a job name to Prometheus and vmagent. Where two services end up with one name, or with
names that are the same to a reader, :mod:`runscrape_generator.selection.clashes` decides.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

from runscrape_generator.config.settings import Settings
from runscrape_generator.model import Service

_PLACEHOLDER = re.compile(r"\{(project|region|service)\}")
_LABEL_PLACEHOLDER = re.compile(r"\{(project|region|service|label\.[^{}]+)\}")

_KUBERNETES_NAME_LIMIT = 253
"""RFC 1123 subdomain, as Kubernetes takes it for the names of most resources."""


def fill(template: str, service: Service) -> str:
    """*template* with ``{project}``, ``{region}`` and ``{service}`` filled in; the rest stays."""
    values = {"project": service.project, "region": service.region, "service": service.name}
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


def placeholders(template: str) -> set[str]:
    """Name the placeholders that *template* has."""
    return set(_PLACEHOLDER.findall(template))


def fill_label(template: str, service: Service) -> str:
    """*template* of a label's value filled in: as for jobs, and ``{label.KEY}``.

    A Cloud Run label that the service does not have is empty text, which to Prometheus is no label.
    """
    values = {"project": service.project, "region": service.region, "service": service.name}
    values |= {f"label.{key}": value for key, value in service.labels.items()}
    return _LABEL_PLACEHOLDER.sub(lambda match: values.get(match[1], ""), template)


def prefix(template: str) -> str:
    """What stands before the first placeholder: ``cloudrun/`` of the default job name."""
    return _PLACEHOLDER.split(template, maxsplit=1)[0]


def shared(audience: str, path: str, differing: Mapping[str, object], settings: Settings) -> str:
    """The job that services with one custom audience share, one for each set of job settings.

    ``cloudrun/AUDIENCE`` (without ``https://``), then the path where it is not ``--metrics-path``,
    then eight hex digits of a hash over *differing*: the settings, if any, that are not the same
    for all services.
    """
    start = prefix(settings.job_name)
    separator = "/" if start[-1:].isalnum() else ""
    name = start + separator + audience.removeprefix("https://")
    return variant(name, "" if path == settings.metrics_path else path, differing)


def variant(name: str, path: str, differing: Mapping[str, object]) -> str:
    """*name* for another *path*, and for *differing* settings if there are any."""
    if not differing:
        return name + path
    return f"{name}{path}-{digest_of(json.dumps(differing, sort_keys=True, default=str))}"


def gateway(settings: Settings) -> str:
    """The name of the one job that scrapes everything through the gateway: ``cloudrun``."""
    return prefix(settings.job_name).rstrip("/-_.: ") or "cloudrun"


def kubernetes(job: str) -> str:
    """A resource name for *job*: what RFC 1123 allows of it, and a hash that keeps it apart."""
    digest = digest_of(job)
    room = _KUBERNETES_NAME_LIMIT - len(digest) - 1
    readable = re.sub(r"[^a-z0-9]+", "-", job.lower()).strip("-")[:room].rstrip("-")
    return f"{readable}-{digest}" if readable else digest


def digest_of(text: str) -> str:
    """Give eight hexadecimal digits that stand for the text in a name."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
