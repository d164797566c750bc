"""With the Prometheus Operator: every command of the bundle, run by the real kubectl."""

from __future__ import annotations

import base64
import copy
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from emulator import Emulator
from tests.bootstrap.cluster import Cluster
from tests.bootstrap.commands import Programs, blocks, execute, shell, with_forks
from tests.bootstrap.conftest import LATER, WORLD, Google
from tests.bootstrap.processes import Plan, Process, eventually, free_port, get, replacer, running

if shutil.which("kubectl") is None:
    pytest.skip("kubectl is not installed", allow_module_level=True)

API, HELLO, SHOP = "us-central1-api", "europe-west1-hello", "us-central1-shop"


@dataclass
class Site:
    """A bundle that was applied to a cluster as its README says, and a Google that may change."""

    bundle: Path
    emulator: Emulator
    cluster: Cluster
    environment: dict[str, str]
    directory: Path
    programs: Programs

    def scrape_configs(self) -> set[str]:
        return {name.rsplit("-", 1)[0] for name in self.cluster.names("scrapeconfigs")}

    def object(self, resource: str, name: str) -> dict[str, Any]:
        (found,) = (
            each
            for (kind, _, called), each in self.cluster.objects.items()
            if kind == resource and called.startswith(name)
        )
        return found

    def mounts(self, name: str) -> dict[str, Path]:
        """Make the folders of one run of the CronJob's pod, ConfigMaps in them as they are now."""
        base = self.directory / name
        shared, tmp = base / "shared", base / "tmp"
        places = {
            "/etc/runscrape": self.volume(base / "config", "runscrape-operator-config"),
            "/var/lib/inventory": self.volume(base / "inventory", "runscrape-inventory"),
            "/var/lib/runscrape": shared,
            "/tmp": tmp,
        }
        for path in (shared, tmp):
            path.mkdir(parents=True)
        return places

    def volume(self, path: Path, name: str) -> Path:
        """Fill a folder as the kubelet does; an optional ConfigMap may be missing."""
        path.mkdir(parents=True)
        if any(each.startswith(name) for each in self.cluster.names("configmaps")):
            for key, text in self.object("configmaps", name)["data"].items():
                (path / key).write_text(text)
        return path

    def run_job(self, name: str) -> int:
        """Run the CronJob's containers one after the other, until one fails; gives its code."""
        pod = self.object("cronjobs", "runscrape")["spec"]["jobTemplate"]["spec"]["template"][
            "spec"
        ]
        places = {path: str(where) for path, where in self.mounts(name).items()}
        (config,) = Path(places["/etc/runscrape"]).glob("runscrape.yaml")
        replace = replacer({key: value for key, value in places.items() if key != "/tmp"})
        config.write_text(replace(config.read_text()))
        for container in (*pod["initContainers"], *pod["containers"]):
            argv = [replace(word) for word in container["command"]]
            own = {each["name"]: places["/tmp"] for each in container.get("env", [])}
            if code := with_forks(argv, self.environment | own, self.programs):
                return code
        return 0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("operator")
    with Emulator(WORLD, directory / "google") as emulator:
        google = Google(emulator, directory / "none")
        bundle = google.write(directory / "b", "--platform", "kubernetes", "--operator")
        cluster = Cluster()
        with cluster.serving(directory) as kubeconfig:
            programs = Programs(directory / "programs", "gcloud", "docker")
            environment = {
                "PATH": programs.path,
                "KUBECONFIG": str(kubeconfig),
                "HOME": str(directory),
                **emulator.env("metadata"),
            }
            *_, commands = blocks(bundle / "README.md")
            for _ in range(2):  # a reader may start over
                shell(commands, bundle, environment)
            assert any("workloadIdentityUser" in call for call in programs.calls("gcloud"))
            cluster.role = site_role = next(
                each for (kind, _, _), each in cluster.objects.items() if kind == "roles"
            )
            assert site_role
            yield Site(bundle, emulator, cluster, environment, directory, programs)


def world(*services: Mapping[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(WORLD)
    changed["projects"]["demo"]["services"] = list(services)
    return changed


SERVICES: list[dict[str, Any]] = WORLD["projects"]["demo"]["services"]


def test_the_secret_ends_without_a_newline(site: Site) -> None:
    """What the operator renders from the Secret is the secret to the byte: it takes nothing off."""
    data = site.object("secrets", "runscrape-client")["data"]
    secret = base64.b64decode(data["client_secret"])
    assert secret == (site.bundle / "secrets/client-secret").read_bytes()
    assert len(secret) >= 43
    assert secret == secret.strip()


def test_the_first_run_waits_for_no_clock(site: Site) -> None:
    """The README's last command starts the CronJob's own pod at once."""
    first = site.object("jobs", "runscrape-first")["spec"]["template"]["spec"]
    cron = site.object("cronjobs", "runscrape")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert first["initContainers"] == cron["initContainers"]
    assert first["containers"] == cron["containers"]


@pytest.fixture(scope="module")
def run_once(site: Site) -> Site:
    """The same after a run of the CronJob, as one service has come and one is gone."""
    assert site.scrape_configs() == {f"cloudrun-demo-{API}", f"cloudrun-demo-{HELLO}", "runscrape"}
    site.emulator.update(world(SERVICES[0], LATER))
    assert site.run_job("first") == 0
    return site


def test_the_cronjob_keeps_the_objects(run_once: Site) -> None:
    """Its commands, by the image's shell and kubectl, with the rights of its Role alone, apply what
    came, prune what is gone, leave the rest alone, and change nothing where the generator refuses.
    """
    site = run_once
    assert site.scrape_configs() == {f"cloudrun-demo-{API}", f"cloudrun-demo-{SHOP}", "runscrape"}
    known = site.object("configmaps", "runscrape-inventory")["data"]["inventory.json"]
    assert {each["name"] for each in services(known)} == {"api", "shop"}
    before = copy.deepcopy(site.cluster.objects)
    site.emulator.update(world())
    assert site.run_job("second") == 5, "all services gone at once: refused by the guard"
    assert site.cluster.objects == before
    site.emulator.update(WORLD)
    assert site.cluster.refused == []


def services(inventory: str) -> list[dict[str, Any]]:
    return [each for scope in json.loads(inventory)["scopes"].values() for each in scope]


def test_the_roles_are_no_wider(site: Site) -> None:
    """The Role lets the CronJob touch ScrapeConfigs, and by name what else it needs."""
    rules = (site.cluster.role or {})["rules"]
    named = {
        resource: rule.get("resourceNames")
        for rule in rules
        for resource in rule["resources"]
        if rule["verbs"] != ["create"]
    }
    assert named == {
        "scrapeconfigs": None,
        "namespaces": ["runscrape"],
        "secrets": ["runscrape"],
        "configmaps": ["runscrape-inventory"],
    }


def test_the_proxy_mints_for_the_inventory_alone(run_once: Site, tmp_path: Path) -> None:
    """The proxy's command, with the Secret and the ConfigMap mounted, serves the inventory's
    audiences to whoever has the secret, and no other `run.app` URL.
    """
    site = run_once
    prometheus = site.object("prometheuses", "runscrape")["spec"]
    (proxy,) = prometheus["containers"]
    secret = tmp_path / "secret"
    secret.mkdir()
    data = site.object("secrets", "runscrape-client")["data"]
    (secret / "client_secret").write_bytes(base64.b64decode(data["client_secret"]))
    places = {
        "/run/secrets/runscrape": str(secret),
        "/var/lib/inventory": str(site.volume(tmp_path / "inventory", "runscrape-inventory")),
        "127.0.0.1:7777": f"127.0.0.1:{free_port()}",
    }
    plan = Plan([Process("proxy", proxy["command"])], places, tmp_path)
    listed = services((tmp_path / "inventory/inventory.json").read_text())
    (audience,) = (each["uri"] for each in listed if each["name"] == "api")
    with running(plan, site.emulator.env("metadata"), tmp_path):
        base = f"http://{places['127.0.0.1:7777']}"
        eventually(lambda: get(f"{base}/-/healthy"), "the proxy answers")
        probe = proxy["startupProbe"]["exec"]["command"]
        execute([replacer(places)(word) for word in probe], tmp_path, site.environment)
        key = (secret / "client_secret").read_text()
        assert token(base, audience, key) == 200
        assert token(base, "https://other-abc.a.run.app", key) == 400
        assert token(base, audience, key + "x") == 401


def token(base: str, audience: str, secret: str) -> int:
    form = {"grant_type": "client_credentials", "client_id": "prometheus", "audience": audience}
    body = urlencode({**form, "client_secret": secret}).encode()
    try:
        with urlopen(Request(f"{base}/token", body), timeout=30) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def test_the_pod_is_applied(google: Google, tmp_path: Path) -> None:
    """Without the operator the README's command makes the pod and all that it needs."""
    bundle = google.write(tmp_path / "b", "--platform", "kubernetes")
    cluster = Cluster()
    with cluster.serving(tmp_path) as kubeconfig:
        programs = Programs(tmp_path / "programs", "gcloud", "docker")
        environment = {"PATH": programs.path, "KUBECONFIG": str(kubeconfig), "HOME": str(tmp_path)}
        for commands in blocks(bundle / "README.md"):
            shell(commands, bundle, environment)
    kinds = {kind for kind, _, _ in cluster.objects}
    assert kinds >= {"namespaces", "statefulsets", "services", "networkpolicies", "secrets"}
    assert any("run.invoker" in call for call in programs.calls("gcloud"))
    (secret,) = (each for (kind, _, _), each in cluster.objects.items() if kind == "secrets")
    assert (
        base64.b64decode(secret["data"]["client-secret"])
        == (bundle / "secrets/client-secret").read_bytes()
    )
