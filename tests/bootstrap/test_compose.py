"""compose.yaml: valid, hardened, closed; and the quadlets say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import check_jsonschema  # type: ignore[import-untyped]
import jsonschema
import pytest
import yaml

from tests.bootstrap import bundles
from tests.bootstrap.conftest import Written

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
    """Each service has a check, its own or our image's, but for the exporter, whose image has no
    program for one; Prometheus starts even where the proxy is not healthy, to say so.
    """
    services = document["services"]
    checked = {name for name, service in services.items() if "healthcheck" in service}
    assert checked == services.keys() - {"proxy", "metrics"}
    assert services["prometheus"]["depends_on"] == {"proxy": {"condition": "service_started"}}
    assert "HEALTHCHECK" in (Path(__file__).parents[2] / "Dockerfile").read_text()


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
        limits = re.search(r"--memory=(\S+) --pids-limit=(\d+)", " ".join(container["PodmanArgs"]))
        assert limits is not None
        assert limits.groups() == (service["mem_limit"], str(service["pids_limit"]))
