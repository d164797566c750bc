"""Each bundle names a command of doctor that finds the settings, the inventory and the secret."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.bootstrap.conftest import Google, Written
from tests.kit import fast_yaml as yaml

CONFIG = "/etc/runscrape/runscrape.yaml"
FOLDERS = {"compose": "config", "kubernetes": "config", "systemd": "root/etc/runscrape"}


@pytest.mark.parametrize("platform", FOLDERS)
def test_the_command_of_an_alert(written: Written, platform: str) -> None:
    """The command of an alert is the README's, and runs where everything is that doctor reads."""
    bundle = written.each()[platform]
    config = bundle / FOLDERS[platform]
    groups = yaml.safe_load((config / "rules/alerts.yml").read_text())["groups"]
    rules = {rule["alert"]: rule for group in groups for rule in group["rules"]}
    command = rules["RunscrapeProxyNotReady"]["annotations"]["doctor"]
    of_target = rules["RunscrapeTargetDown"]["annotations"]["doctor"]
    assert of_target == command + " {{ $labels.service_name }}"
    assert f"Why a target is down: `{command}`." in (bundle / "README.md").read_text()
    words = shlex.split(command)
    assert words[-2:] == ["--config", CONFIG]
    settings = yaml.safe_load((config / "runscrape.yaml").read_text())
    if platform == "systemd":
        unit = (bundle / "root/etc/systemd/system/runscrape.service").read_text()
        loaded = re.search(r"^LoadCredential=google-credentials:(.*)$", unit, re.MULTILINE)
        assert loaded is not None
        given = f"GOOGLE_APPLICATION_CREDENTIALS={loaded[1]}"
        assert words[:3] == ["sudo", "env", given]  # as the unit: root's own may be none
        assert f"ExecStart={words[3]} generate --config {CONFIG}" in unit
        return
    seen = {"compose": compose, "kubernetes": kubernetes}[platform](bundle, words)
    for path in (CONFIG, settings["client_secret_file"], settings["inventory"]):
        assert any(Path(path).is_relative_to(each) for each in seen), path


def test_the_machines_own_credentials(google: Google, tmp_path: Path) -> None:
    """Where the units use those of the machine, so does the command."""
    readme = (google.write(tmp_path / "b", "--platform", "systemd") / "README.md").read_text()
    assert f"`sudo /opt/runscrape/bin/runscrape doctor --config {CONFIG}`" in readme


def compose(bundle: Path, words: list[str]) -> list[str]:
    """Give what is mounted in the container that the command runs in."""
    services: dict[str, Any] = yaml.safe_load((bundle / "compose.yaml").read_text())["services"]
    service = services[words[words.index("exec") + 1]]
    return [each["target"] for each in (*service["volumes"], *service["secrets"])]


def kubernetes(bundle: Path, words: list[str]) -> list[str]:
    """Give what is mounted in the container that the command runs in."""
    stateful = yaml.safe_load((bundle / "manifests/prometheus.yaml").read_text())
    name = words[words.index("exec") + 1]
    assert name == f"{stateful['metadata']['name']}-0"
    containers = stateful["spec"]["template"]["spec"]["containers"]
    wanted = words[words.index("--container") + 1]
    (container,) = (each for each in containers if each["name"] == wanted)
    return [each["mountPath"] for each in container["volumeMounts"]]
