"""Reading a written bundle as its platform would: which processes, seeing which files."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.bootstrap.processes import PROGRAMS, Plan, Process, free_port
from tests.kit import fast_yaml as yaml
from tests.kit.consumers import releases_of

PORTS = (7777, 9090, 9101)


def addresses(*hosts: str) -> dict[str, str]:
    """Give each port one of this machine's, by whatever name a process calls the host."""
    places: dict[str, str] = {}
    for port in PORTS:
        free = f"127.0.0.1:{free_port()}"
        places |= {f"{host}:{port}": free for host in ("127.0.0.1", "0.0.0.0", *hosts)}
    return places


def exporter(stand_in: Path) -> str:
    """Find Debian's node_exporter, or make a stand-in that serves the same files."""
    if found := shutil.which("prometheus-node-exporter"):
        return found
    stand_in.write_text(f"#!{PROGRAMS}/python\n{_STAND_IN}")
    stand_in.chmod(0o755)
    return str(stand_in)


_STAND_IN = """
import http.server, pathlib, sys
options = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
folder = pathlib.Path(options["--collector.textfile.directory"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"".join(path.read_bytes() for path in folder.glob("*.prom"))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)
host, port = options["--web.listen-address"].rsplit(":", 1)
http.server.ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
"""


def env_file(path: Path) -> dict[str, str]:
    """Read ``NAME=value`` lines, as Compose, kustomize and systemd all do."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


# Compose


def compose(bundle: Path) -> Plan:
    """Read compose.yaml; services start in the order in which they depend on each other."""
    document = yaml.safe_load((bundle / "compose.yaml").read_text())
    places = addresses("proxy", "prometheus", "metrics")
    services: dict[str, Any] = document["services"]
    for service in services.values():
        places |= _compose_places(service, document["secrets"], bundle)
    places["/bin/node_exporter"] = exporter(bundle / "node_exporter")
    processes = [
        _compose_process(name, services[name], bundle)
        for name in _ordered({name: each.get("depends_on", {}) for name, each in services.items()})
        if name != "grafana"
    ]
    checks = [each["healthcheck"]["test"] for each in services.values() if "healthcheck" in each]
    assert {word for word, *_ in checks} == {"CMD"}  # without a shell
    probes = [[_unescaped(word) for word in words] for _, *words in checks]
    return Plan(processes, places, bundle, probes)


def _compose_places(
    service: Mapping[str, Any], secrets: Mapping[str, Any], bundle: Path
) -> dict[str, str]:
    mounts = {
        each["target"]: str((bundle / each["source"]).resolve())
        for each in service.get("volumes", [])
    }
    given = [each for each in service.get("secrets", []) if isinstance(each, dict)]
    return mounts | {
        each["target"]: str((bundle / secrets[each["source"]]["file"]).resolve()) for each in given
    }


def _compose_process(name: str, service: Mapping[str, Any], bundle: Path) -> Process:
    # The image's own entry point: prom/prometheus has /bin/prometheus, ours has none.
    first = ["prometheus"] if "/prometheus:" in service["image"] else []
    argv = [*service.get("entrypoint", first), *service["command"]]
    environment: dict[str, str] = {}
    for path in service.get("env_file", []):
        environment |= env_file(bundle / path)
    return Process(name, [_unescaped(word) for word in argv], environment | environment_of(service))


def environment_of(service: Mapping[str, Any]) -> dict[str, str]:
    return {name: _unescaped(str(value)) for name, value in service.get("environment", {}).items()}


def _unescaped(text: str) -> str:
    assert "$" not in text.replace("$$", ""), f"Compose would take {text!r} for a variable"
    return text.replace("$$", "$")


def _ordered(needs: Mapping[str, Iterable[str]]) -> list[str]:
    order: list[str] = []
    while len(order) < len(needs):
        order += [name for name in needs if name not in order and set(needs[name]) <= set(order)]
    return order


# Kubernetes


def kubernetes(bundle: Path) -> Plan:
    """Read the pod of manifests/prometheus.yaml, with what kustomization.yaml makes for it."""
    pod = yaml.safe_load((bundle / "manifests/prometheus.yaml").read_text())["spec"]
    kustomization = yaml.safe_load((bundle / "kustomization.yaml").read_text())
    spec = pod["template"]["spec"]
    volumes = _volumes(spec, pod["volumeClaimTemplates"], kustomization, bundle)
    places = addresses()
    for container in (*spec["initContainers"], *spec["containers"]):
        for mount in container["volumeMounts"]:
            path = volumes[mount["name"]] / mount.get("subPath", "")
            path.mkdir(exist_ok=True, parents=True)
            if mount["mountPath"] != "/tmp":
                places[mount["mountPath"]] = str(path)
    _no_nesting(places)
    places["/bin/node_exporter"] = exporter(bundle / "node_exporter")
    first = [
        _pod_process(each, kustomization, bundle, once=True) for each in spec["initContainers"]
    ]
    rest = [_pod_process(each, kustomization, bundle) for each in spec["containers"]]
    probes = [
        each[probe]["exec"]["command"]
        for each in spec["containers"]
        for probe in ("startupProbe", "livenessProbe")
        if "exec" in each.get(probe, {})
    ]
    return Plan([*first, *rest], places, bundle, probes)


def _no_nesting(places: dict[str, str]) -> None:
    """Have a mount below another one be the same folder for everybody."""
    for path, where in list(places.items()):
        for above in (each for each in places if path.startswith(each + "/")):
            link = Path(places[above]) / path.removeprefix(above + "/")
            if not link.exists():
                link.symlink_to(where)


def _volumes(
    spec: Mapping[str, Any],
    claims: Iterable[Mapping[str, Any]],
    kustomization: Mapping[str, Any],
    bundle: Path,
) -> dict[str, Path]:
    made = {
        each["name"]: each
        for kind in ("configMapGenerator", "secretGenerator")
        for each in kustomization[kind]
    }
    volumes: dict[str, Path] = {}
    names = [*spec["volumes"], *({"name": claim["metadata"]["name"]} for claim in claims)]
    for volume in names:
        path = bundle / "volumes" / volume["name"]
        path.mkdir(parents=True)
        volumes[volume["name"]] = path
        source = volume.get("configMap", {}).get("name") or volume.get("secret", {}).get(
            "secretName"
        )
        for file in made[source]["files"] if source else []:
            key, _, origin = file.rpartition("=")
            shutil.copyfile(bundle / origin, path / (key or Path(origin).name))
    return volumes


def _pod_process(
    container: Mapping[str, Any],
    kustomization: Mapping[str, Any],
    bundle: Path,
    *,
    once: bool = False,
) -> Process:
    first = container.get("command", ["prometheus"])
    environment = {each["name"]: each["value"] for each in container.get("env", [])}
    made = {each["name"]: each for each in kustomization["configMapGenerator"]}
    for source in container.get("envFrom", []):
        for path in made[source["configMapRef"]["name"]]["envs"]:
            environment |= env_file(bundle / path)
    return Process(container["name"], [*first, *container.get("args", [])], environment, once=once)


# systemd


DEBIAN = """\
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: []
scrape_configs:
  - job_name: prometheus
    static_configs: [{targets: ["127.0.0.1:9090"]}]
"""
"""A distribution's prometheus.yml: the bundle leaves it alone, and says what to add."""


def systemd(root: Path, lines: Path, *, credentials: str = "") -> Plan:
    """Read the installed units; ``root`` is where install.sh put them.

    ``lines`` is what the README has its reader add to Prometheus' own configuration.
    """
    if credentials:  # which a unit loads from where it is on the machine
        (root / credentials.lstrip("/")).parent.mkdir(parents=True)
        shutil.copyfile(credentials, root / credentials.lstrip("/"))
    units = root / "etc/systemd/system"
    places = addresses() | {
        "/etc/prometheus": str(root / "etc/prometheus"),
        "/etc/runscrape": str(root / "etc/runscrape"),
        "/var/lib/runscrape": str(root / "var/lib/runscrape"),
        "/opt/runscrape/bin": str(PROGRAMS),
        "/usr/bin/prometheus-node-exporter": exporter(root / "node_exporter"),
    }
    (root / "var/lib/runscrape/metrics").mkdir(parents=True, exist_ok=True)
    (proxy,) = _unit(units / "runscrape-proxy.service", "runscrape-proxy", root, places)
    socket = unit(units / "runscrape-proxy.socket")["Socket"]["ListenStream"][-1]
    processes = [
        Process(proxy.name, proxy.argv, proxy.environment, listen=socket),
        *_unit(units / "runscrape-metrics.service", "runscrape-metrics", root, places),
        *_unit(units / "runscrape.service", "runscrape", root, places, once=True),
        _debians_prometheus(root, lines),
    ]
    return Plan(processes, places, root)


def _debians_prometheus(root: Path, lines: Path) -> Process:
    """Start the distribution's Prometheus with the lines added, as the README says."""
    config = yaml.safe_load(DEBIAN)
    for key, more in yaml.safe_load(lines.read_text()).items():
        config[key] = [*config.get(key, []), *more]
    path = root / "etc/prometheus/prometheus.yml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(config))
    argv = [
        str(releases_of("prometheus")[-1].path),
        f"--config.file={path}",
        f"--storage.tsdb.path={root / 'data'}",
    ]
    return Process("prometheus", [*argv, "--web.listen-address=127.0.0.1:9090"])


def unit(path: Path) -> dict[str, dict[str, list[str]]]:
    """Read a unit file: section → key → its values; an empty one clears those before."""
    sections: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith(("#", ";")):
            key, value = line.split("=", 1)
            section[key] = [*section.get(key, []), value] if value else []
    return sections


def _unit(
    path: Path, name: str, root: Path, places: dict[str, str], *, once: bool = False
) -> list[Process]:
    service = unit(path)["Service"]
    credentials = root / "run/credentials" / f"{name}.service"
    credentials.mkdir(parents=True)
    places[f"/run/credentials/{name}.service"] = str(credentials)
    for credential in service.get("LoadCredential", []):
        key, source = credential.split(":", 1)
        shutil.copyfile(root / source.lstrip("/"), credentials / key)
    environment: dict[str, str] = {}
    for file in service.get("EnvironmentFile", []):
        environment |= env_file(root / file.lstrip("-/"))
    lines = [
        [word.replace("%d", str(credentials)).replace("%%", "%") for word in shlex.split(line)]
        for line in service["ExecStart"]
    ]
    names = [name, *(f"{name}-{number}" for number in range(2, len(lines) + 1))]
    return [
        Process(each, argv, environment, once=once) for each, argv in zip(names, lines, strict=True)
    ]
