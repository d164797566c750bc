"""Jobs as resources of the Prometheus Operator: ``ScrapeConfig`` v1alpha1, and their Secret.

The operator reads client id and secret only from Secrets (or a ConfigMap), so one Secret, named
``runscrape``, goes along. It never holds a real secret: with ``--client-secret-file`` the jobs
refer to a second Secret, ``runscrape-client``, which the user makes from that file. The CRD has
no ``followRedirects``. No namespace is set: ``kubectl apply --namespace`` does that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runscrape_generator.config import operator_fields as crd
from runscrape_generator.config.settings import Settings
from runscrape_generator.model import Job
from runscrape_generator.render.scrape_config import UNUSED_SECRET, Data, scrape_configs
from runscrape_generator.selection import naming

SECRET = "runscrape"
CLIENT_SECRET = "runscrape-client"
_ID_KEY = "client_id"
SECRET_KEY = "client_secret"

_LABELS = {"app.kubernetes.io/name": SECRET, "app.kubernetes.io/managed-by": SECRET}


def resources(jobs: Iterable[Job], settings: Settings) -> list[Data]:
    """The Secret, then a ScrapeConfig for each entry of ``scrape_configs``."""
    return [
        secret(settings),
        *(_scrape_config(data, settings) for data in scrape_configs(jobs, settings)),
    ]


def secret(settings: Settings) -> Data:
    """The Secret that every job refers to: the client's id, and a secret that is none."""
    values = {_ID_KEY: settings.client_id}
    if settings.client_secret_file is None:
        values[SECRET_KEY] = UNUSED_SECRET
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "labels": dict(_LABELS)},
        "type": "Opaque",
        "stringData": values,
    }


def _scrape_config(data: Data, settings: Settings) -> Data:
    job = str(data["job_name"])
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "ScrapeConfig",
        "metadata": {"name": naming.kubernetes(job), "labels": dict(_LABELS)},
        "spec": {
            crd.FIELDS[name]: _value(name, value, settings)
            for name, value in data.items()
            if name != "follow_redirects"
        },
    }


def _value(name: str, value: Any, settings: Settings) -> Any:
    if name == "scheme":
        return str(value).upper()
    if name == "oauth2":
        return _oauth2(value, settings)
    if name == "basic_auth":
        return {"username": _id(), "password": _secret_ref(settings)}
    if name in {"file_sd_configs", "http_sd_configs"}:
        return [_discovery(each, settings) for each in value]
    return _renamed(value, crd.PARTS[name]) if name in crd.PARTS else value


def _discovery(value: Mapping[str, Any], settings: Settings) -> Data:
    names = {"refresh_interval": "refreshInterval", "basic_auth": "basicAuth"}
    return {names.get(key, key): _value(key, each, settings) for key, each in value.items()}


def _oauth2(value: Mapping[str, Any], settings: Settings) -> Data:
    ours = {"client_id", "client_secret", "client_secret_file"}
    return {
        "clientId": {"secret": _id()},
        "clientSecret": _secret_ref(settings),
        **{
            crd.OAUTH2[name]: _value(name, each, settings)
            for name, each in value.items()
            if name not in ours
        },
    }


def _id() -> Data:
    return {"name": SECRET, "key": _ID_KEY}


def _secret_ref(settings: Settings) -> Data:
    name = SECRET if settings.client_secret_file is None else CLIENT_SECRET
    return {"name": name, "key": SECRET_KEY}


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {names[name]: each for name, each in value.items()}
    return [_renamed(each, names) for each in value] if isinstance(value, list) else value
