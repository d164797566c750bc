"""compose.yaml: valid, hardened, closed; and the quadlets say the same."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import check_jsonschema  # type: ignore[import-untyped]
import jsonschema
import pytest

from tests.bootstrap import bundles
from tests.bootstrap.commands import Programs, blocks, shell
from tests.bootstrap.conftest import Google, Written
from tests.kit import fast_yaml as yaml
from tests.kit.consumers import FETCHED, why_missing

SCHEMA = Path(check_jsonschema.__file__).parent / "builtin_schemas/vendor/compose-spec.json"


@pytest.fixture
def document(written: Written) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((written.compose / "compose.yaml").read_text())
    return content


def test_schema(document: dict[str, Any]) -> None:
    """It is what the Compose specification's schema says, and the schema would object."""
    schema = json.loads(SCHEMA.read_text())
    jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document | {"services": {"proxy": {"imagee": "x"}}}, schema)


def test_services(document: dict[str, Any]) -> None:
    """Prometheus, the proxy, the generator, its metrics, and Grafana where it is asked for."""
    assert set(document["services"]) == {"prometheus", "proxy", "generator", "metrics", "grafana"}


def test_every_service_is_hardened(document: dict[str, Any]) -> None:
    """Read-only root, no root user, no capabilities, no new privileges, limits, one network."""
    for name, service in document["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"].split(":")[0] not in {"", "0", "root"}, name
        assert service["networks"] == ["runscrape"], name
        assert {"mem_limit", "cpus", "pids_limit"} <= service.keys(), name
        assert not {"privileged", "cap_add", "network_mode", "pid"} & service.keys(), name


def test_what_is_published(document: dict[str, Any]) -> None:
    """Prometheus and Grafana on this machine's loopback; the proxy nowhere."""
    published = {name: service.get("ports") for name, service in document["services"].items()}
    assert published.pop("prometheus") == ["127.0.0.1:9090:9090"]
    assert published.pop("grafana") == ["127.0.0.1:3000:3000"]
    assert set(published.values()) == {None}


def test_folders_are_mounted_and_not_files(written: Written, document: dict[str, Any]) -> None:
    """A file that is renamed into place is not seen through a mount of the file itself."""
    for service in document["services"].values():
        for mount in service["volumes"]:
            assert (written.compose / mount["source"]).is_dir(), mount


def test_state_is_written_by_the_generator_alone(document: dict[str, Any]) -> None:
    """The others see configuration, state and dashboards read-only."""
    writers = {
        (name, mount["target"])
        for name, service in document["services"].items()
        for mount in service["volumes"]
        if not mount.get("read_only")
    }
    assert writers == {
        ("generator", "/var/lib/runscrape"),
        ("prometheus", "/prometheus"),
        ("grafana", "/var/lib/grafana"),
    }


def test_secrets_are_files(written: Written, document: dict[str, Any]) -> None:
    """The client secret goes to Prometheus and the proxy as a Compose secret, as text nowhere."""
    having = {
        name
        for name, service in document["services"].items()
        for each in service.get("secrets", [])
        if isinstance(each, dict) and each["source"] == "client-secret"
    }
    assert having == {"prometheus", "proxy"}
    for secret in ("client-secret", "grafana-password"):
        text = (written.compose / "secrets" / secret).read_text().strip()
        for path in written.compose.rglob("*"):
            if path.is_file() and path.parent.name != "secrets":
                assert text not in path.read_text(), path


def test_health(document: dict[str, Any]) -> None:
    """Each service has a check of its own, since an image that Podman builds has none, but for the
    exporter, whose image has no program for one; Prometheus starts even where the proxy is not
    healthy, to say so.
    """
    services = document["services"]
    checked = {name for name, service in services.items() if "healthcheck" in service}
    assert checked == services.keys() - {"metrics"}
    assert services["prometheus"]["depends_on"] == {"proxy": {"condition": "service_started"}}
    assert "HEALTHCHECK" in (Path(__file__).parents[2] / "Dockerfile").read_text()


def test_images_by_their_full_names(document: dict[str, Any]) -> None:
    """Each image is named with its registry: Podman, and a quadlet without a terminal to ask on,
    do not know where to look for a short name.
    """
    for service in document["services"].values():
        registry, slash, _ = service["image"].partition("/")
        assert slash
        assert registry == "localhost" or "." in registry


def test_grafana_is_provisioned(written: Written, document: dict[str, Any]) -> None:
    """Grafana finds the data source and the dashboard where it is told to look."""
    mounts = {each["target"]: each["source"] for each in document["services"]["grafana"]["volumes"]}
    base = written.compose / mounts["/etc/grafana/provisioning"]
    (source,) = yaml.safe_load((base / "datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((base / "dashboards/runscrape.yml").read_text())["providers"]
    assert (written.compose / mounts[provider["options"]["path"]] / "runscrape.json").exists()


def test_names_on_the_network(written: Written, document: dict[str, Any]) -> None:
    """Each host that Prometheus or the generator is told of is a service's name, also Podman's
    alias of it, and the proxy answers to the name that it is called by.
    """
    config = yaml.safe_load((written.compose / "state/prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    told = [
        *jobs["runscrape-proxy"]["static_configs"][0]["targets"],
        *jobs["runscrape"]["static_configs"][0]["targets"],
        *(urlsplit(job["oauth2"]["token_url"]).netloc for job in jobs.values() if "oauth2" in job),
        *(urlsplit(w).netloc for w in document["services"]["generator"]["command"] if "://" in w),
    ]
    assert set(told) == {"proxy:7777", "metrics:9101", "prometheus:9090"}
    hosts = {each.split(":")[0] for each in told}
    assert hosts <= document["services"].keys()
    command = document["services"]["proxy"]["command"]
    assert command[command.index("--allowed-host") + 1] == "proxy"
    units = [bundles.unit(path) for path in (written.compose / "quadlet").glob("*.container")]
    text = " ".join(word for each in units for word in each["Container"]["PodmanArgs"])
    assert hosts <= set(re.findall(r"--network-alias=(\S+)", text))


def test_prometheus_has_the_proxys_credentials(written: Written, document: dict[str, Any]) -> None:
    """The proxy listens for the whole network, so that it shows its metrics to the client alone:
    the job that asks for them has the client's id and the secret that both are given.
    """
    command = document["services"]["proxy"]["command"]
    assert command[command.index("--listen") + 1].startswith("0.0.0.0:")
    config = yaml.safe_load((written.compose / "state/prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    basic = jobs["runscrape-proxy"]["basic_auth"]
    (oauth2,) = (job["oauth2"] for job in jobs.values() if "oauth2" in job)
    assert basic["username"] == oauth2["client_id"]
    assert basic["password_file"] == oauth2["client_secret_file"]


def test_quadlets_say_the_same(written: Written, document: dict[str, Any]) -> None:
    """Each container of Podman has its service's image, command, files and limits."""
    for path in (written.compose / "quadlet").glob("*.container"):
        container = bundles.unit(path)["Container"]
        service = document["services"][path.stem.removeprefix("runscrape-")]
        assert container["Image"] == [service["image"]]
        assert container["Exec"] == [" ".join(service["command"])]
        targets = {volume.split(":")[1] for volume in container["Volume"]}
        secrets = {each["target"] for each in service.get("secrets", [])}
        assert targets == {mount["target"] for mount in service["volumes"]} | secrets
        for volume in container["Volume"]:
            assert Path(volume.split(":")[0]).exists(), volume
        assert container["ReadOnly"] == ["true"]
        assert container["DropCapability"] == ["all"]
        assert container["NoNewPrivileges"] == ["true"]
        assert container["User"] == [service["user"].split(":")[0]]
        if "healthcheck" in service:
            (check,) = container["HealthCmd"]
            assert json.loads(check) == service["healthcheck"]["test"]
        limits = re.search(r"--memory=(\S+) --pids-limit=(\d+)", " ".join(container["PodmanArgs"]))
        assert limits is not None
        assert limits.groups() == (service["mem_limit"], str(service["pids_limit"]))


def find_quadlet() -> str | None:
    """Find Podman's own generator, installed or unpacked for the tests."""
    unpacked = sorted(FETCHED.glob("*/quadlet"))
    places = [Path("/usr/libexec/podman/quadlet"), Path("/usr/lib/podman/quadlet"), *unpacked]
    return next((str(path) for path in places if path.exists()), None)


@pytest.mark.parametrize("rootless", [True, False])
def test_podmans_generator_takes_the_quadlets(
    written: Written, tmp_path: Path, document: dict[str, Any], *, rootless: bool
) -> None:
    """Podman's generator makes of them units that run each service's command, as root and as a
    user, and the unit that the README starts brings all the others.
    """
    quadlet = find_quadlet()
    if quadlet is None:
        pytest.skip(f"no Podman to read the quadlets; {why_missing()}")
    for path in (written.compose / "quadlet").iterdir():
        text = path.read_text().replace("\nUserNS=keep-id", "")  # there if no root wrote them
        if rootless and path.suffix == ".container":
            text = text.replace("\nUser=", "\nUserNS=keep-id\nUser=")
        (tmp_path / path.name).write_text(text)
    command = [quadlet, "-dryrun", *(["-user"] if rootless else [])]
    environment = {"QUADLET_UNIT_DIRS": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "unsupported" not in done.stderr.lower()
    units = re.split(r"^---(\S+)---$", done.stdout, flags=re.MULTILINE)[1:]
    found = dict(zip(units[::2], units[1::2], strict=True))
    needed: set[str] = set()
    for name, service in document["services"].items():
        if name == "grafana":
            continue
        unit = found[f"runscrape-{name}.service"]
        (line,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
        words = shlex.split(line)
        at = words.index(service["image"])
        assert words[at + 1 :] == list(service["command"])
        assert ("--userns" in words) is rootless
        if name == "generator":
            needed |= set(re.findall(r"^Wants=(\S+)$", unit, re.MULTILINE))
    assert needed >= {"runscrape-prometheus.service", "runscrape-metrics.service"}
    assert "Wants=runscrape-proxy.service" in found["runscrape-prometheus.service"]


def test_the_readmes_commands(google: Google, tmp_path: Path) -> None:
    """The README's commands, typed in a shell, do what it says of them: build the image that the
    file names, start all of it, and put the quadlets where Podman looks for them.
    """
    bundle = google.write(tmp_path / "b", "--platform", "compose")
    programs = Programs(tmp_path / "programs", "docker", "gcloud", "systemctl", "loginctl")
    environment = {"PATH": programs.path, "HOME": str(tmp_path)}
    system = tmp_path / "system"
    system.mkdir()
    for commands in blocks(bundle / "README.md"):
        shell(commands.replace("/etc/containers/systemd", str(system)), bundle, environment)
    image = yaml.safe_load((bundle / "compose.yaml").read_text())["services"]["proxy"]["image"]
    assert programs.calls("docker") == [f"build --tag {image} .", "compose up --detach --wait"]
    roles = {"roles/run.viewer", "roles/run.invoker"}
    assert {role for role in roles if role in " ".join(programs.calls("gcloud"))} == roles
    user = tmp_path / ".config/containers/systemd"
    placed = {path.name for path in (user if user.exists() else system).iterdir()}
    assert placed == {path.name for path in (bundle / "quadlet").iterdir()}
    assert programs.calls("systemctl")[-1].endswith("start runscrape-generator")
    assert bool(programs.calls("loginctl")) is user.exists()


def test_a_bundle_that_was_moved(google: Google, tmp_path: Path) -> None:
    """Run again where the folder was moved to, as the README says, the quadlets name that one."""
    before, after = tmp_path / "before", tmp_path / "after"
    bundle = google.write(before, "--platform", "compose")
    assert "where you move or copy the folder to" in (bundle / "README.md").read_text()
    before.rename(after)
    google.write(after)
    for path in (after / "quadlet").glob("*.container"):
        assert f"{before}/" not in path.read_text()
        assert f"Volume={after}/" in path.read_text()


def test_grafana_has_no_quadlet(google: Google, tmp_path: Path) -> None:
    """Who starts the units is told that there is none of Grafana's."""
    bundle = google.write(tmp_path / "b", "--platform", "compose", "--grafana")
    assert "Grafana has no unit" in (bundle / "README.md").read_text()
    assert not list((bundle / "quadlet").glob("*grafana*"))
