"""As much of a Kubernetes API server as ``kubectl apply`` asks for, with the bundle's own RBAC.

It stores objects, applies server-side, merges patches and lists by label, for the kinds of
:data:`KINDS`. Each request has to be allowed by a Role, as far as that says (verb, resource, name).
Nothing is validated: schemas are held by other tests.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.kit import fast_yaml as yaml

KINDS: Mapping[str, Mapping[str, str]] = {
    "v1": {
        "configmaps": "ConfigMap",
        "namespaces": "Namespace",
        "secrets": "Secret",
        "serviceaccounts": "ServiceAccount",
        "services": "Service",
    },
    "apps/v1": {"statefulsets": "StatefulSet"},
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy"},
    "batch/v1": {"cronjobs": "CronJob", "jobs": "Job"},
    "rbac.authorization.k8s.io/v1": {"roles": "Role", "rolebindings": "RoleBinding"},
    "monitoring.coreos.com/v1": {"prometheuses": "Prometheus", "prometheusrules": "PrometheusRule"},
    "monitoring.coreos.com/v1alpha1": {"scrapeconfigs": "ScrapeConfig"},
}
VERBS = {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete", "PUT": "update"}
Object = dict[str, Any]


class Cluster:
    """The objects, by resource, namespace and name."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.role: Mapping[str, Any] | None = None
        """None: everything is allowed, as to a cluster's administrator."""
        self.refused: list[str] = []

    def names(self, resource: str) -> set[str]:
        return {name for kind, _, name in self.objects if kind == resource}

    def allows(self, verb: str, group: str, resource: str, name: str) -> bool:
        if self.role is None:
            return True
        allowed = any(
            verb in rule["verbs"]
            and group in rule["apiGroups"]
            and resource in rule["resources"]
            and ("resourceNames" not in rule or name in rule["resourceNames"])
            for rule in self.role["rules"]
        )
        if not allowed:
            self.refused.append(f"{verb} {resource} {name}")
        return allowed

    @contextlib.contextmanager
    def serving(self, directory: Path) -> Iterator[Path]:
        """Serve on loopback; gives a kubeconfig for it."""
        cluster = self

        class Handler(_Handler):
            store = cluster

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            config = directory / "kubeconfig"
            address = {"server": f"http://127.0.0.1:{server.server_port}"}
            context = {"cluster": "here", "user": "me"}
            content = {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "here", "cluster": address}],
                "users": [{"name": "me", "user": {}}],
                "contexts": [{"name": "here", "context": context}],
                "current-context": "here",
            }
            config.write_text(yaml.safe_dump(content))
            yield config
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def merged(old: Any, new: Any) -> Any:
    """Merge as RFC 7386 does; server-side apply is near enough to it for maps."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    result = dict(old)
    for key, value in new.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _group(version: str) -> str:
    return version.rpartition("/")[0]


class _Handler(BaseHTTPRequestHandler):
    store: Cluster
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.strip("/")
        if (found := _discovery(path)) is not None:
            self._answer(200, found)
        else:
            self._object("GET")

    def do_POST(self) -> None:
        self._object("POST")

    def do_PATCH(self) -> None:
        self._object("PATCH")

    def do_DELETE(self) -> None:
        self._object("DELETE")

    def _object(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = urlsplit(self.path)
        words = parts.path.strip("/").split("/")
        if "namespaces" not in words:
            self._fail(404, "NotFound", "no such path")
            return
        at = words.index("namespaces")
        group = _group("/".join(words[1:at]))
        if len(words) > at + 2:
            namespace, resource, name = words[at + 1], words[at + 2], "".join(words[at + 3 :])
        else:
            namespace, resource, name = "", "namespaces", "".join(words[at + 1 :])
        given = yaml.safe_load(body) if body else {}
        name = name or (given.get("metadata", {}).get("name", "") if method == "POST" else "")
        verb = "list" if method == "GET" and not name else VERBS[method]
        if not self.store.allows(verb, group, resource, name):
            self._fail(403, "Forbidden", f"may not {verb} {resource} {name}")
            return
        if verb == "list":
            selector = parse_qs(parts.query).get("labelSelector", [""])[0]
            self._list(resource, namespace, selector, "/".join(words[1:at]))
            return
        self._one(method, (resource, namespace, name), given)

    def _list(self, resource: str, namespace: str, selector: str, version: str) -> None:
        wanted = dict(each.split("=", 1) for each in selector.split(",") if each)
        items = [
            item
            for (kind, where, _), item in self.store.objects.items()
            if (kind, where) == (resource, namespace)
            and wanted.items() <= item["metadata"].get("labels", {}).items()
        ]
        kind = KINDS[version][resource] + "List"
        self._answer(200, {"apiVersion": version, "kind": kind, "metadata": {}, "items": items})

    def _one(self, method: str, key: tuple[str, str, str], given: Object) -> None:
        old = self.store.objects.get(key)
        applied = "apply-patch" in self.headers.get("Content-Type", "")
        if old is None and (method == "GET" or (method == "PATCH" and not applied)):
            self._fail(404, "NotFound", f"{key[0]} {key[2]} not found")
            return
        if method == "DELETE":
            self.store.objects.pop(key, None)
            self._answer(200, {"apiVersion": "v1", "kind": "Status", "status": "Success"})
            return
        if method != "GET":
            old = merged(old or {}, given)
            if key[1]:
                old["metadata"]["namespace"] = key[1]
            old["metadata"] |= {"uid": "-".join(key), "resourceVersion": "1"}
            self.store.objects[key] = old
        assert old is not None
        self._answer(201 if method == "POST" else 200, old)

    def _fail(self, code: int, reason: str, message: str) -> None:
        status = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code}
        self._answer(code, {**status, "reason": reason, "message": message})

    def _answer(self, code: int, content: Object) -> None:
        data = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _discovery(path: str) -> Object | None:
    """Answer what kubectl asks first: groups, resources, and what patches may be told."""
    versions = {_path(version): version for version in KINDS}
    fixed: dict[str, Object] = {
        "version": {"major": "1", "minor": "32", "gitVersion": "v1.32.0"},
        "api": {"kind": "APIVersions", "versions": ["v1"]},
        "apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": list(_groups())},
        "openapi/v3": {
            "paths": {each: {"serverRelativeURL": f"/openapi/v3/{each}"} for each in versions}
        },
    }
    if path.startswith("openapi/v3/"):
        return _openapi(versions[path.removeprefix("openapi/v3/")])
    if path in versions:
        resources = list(_resources(versions[path]))
        kind = "APIResourceList"
        return {"kind": kind, "groupVersion": versions[path], "resources": resources}
    return fixed.get(path)


def _path(version: str) -> str:
    return f"apis/{version}" if "/" in version else f"api/{version}"


def _groups() -> Iterator[Object]:
    for group in sorted({_group(version) for version in KINDS} - {""}):
        versions = [
            {"groupVersion": version, "version": version.rpartition("/")[2]}
            for version in KINDS
            if _group(version) == group
        ]
        yield {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _resources(version: str) -> Iterator[Object]:
    for resource, kind in KINDS[version].items():
        yield {
            "name": resource,
            "singularName": kind.lower(),
            "namespaced": resource != "namespaces",
            "kind": kind,
            "verbs": ["create", "delete", "get", "list", "patch", "update"],
        }


def _openapi(version: str) -> Object:
    """Say that each kind's patch takes ``fieldValidation``: then the server does the validating."""
    parameters = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
    paths = {}
    for resource, kind in KINDS[version].items():
        known = {"group": _group(version), "version": version.rpartition("/")[2], "kind": kind}
        patch = {"parameters": parameters, "responses": {}}
        where = "" if resource == "namespaces" else "namespaces/{namespace}/"
        paths[f"/{_path(version)}/{where}{resource}/{{name}}"] = {
            "patch": {**patch, "x-kubernetes-group-version-kind": known}
        }
    return {"openapi": "3.0.0", "info": {"title": "k", "version": "1"}, "paths": paths}
