"""Whatever a bundle names exists: options, variables, files, folders that are mounted."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import click
import pytest

from runscrape_generator.cli import commands
from runscrape_generator.config import load as configuration
from runscrape_proxy import cli as proxy_cli
from runscrape_proxy.settings import Settings
from tests.bootstrap import bundles
from tests.bootstrap.conftest import Google, Written
from tests.bootstrap.processes import Plan, Process
from tests.kit import fast_yaml as yaml


@pytest.fixture(scope="module")
def plans(written: Written, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Plan]:
    directory = tmp_path_factory.mktemp("plans")
    copies = {
        name: Path(shutil.copytree(path, directory / name)) for name, path in written.each().items()
    }
    root = copies["systemd"] / "root"
    # The unit loads it from where it is on the machine.
    for credential in bundles.unit(root / "etc/systemd/system/runscrape.service")["Service"][
        "LoadCredential"
    ]:
        source = credential.split(":", 1)[1]
        (root / source.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, root / source.lstrip("/"))
    return {
        "compose": bundles.compose(copies["compose"]),
        "kubernetes": bundles.kubernetes(copies["kubernetes"]),
        "systemd": bundles.systemd(root, copies["systemd"] / "prometheus-lines.yml"),
    }


def every(plans: dict[str, Plan], program: str) -> Iterable[Process]:
    found = [
        process
        for plan in plans.values()
        for process in plan.processes
        if Path(process.argv[0]).name == program
    ]
    assert found
    return found


def test_options_of_the_generator(plans: dict[str, Plan]) -> None:
    """Each generator's command line parses with the real command."""
    for process in every(plans, "runscrape"):
        parse(commands.group(), process.argv[1:])


def test_options_of_the_proxy(plans: dict[str, Plan]) -> None:
    """Each proxy's command line parses with the real command, and its variables are its own."""
    command = proxy_cli.command
    known = {f"RUNSCRAPE_PROXY_{str(each.name).upper()}" for each in command.params}
    for process in every(plans, "runscrape-proxy"):
        parse(command, process.argv[1:])
        ours = {name for name in process.environment if name.startswith("RUNSCRAPE")}
        assert ours <= known
        assert ours


def test_commands_in_scripts(written: Written) -> None:
    """The init container, the CronJob, the operator's proxy and the crontab parse as well."""
    pod = yaml.safe_load((written.kubernetes / "manifests/prometheus.yaml").read_text())
    (first,) = pod["spec"]["template"]["spec"]["initContainers"]
    text = "\n".join(
        [
            first["command"][2],
            (written.kubernetes / "operator/cronjob.yaml").read_text(),
            (written.systemd / "crontab").read_text(),
        ]
    )
    lines = re.findall(r"(?:/\S+/)?runscrape ((?:generate|targets) [^|;\n]+)", text)
    assert len(lines) == 3
    for line in lines:
        parse(commands.group(), shlex.split(line))
    operator = written.kubernetes / "operator/prometheus.yaml"
    _, prometheus = yaml.safe_load_all(operator.read_text())
    (proxy,) = prometheus["spec"]["containers"]
    parse(proxy_cli.command, proxy["command"][1:])


def parse(command: click.Command, words: Iterable[str]) -> None:
    """Parse, and do nothing; raises a UsageError for what the command does not know."""
    words = list(words)
    if isinstance(command, click.Group):
        command, words = command.commands[words[0]], words[1:]
    with command.make_context(str(command.name), words):
        pass


@pytest.mark.parametrize("program", ["prometheus", "prometheus-node-exporter"])
def test_options_of_others(plans: dict[str, Plan], program: str) -> None:
    """Prometheus and node_exporter know each flag that they are given."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    known = set(re.findall(r"--(?:\[no-\])?([a-z0-9.-]+)", done.stdout + done.stderr))
    names = {"prometheus"} if program == "prometheus" else {"node_exporter", program}
    flags = {
        word.removeprefix("--").split("=")[0]
        for plan in plans.values()
        for process in plan.processes
        if Path(process.argv[0]).name in names
        for word in process.argv[1:]
    }
    assert len(flags) >= 5
    # Collectors are named in --help of newer versions with [no-] alone.
    assert not {flag for flag in flags if flag not in known and flag.split(".")[0] != "collector"}


def test_the_proxys_threads_have_room(written: Written) -> None:
    """The limits on processes leave room for every thread that the proxy may start, the gateway's
    among them.
    """
    most = Settings(gateway=True)
    needed = most.threads + most.gateway_threads + most.mint_concurrency
    compose = yaml.safe_load((written.compose / "compose.yaml").read_text())["services"]["proxy"]
    unit = bundles.unit(written.systemd / "root/etc/systemd/system/runscrape-proxy.service")
    for limit in (compose["pids_limit"], int(unit["Service"]["TasksMax"][0])):
        assert limit > needed


def test_runscrape_yaml(written: Written) -> None:
    """Each runscrape.yaml says only what the generator knows."""
    files = [path for each in written.each().values() for path in each.rglob("runscrape.yaml")]
    assert len(files) == 4
    for path in files:
        assert not configuration.load("generate", {"config": str(path)}, {}).warnings


# What each process reads or writes, by the configuration that it is given.
READS = {
    "proxy": [],
    "prometheus": ["rule_files", "client_secret_file", "password_file"],
    "generator": ["template", "metrics_file", "inventory"],
}


@pytest.mark.parametrize("platform", ["compose", "kubernetes"])
def test_paths_are_mounted(written: Written, platform: str) -> None:
    """Each path in a command line, or in the configuration that the process reads, is below
    something that this very container is given.
    """
    bundle = written.each()[platform]
    for name, (argv, mounts) in containers(platform, bundle).items():
        text = " ".join(argv)
        for key in READS.get(name, []):
            for file in (bundle / "state/prometheus.yml", bundle / "config/runscrape.yaml"):
                text += " " + " ".join(re.findall(rf"{key}:(?:\n  -)?\s*(\S+)", file.read_text()))
        paths = re.findall(r"(?:(?<=[ =])|(?<=\"))/(?!-/|bin/)[\w./*-]+", text)
        assert paths
        for path in paths:
            assert any((path + "/").startswith(mount + "/") for mount in mounts), (name, path)


def containers(platform: str, bundle: Path) -> dict[str, tuple[list[str], set[str]]]:
    """Give each container's command line and mounts."""
    if platform == "compose":
        services = yaml.safe_load((bundle / "compose.yaml").read_text())["services"]
        del services["grafana"]
        return {
            name: (
                each["command"],
                {mount["target"] for mount in (*each["volumes"], *each.get("secrets", []))},
            )
            for name, each in services.items()
        }
    pod = yaml.safe_load((bundle / "manifests/prometheus.yaml").read_text())["spec"]["template"]
    return {
        each["name"]: (
            [*each.get("command", []), *each.get("args", [])],
            {mount["mountPath"] for mount in each["volumeMounts"]},
        )
        for each in pod["spec"]["containers"]
    }


def test_gateway_keeps_targets(google: Google, tmp_path: Path) -> None:
    """Through the gateway the job is written once, and the targets are what is kept."""
    bundle = google.write(tmp_path / "b", "--platform", "compose", "--mode", "gateway")
    services = yaml.safe_load((bundle / "compose.yaml").read_text())["services"]
    assert services["generator"]["command"][:2] == ["runscrape", "targets"]
    assert "--gateway" in services["proxy"]["command"]
    parse(proxy_cli.command, services["proxy"]["command"][1:])
    parse(commands.group(), services["generator"]["command"][1:])
    job = yaml.safe_load((bundle / "state/prometheus.yml").read_text())["scrape_configs"][-1]
    assert job["proxy_url"] == "http://proxy:7777"
    assert job["file_sd_configs"] == [
        {"files": ["/var/lib/runscrape/targets.json"], "refresh_interval": "30s"}
    ]
    assert (bundle / "state/targets.json").read_text().count("run.app:80") == 2
