"""The examples: held to what runscrape writes, and run where that can be done."""

from __future__ import annotations

import contextlib
import copy
import fnmatch
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from runscrape_generator.cli import commands
from runscrape_generator.cli import main as cli
from runscrape_proxy import cli as proxy_cli
from tests.bootstrap.conftest import WORLD, Google, Written
from tests.bootstrap.processes import eventually, free_port, get
from tests.conftest import MakeEmulator
from tests.kit import fast_yaml as yaml

EXAMPLES = Path(__file__).parents[2] / "examples"
HOWTO = (
    "compose",
    "kubernetes",
    "systemd",
    "alloy",
    "vmagent",
    "otel-collector",
    "terraform",
    "helm",
)


@pytest.fixture(scope="module")
def gateway_job(google: Google, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give the job that runscrape itself writes for the gateway."""
    output = tmp_path_factory.mktemp("gateway") / "prometheus.yml"
    arguments = ["--project", "demo", "--api-endpoint", google.emulator.api, "--mode", "gateway"]
    arguments += ["--client-secret-file", "/etc/runscrape/client-secret"]
    arguments += ["--targets-file", "/var/lib/runscrape/targets.json", "-q"]
    arguments += ["--prometheus-version", "2.42"]
    assert cli.main(["generate", "--output", str(output), *arguments]) == 0
    job: dict[str, Any] = yaml.safe_load(output.read_text())["scrape_configs"][-1]
    return job


def test_otel_collector(gateway_job: dict[str, Any], tmp_path: Path) -> None:
    """The receiver's job is the gateway's, and Prometheus, whose configuration it is, takes it."""
    document = yaml.safe_load((EXAMPLES / "otel-collector/config.yaml").read_text())
    config = document["receivers"]["prometheus"]["config"]
    assert config["scrape_configs"][0] | {"job_name": gateway_job["job_name"]} == gateway_job | {
        "scrape_interval": "1m",
        "scrape_timeout": "10s",
    }
    pipeline = document["service"]["pipelines"]["metrics"]
    assert set(pipeline["receivers"]) <= document["receivers"].keys()
    assert set(pipeline["exporters"]) <= document["exporters"].keys()
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    done = subprocess.run(
        ["promtool", "check", "config", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_otel_collector_with_jobs() -> None:
    """The receiver reads the jobs by scrape_config_files; nothing is included, so nothing that a
    service says is expanded, and no ``$`` in either example stands for a variable.
    """
    folder = EXAMPLES / "otel-collector"
    document = yaml.safe_load((folder / "jobs.yaml").read_text())
    config = document["receivers"]["prometheus"]["config"]
    (pattern,) = config["scrape_config_files"]
    (output,) = re.findall(r"--output (\S+)", (folder / "jobs.yaml").read_text())
    assert fnmatch.fnmatch(output, pattern)
    (inventory,) = set(re.findall(r"--inventory (\S+)", (folder / "jobs.yaml").read_text()))
    assert not fnmatch.fnmatch(inventory, pattern)
    for path in folder.glob("*.yaml"):
        lines = path.read_text().splitlines()
        assert not [line for line in lines if "$" in line and not line.startswith("#")]
    assert "Do not include" in (folder / "README.md").read_text()
    texts = [path.read_text() for path in EXAMPLES.rglob("*.md")]
    assert not [text for text in texts if re.search(r"scrape_configs: \$\{file", text)]


def test_what_a_service_says_is_literal(make_emulator: MakeEmulator, tmp_path: Path) -> None:
    """A ``${env:…}`` in an annotation stands in the jobs' file as it is, for a reader that takes
    values literally; Prometheus itself takes such a file.
    """
    leak = "${env:COLLECTOR_PASSWORD}"
    world = copy.deepcopy(WORLD)
    world["projects"]["demo"]["services"][1]["annotations"] = {"prometheus.io/param-leak": leak}
    emulator = make_emulator(world)
    output = tmp_path / "jobs.yml"
    arguments = ["--project", "demo", "--api-endpoint", emulator.api, "-q", "--output", str(output)]
    assert cli.main(["generate", "--format", "scrape-configs", *arguments]) == 0
    jobs = yaml.safe_load(output.read_text())["scrape_configs"]
    assert [job["params"] for job in jobs if "params" in job] == [{"leak": [leak]}]


def test_alloy(gateway_job: dict[str, Any]) -> None:
    """The component has what the gateway's job has, by the names that Alloy gives it."""
    text = re.sub(
        r"^\s*//.*$", "", (EXAMPLES / "alloy/config.alloy").read_text(), flags=re.MULTILINE
    )
    for opening, closing in ("{}", "[]", "()"):
        assert text.count(opening) == text.count(closing)
    found = dict(
        re.findall(
            r"^\s*(\w+)\s+= (.*)$", text.split('prometheus.scrape "runscrape')[0], re.MULTILINE
        )
    )
    assert json.loads(found["scheme"]) == gateway_job["scheme"]
    assert json.loads(found["proxy_url"]) == gateway_job["proxy_url"]
    assert json.loads(found["follow_redirects"]) == gateway_job["follow_redirects"]
    assert json.loads(found["files"]) == gateway_job["file_sd_configs"][0]["files"]
    assert {key: json.loads(found[key]) for key in gateway_job["basic_auth"]} == gateway_job[
        "basic_auth"
    ]
    rules = [
        {key: json.loads(value) for key, value in re.findall(r"(\w+)\s+= (.*)", rule)}
        for rule in re.findall(r"rule \{(.*?)\}", text, re.DOTALL)
    ]
    assert rules == gateway_job["relabel_configs"]


@pytest.fixture
def vmagent_folder(google: Google, tmp_path: Path) -> Path:
    """Put what runscrape writes beside the example, as its README says."""
    shutil.copy(EXAMPLES / "vmagent/prometheus.yml", tmp_path)
    arguments = ["--config", str(google.config), "--project", "demo", "--include", "hello", "-q"]
    output = str(tmp_path / "cloudrun.yml")
    assert cli.main(["generate", "--format", "vmagent", "--output", output, *arguments]) == 0
    return tmp_path


needs_vmagent = pytest.mark.skipif(shutil.which("vmagent") is None, reason="no vmagent installed")


@needs_vmagent
def test_vmagent_takes_it(vmagent_folder: Path) -> None:
    """Vmagent accepts the example with the jobs beside it, and would not accept another field."""
    assert dry_run(vmagent_folder) == 0
    with (vmagent_folder / "prometheus.yml").open("a") as file:
        file.write("no_such_field: 1\n")
    assert dry_run(vmagent_folder) != 0


def dry_run(folder: Path) -> int:
    config = f"-promscrape.config={folder / 'prometheus.yml'}"
    command = ["vmagent", "-dryRun", config, "-remoteWrite.url=http://127.0.0.1:1/"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode


@needs_vmagent
def test_vmagent_scrapes_by_it(vmagent_folder: Path) -> None:
    """Vmagent with the example scrapes a public service that runscrape found."""
    port = free_port()
    config = vmagent_folder / "prometheus.yml"
    config.write_text("global: {scrape_interval: 1s}\n" + config.read_text())
    with running_vmagent(vmagent_folder, port):

        def up() -> bool:
            targets = json.loads(get(f"http://127.0.0.1:{port}/api/v1/targets"))["data"]
            return any(
                each["labels"].get("service_name") == "hello" and each["health"] == "up"
                for each in targets["activeTargets"]
            )

        eventually(up, "vmagent scraped hello")


@contextlib.contextmanager
def running_vmagent(folder: Path, port: int) -> Iterator[None]:
    command = [
        "vmagent",
        f"-promscrape.config={folder / 'prometheus.yml'}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-remoteWrite.url=http://127.0.0.1:1/",
        f"-remoteWrite.tmpDataPath={folder / 'data'}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_terraform(written: Written) -> None:
    """It grants the roles that the bundles' READMEs name, to the account that they name."""
    text = (EXAMPLES / "terraform/main.tf").read_text()
    roles = set(re.findall(r'role\s+= "([^"]+)"', text))
    readme = (written.kubernetes / "README.md").read_text()
    assert roles == set(re.findall(r"--role (\S+)", readme))
    assert 'account_id   = "runscrape"' in text
    for opening, closing in ("{}", "[]", "()"):
        assert text.count(opening) == text.count(closing)


@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")
def test_terraform_reads_it(tmp_path: Path) -> None:
    """Terraform's parser takes the file, well formatted as it is, and takes no broken one."""
    file = Path(shutil.copy(EXAMPLES / "terraform/main.tf", tmp_path))
    check = ["terraform", f"-chdir={tmp_path}", "fmt", "-check"]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 0
    file.write_text(file.read_text() + "}\n")
    assert subprocess.run(check, capture_output=True, check=False).returncode != 0


def test_helm(written: Written) -> None:
    """The chart's values add the proxy that the bundle's own Prometheus has beside it."""
    values = yaml.safe_load((EXAMPLES / "helm/kube-prometheus-stack.yaml").read_text())[
        "prometheus"
    ]
    spec = values["prometheusSpec"]
    text = (written.kubernetes / "operator/prometheus.yaml").read_text()
    *_, prometheus = yaml.safe_load_all(text)
    ours = prometheus["spec"]
    spec["containers"][0]["image"] = ours["containers"][0]["image"]
    for key in ("containers", "volumes"):
        assert spec[key] == ours[key]


COMMAND = re.compile(
    r"^(?:#|//)?\s*(?:sudo )?(?:\S+/)?(runscrape(?:-proxy)?) (.*--.*)$", re.MULTILINE
)


@pytest.mark.parametrize("name", HOWTO)
def test_commands_in_the_texts(name: str) -> None:
    """Each runscrape command that stands on a line of its own in an example parses."""
    found = 0
    for path in (EXAMPLES / name).iterdir():
        text = re.sub(r"\\\n(?://|#)?\s*", "", path.read_text())
        for program, rest in COMMAND.findall(text):
            parse(program, shlex.split(re.sub(r'"\$\([^)]*\)"', "me@example.com", rest)))
            found += 1
    assert found


def parse(program: str, words: list[str]) -> None:
    if program == "runscrape":
        command: click.Command = commands.group().commands[words[0]]
        words = words[1:]
    else:
        command = proxy_cli.command
    with command.make_context(str(command.name), words):
        pass
