"""The systemd units, asked of systemd itself."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from runscrape_generator.bootstrap import checks
from runscrape_generator.cli import main as cli
from runscrape_generator.config import durations
from tests.bootstrap import bundles
from tests.bootstrap.commands import Programs, blocks, execute, shell, with_forks
from tests.bootstrap.conftest import Google, Written
from tests.bootstrap.processes import PROGRAMS, relocate, replacer, start
from tests.generator.commands_kit import run_here
from tests.kit.consumers import releases_of

UNITS = (
    "runscrape-proxy.socket",
    "runscrape-proxy.service",
    "runscrape.service",
    "runscrape.timer",
    "runscrape-metrics.service",
    "runscrape-reload.path",
    "runscrape-reload.service",
)
SERVICES = ("runscrape-proxy.service", "runscrape.service", "runscrape-metrics.service")
"""Those that talk to others, or read what others say."""
PROMETHEUS = """\
[Service]
User=prometheus
EnvironmentFile=/etc/default/prometheus
ExecStart=/usr/bin/prometheus $ARGS
"""
"""As Debian's package has it: the bundle has no part in it."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed"
)


@pytest.fixture(scope="module")
def root(written: Written, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install into a scratch root, with the programs that the units start."""
    root = tmp_path_factory.mktemp("root")
    environment = os.environ | {"DESTDIR": str(root)}
    subprocess.run(["sh", written.systemd / "install.sh"], env=environment, check=True)
    for program in (
        "opt/runscrape/bin/runscrape",
        "opt/runscrape/bin/runscrape-proxy",
        "usr/bin/prometheus",
        "usr/bin/prometheus-node-exporter",
        "bin/kill",
        "bin/systemctl",
    ):
        path = root / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    system = root / "usr/lib/systemd/system"
    system.mkdir(parents=True)
    (system / "prometheus.service").write_text(PROMETHEUS)
    for target in Path("/usr/lib/systemd/system").glob("*.target"):
        shutil.copy(target, system, follow_symlinks=True)
    return root


def verify(root: Path) -> tuple[int, str]:
    done = subprocess.run(
        ["systemd-analyze", f"--root={root}", "--man=no", "verify", *UNITS, "prometheus.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    # Of the machine's own targets we have no say.
    said = [
        line for line in done.stderr.splitlines() if "runscrape" in line or "prometheus" in line
    ]
    return done.returncode, "\n".join(said)


@needs_systemd
def test_verify(root: Path) -> None:
    """systemd-analyze verify has nothing to say."""
    assert verify(root) == (0, "")


@needs_systemd
@pytest.mark.parametrize(
    "breakage", [("DynamicUser=true", "DynamicUsr=true"), ("bin/runscrape-proxy", "bin/gone")]
)
def test_verify_would_say_so(root: Path, tmp_path: Path, breakage: tuple[str, str]) -> None:
    """A key that systemd does not know, or a program that is not there, is found."""
    broken = tmp_path / "root"
    shutil.copytree(root, broken)
    service = broken / "etc/systemd/system/runscrape-proxy.service"
    service.write_text(service.read_text().replace(*breakage))
    assert verify(broken)[1] != ""


@needs_systemd
@pytest.mark.parametrize("service", SERVICES)
def test_exposure(root: Path, service: str) -> None:
    """systemd-analyze security rates each service's exposure at most 2.0."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", service],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{root}/etc/systemd/system:"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) <= 2.0
    assert done.returncode == 0


def calls_of(name: str) -> set[str]:
    """Give the system calls of a set (``@resources``), those of the sets in it included."""
    if not name.startswith("@"):
        return {name}
    argv = ["systemd-analyze", "syscall-filter", "--no-pager", name]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    words = [line.strip() for line in done.stdout.splitlines()[1:]]
    found = [calls_of(word) for word in words if word and not word.startswith("#")]
    return set().union(*found)


def allowed(service: Path) -> set[str]:
    """Work out SystemCallFilter= as systemd.exec(5) says: the first line makes it a list of what is
    allowed, each further one adds to it, or with ``~`` takes away.
    """
    calls: set[str] = set()
    for line in bundles.unit(service)["Service"]["SystemCallFilter"]:
        named: set[str] = set().union(*map(calls_of, line.removeprefix("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    return calls


@needs_systemd
def test_system_calls(root: Path) -> None:
    """Of what is taken away, each unit gets back no more than it needs: the proxy the choice of its
    CPU, the generator that of a file's owner.
    """
    taken = calls_of("@resources") | calls_of("@privileged")
    units = root / "etc/systemd/system"
    left = {name: allowed(units / name) & taken for name in SERVICES}
    assert left == {
        "runscrape-proxy.service": {"sched_setaffinity"},
        "runscrape.service": calls_of("@chown"),
        "runscrape-metrics.service": set(),
    }
    assert {"sched_getaffinity", "openat", "fork", "clone3"} <= allowed(
        units / "runscrape-proxy.service"
    )


@needs_systemd
def test_exposure_without_the_sandbox(root: Path, tmp_path: Path) -> None:
    """The rating looks at our units: without the sandbox it is far above."""
    text = (root / "etc/systemd/system/runscrape.service").read_text()
    (tmp_path / "runscrape.service").write_text(text.split("# The sandbox")[0])
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", "runscrape.service"],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0


def test_through_the_gateway(google: Google, tmp_path: Path) -> None:
    """The timer keeps the one job, which an edit of the template changes, and then the targets."""
    bundle = google.write(tmp_path / "b", "--platform", "systemd", "--mode", "gateway")
    service = bundles.unit(bundle / "root/etc/systemd/system/runscrape.service")["Service"]
    assert [line.split()[1] for line in service["ExecStart"]] == ["generate", "targets"]
    assert service["SuccessExitStatus"] == ["3"]
    crontab = (bundle / "crontab").read_text()
    assert re.search(r" generate [^;]+ -q; \S+ targets [^;]+ -q$", crontab, re.MULTILINE)


def test_before_2_43_the_jobs_are_in_a_block(google: Google, tmp_path: Path) -> None:
    """For Prometheus 2.42 the timer's command keeps the jobs in Debian's own prometheus.yml, which
    the bundle's lines complete; nothing else of it changes, and promtool takes it.
    """
    arguments = ["--platform", "systemd", "--prometheus-version", "2.42"]
    bundle = google.write(tmp_path / "b", *arguments)
    assert "cloudrun/demo/us-central1/api" in (bundle / "prometheus-block.yml").read_text()
    root = tmp_path / "root"
    assert "/etc/prometheus: the generator keeps its jobs in" in install(bundle, root).stdout
    plan = bundles.systemd(root, bundle / "prometheus-lines.yml")
    relocate(plan)
    config = root / "etc/prometheus/prometheus.yml"
    before = config.read_text()
    (generator,) = (each for each in plan.processes if each.name == "runscrape")
    replace = replacer(plan.places)
    environment = google.emulator.env("service_account") | {"PATH": os.environ["PATH"]}
    program, *words = (replace(word) for word in generator.argv)
    assert Path(program) == PROGRAMS / "runscrape"
    done = run_here(words, environment)
    assert done.returncode == 0, done.stderr
    text = config.read_text()
    above, _, block = text.partition("# BEGIN runscrape")
    block, _, below = block.partition("# END runscrape\n")
    assert above.rstrip(" ") + below == before
    assert block.count("job_name: ") == 2
    assert "scrape_config_files" not in text
    promtool = str(releases_of("promtool")[0].path)
    execute([promtool, "check", "config", str(config)], tmp_path, environment)
    service = bundles.unit(root / "etc/systemd/system/runscrape.service")["Service"]
    assert service["ReadWritePaths"] == ["/etc/prometheus"]
    assert service["PrivateUsers"][-1] == "false"


def test_a_block_has_no_template(
    google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A template of the user's is left out where the jobs are kept in a block, and that is said."""
    (tmp_path / "mine.j2").write_text("{{ jobs }}\n")
    config = tmp_path / "mine.yaml"
    config.write_text("template: mine.j2\nprometheus_version: '2.42'\n")
    bundle = google.write(tmp_path / "b", "--platform", "systemd", "--config", str(config))
    said = f"{config}:1: template counts for a whole file, not a block"
    assert said in capsys.readouterr().err
    assert "template" not in (bundle / "root/etc/runscrape/runscrape.yaml").read_text()


def test_proxy_unit(root: Path) -> None:
    """The proxy is socket activated, has no lasting user, and gets the secret as a credential."""
    units = root / "etc/systemd/system"
    service = bundles.unit(units / "runscrape-proxy.service")["Service"]
    assert service["DynamicUser"] == ["true"]
    assert service["Type"] == ["notify"]
    assert "client-secret:/etc/runscrape/client-secret" in service["LoadCredential"]
    socket = bundles.unit(units / "runscrape-proxy.socket")["Socket"]
    assert socket["ListenStream"] == ["127.0.0.1:7777"]


def install(bundle: Path, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DESTDIR": str(root)}
    command = ["sh", str(bundle / "install.sh"), *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True)


def test_install_keeps_what_was_edited(written: Written, tmp_path: Path) -> None:
    """install.sh leaves a file that somebody edited alone, names it, and never touches the
    generator's, nor a secret that is there.
    """
    install(written.systemd, tmp_path)
    edited = tmp_path / "etc/runscrape/runscrape.yaml"
    kept = tmp_path / "var/lib/runscrape/jobs/cloudrun.yml"
    secret = tmp_path / "etc/runscrape/client-secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    edited.write_text("project: [mine]\n")
    kept.write_text("newer\n")
    secret.write_text("mine")
    done = install(written.systemd, tmp_path)
    assert str(edited) in done.stderr
    assert edited.read_text() == "project: [mine]\n"
    assert "demo" in edited.with_name("runscrape.yaml.new").read_text()
    assert kept.read_text() == "newer\n"
    assert secret.read_text() == "mine"
    assert not list(tmp_path.rglob("client-secret.new"))


def test_install_upgrades_what_it_installed(written: Written, tmp_path: Path) -> None:
    """With a newer bundle, what nobody edited is updated or removed, and said; an edit that is
    taken back counts as none; --dry-run says the same and does nothing.
    """
    bundle, root = tmp_path / "b", tmp_path / "root"
    shutil.copytree(written.systemd, bundle)
    units = "etc/systemd/system"
    for name in ("old.service", "old-edited.service"):
        (bundle / "root" / units / name).write_text("[Service]\n")
    install(bundle, root)
    timer, proxy = root / units / "runscrape.timer", root / "etc/runscrape/proxy.env"
    proxy.write_text("MINE=1\n")
    (root / units / "old-edited.service").write_text("mine\n")
    for name in ("old.service", "old-edited.service"):
        (bundle / "root" / units / name).unlink()
    assert cli.main(["bootstrap", str(bundle), "--every", "7m", "--log-format", "json"]) == 0
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    said = install(bundle, root, "--dry-run")
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    done = install(bundle, root)
    assert (done.stdout, done.stderr) == (said.stdout, said.stderr)
    assert f"updated {timer}" in done.stdout
    assert "OnUnitActiveSec=7m" in timer.read_text()
    assert not (root / units / "old.service").exists()
    assert f"removed {root / units}/old.service" in done.stdout
    assert (root / units / "old-edited.service").read_text() == "mine\n"
    assert proxy.read_text() == "MINE=1\n"
    proxy.write_bytes((written.systemd / "root/etc/runscrape/proxy.env").read_bytes())
    assert f"updated {proxy}" in install(bundle, root).stdout
    assert install(bundle, root).stdout == ""


def test_prometheus_is_left_alone(written: Written, tmp_path: Path) -> None:
    """Nothing of Prometheus' own is among the files, and what its configuration needs is said; a
    drop-in of an earlier version is named.
    """
    root = written.systemd / "root"
    assert not [path for path in root.rglob("*") if "prometheus" in str(path.relative_to(root))]
    lines = (written.systemd / "prometheus-lines.yml").read_text()
    assert "scrape_config_files" in lines
    old = tmp_path / "etc/systemd/system/prometheus.service.d/runscrape.conf"
    old.parent.mkdir(parents=True)
    old.write_text("[Service]\n")
    assert f"{old}: an earlier version" in install(written.systemd, tmp_path).stderr
    assert old.exists()


def test_a_reload_needs_no_right_of_the_generators(written: Written, tmp_path: Path) -> None:
    """The generator touches the file that the path unit watches; root's service tells systemd to
    reload Prometheus; nothing gives up after a few failures.
    """
    units = written.systemd / "root/etc/systemd/system"
    (watched,) = bundles.unit(units / "runscrape-reload.path")["Path"]["PathModified"]
    (line,) = bundles.unit(units / "runscrape.service")["Service"]["ExecStart"]
    words = shlex.split(line)
    command = words[words.index("--reload-command") + 1]
    there = tmp_path / "reload"
    shell(command.replace(watched, str(there)), tmp_path, {"PATH": os.environ["PATH"]})
    assert there.exists()
    (line,) = bundles.unit(units / "runscrape-reload.service")["Service"]["ExecStart"]
    programs = Programs(tmp_path / "programs", "systemctl")
    shell(line.replace("/bin/systemctl", "systemctl"), tmp_path, {"PATH": programs.path})
    assert programs.calls("systemctl") == ["try-reload-or-restart prometheus.service"]
    for name in ("runscrape-proxy.service", "runscrape-metrics.service"):
        assert bundles.unit(units / name)["Unit"]["StartLimitIntervalSec"] == ["0"]


OVERLAY = """
set -eu
mount -t tmpfs none "$1"
for folder in etc var; do
  here=$1/$folder
  mkdir -p "$here/up" "$here/work"
  mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$here/up,workdir=$here/work" /$folder
done
"""
"""Lets a command write to /etc and /var and nobody else see it (needs root, and mounts)."""

can_overlay = (
    os.geteuid() == 0
    and shutil.which("systemd-tmpfiles") is not None
    and tempfile.gettempdir() == "/tmp"
    and subprocess.run(
        ["unshare", "--mount", "sh", "-c", OVERLAY, "sh", "/mnt"], capture_output=True, check=False
    ).returncode
    == 0
)

BLOCK = """
getent group prometheus >/dev/null || groupadd --system prometheus
mkdir -p /etc/prometheus
echo 'global: {}' >/etc/prometheus/prometheus.yml
chgrp prometheus /etc/prometheus/prometheus.yml
chmod 640 /etc/prometheus/prometheus.yml
sh "$2/install.sh" >"$3/said" 2>&1
cd /etc/prometheus
runuser -u runscrape -- \\
  sh -euc 'cp prometheus.yml .new; chgrp prometheus .new; mv .new prometheus.yml'
stat --format '%G %a' prometheus.yml >"$3/file"
runuser -u nobody -- sh -c '>other || cat prometheus.yml' >"$3/nobody" 2>&1 || true
"""

HERE = """
getent group prometheus >/dev/null || groupadd --system prometheus
sh "$2/install.sh" >"$3/first" 2>&1
systemd-tmpfiles --create runscrape.conf
cd /var/lib/runscrape
stat --format '%n %U:%G %a' /etc/runscrape/client-secret "$PWD" "$PWD/jobs" \
  "$PWD/jobs/cloudrun.yml" "$PWD/inventory.json" >"$3/owners"
echo private >/etc/private && chmod 600 /etc/private
runuser -u runscrape -- sh -c 'rm inventory.json && ln -s /etc/private inventory.json'
runuser -u runscrape -- sh -c 'rm -r jobs && ln -s /etc jobs'
sh "$2/install.sh" >"$3/second" 2>&1 || true
stat --format '%U:%G %a' /etc/private >"$3/private"
ls /etc/cloudrun.yml >"$3/private-file" 2>&1 || true
"""


@pytest.mark.skipif(not can_overlay, reason="no root, or no mounts to be had")
def test_install_for_real(written: Written, tmp_path: Path) -> None:
    """install.sh run as root on this machine (with an overlay on it): each file has its owner and
    mode, Prometheus reads the secret; and a second run follows no link that the generator's user
    put into its folder.
    """
    programs = Programs(tmp_path / "programs", "systemctl")
    programs.add("prometheus", "echo prometheus, version 2.42.0+ds '(branch: x)'")
    (tmp_path / "out").mkdir()
    command = ["unshare", "--mount", "sh", "-c", OVERLAY + HERE, "sh"]
    environment = {"PATH": programs.path}
    execute([*command, "/mnt", str(written.systemd), str(tmp_path / "out")], tmp_path, environment)
    owners = (tmp_path / "out/owners").read_text().splitlines()
    assert owners == [
        "/etc/runscrape/client-secret root:prometheus 640",
        "/var/lib/runscrape runscrape:runscrape 755",
        "/var/lib/runscrape/jobs runscrape:runscrape 755",
        "/var/lib/runscrape/jobs/cloudrun.yml runscrape:runscrape 644",
        "/var/lib/runscrape/inventory.json runscrape:runscrape 644",
    ]
    assert (tmp_path / "out/private").read_text() == "root:root 600\n"
    assert "No such file" in (tmp_path / "out/private-file").read_text()
    assert "daemon-reload" in programs.calls("systemctl")
    assert "Prometheus 2.42 here does not know" in (tmp_path / "out/first").read_text()


@pytest.mark.skipif(not can_overlay, reason="no root, or no mounts to be had")
def test_the_generators_user_may_write_the_block(google: Google, tmp_path: Path) -> None:
    """For Prometheus 2.42 install.sh lets the generator's user, and nobody else, write Debian's
    prometheus.yml anew, also one that only the group prometheus may read.
    """
    bundle = google.write(
        tmp_path / "b", *("--platform", "systemd", "--prometheus-version", "2.42")
    )
    programs = Programs(tmp_path / "programs", "systemctl")
    (tmp_path / "out").mkdir()
    command = ["unshare", "--mount", "sh", "-euc", OVERLAY + BLOCK, "sh"]
    environment = {"PATH": programs.path}
    execute([*command, "/mnt", str(bundle), str(tmp_path / "out")], tmp_path, environment)
    assert (tmp_path / "out/file").read_text() == "prometheus 640\n"
    assert (tmp_path / "out/nobody").read_text().count("Permission denied") == 2


@pytest.mark.parametrize("version", ["2.42", "2.53"])
def test_the_readmes_commands(google: Google, tmp_path: Path, version: str) -> None:
    """The README's commands, typed in a shell, install the programs and the files, name only units
    that there are, and have Prometheus reloaded and never restarted.
    """
    arguments = ["--platform", "systemd", "--prometheus-version", version]
    bundle = google.write(tmp_path / "b", *arguments)
    fakes = ("apt-get", "python3", "gcloud", "systemctl", "promtool", "pip")
    programs = Programs(tmp_path / "programs", *fakes)
    programs.add("sudo", 'exec "$@"')
    environment = {"PATH": programs.path, "DESTDIR": str(tmp_path / "root"), "HOME": str(tmp_path)}
    for commands in blocks(bundle / "README.md"):
        shell(commands.replace("/opt/runscrape/bin/pip", "pip"), bundle, environment)
    units = {path.name for path in (bundle / "root/etc/systemd/system").iterdir()}
    enabled, reloaded = sorted(call.split() for call in programs.calls("systemctl"))
    assert enabled[:2] == ["enable", "--now"]
    assert set(enabled[2:]) == {
        name
        for name in units
        if name.endswith((".socket", ".timer", ".path")) or name == "runscrape-metrics.service"
    }
    assert reloaded == ["reload", "prometheus"]
    assert (tmp_path / "root/etc/runscrape/runscrape.yaml").exists()
    assert programs.calls("pip") == ["install ."]


@pytest.mark.parametrize(
    ("program_dir", "venv"),
    [
        ("/srv/runscrape/bin/", "/srv/runscrape"),
        ("/usr/local/bin", "/opt/runscrape"),
        ("/srv/tools", "/opt/runscrape"),
    ],
)
def test_the_readme_puts_the_programs_where_the_units_look(
    google: Google, tmp_path: Path, program_dir: str, venv: str
) -> None:
    """The README makes the environment that has the programs there, or links to them."""
    arguments = ["--platform", "systemd", "--program-dir", program_dir]
    bundle = google.write(tmp_path / "b", *arguments)
    programs = Programs(tmp_path / "programs", "apt-get", "python3", "ln", "pip")
    programs.add("sudo", 'exec "$@"')
    install_them, *_ = blocks(bundle / "README.md")
    shell(install_them.replace(f"{venv}/bin/pip", "pip"), bundle, {"PATH": programs.path})
    assert programs.calls("python3") == [f"-m venv {venv}"]
    links = [f"-s {venv}/bin/runscrape {venv}/bin/runscrape-proxy {program_dir}/"]
    assert programs.calls("ln") == ([] if program_dir.startswith(venv) else links)
    unit = bundles.unit(bundle / "root/etc/systemd/system/runscrape.service")["Service"]
    assert unit["ExecStart"][0].startswith(f"{program_dir.rstrip('/')}/runscrape generate")


def test_the_readme_says_where_root_is_needed(written: Written) -> None:
    """Every command of the README that changes a unit's state is one for root."""
    text = (written.systemd / "README.md").read_text()
    changing = re.findall(r"(?:sudo )?systemctl (?:start|restart|reload|enable)\b", text)
    assert changing
    assert all(each.startswith("sudo ") for each in changing)


def test_a_crontab_that_stays(google: Google, tmp_path: Path) -> None:
    """With a period that cron cannot keep, the line starts a process that writes the jobs, stays,
    and ends at SIGTERM.
    """
    bundle = google.write(tmp_path / "b", "--platform", "systemd", "--every", "45m")
    root = tmp_path / "root"
    install(bundle, root)
    plan = bundles.systemd(root, bundle / "prometheus-lines.yml")
    relocate(plan)
    output = root / "var/lib/runscrape/jobs/cloudrun.yml"
    output.unlink()
    *_, line = (bundle / "crontab").read_text().splitlines()
    _, _, command = line.split(None, 2)
    argv = shlex.split(replacer(plan.places)(command))
    with start(argv, google.emulator.env("service_account"), tmp_path / "log") as program:
        program.until(output.exists, "the jobs are written")
        assert program.stop() == 143


def test_the_crontabs_line_runs(google: Google, tmp_path: Path) -> None:
    """The crontab's line, run by the shell that cron takes and with the variables above it, writes
    the jobs; the credentials that were asked for are among these variables.
    """
    key = str(google.emulator.credentials("service_account"))
    arguments = ["--platform", "systemd", "--credentials-file", key, "--mode", "gateway"]
    bundle = google.write(tmp_path / "b", *arguments)
    root = tmp_path / "root"
    install(bundle, root)
    plan = bundles.systemd(root, bundle / "prometheus-lines.yml", credentials=key)
    relocate(plan)
    lines = (bundle / "crontab").read_text().splitlines()
    variables = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))
    assert variables["GOOGLE_APPLICATION_CREDENTIALS"] == key
    output = root / "var/lib/runscrape/targets.json"
    output.unlink()
    programs = Programs(tmp_path / "programs")
    places = {**plan.places, "/opt/runscrape/bin": str(programs.directory)}
    command = replacer(places)(lines[-1].split(None, 6)[-1])
    environment = google.emulator.env("service_account") | variables
    assert with_forks(["/bin/sh", "-c", command], environment, programs) == 0
    assert "run.app" in output.read_text()


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("systemd-tmpfiles") is None,
    reason="only root can give files away, and systemd has to be installed",
)
def test_users_and_folders(written: Written, tmp_path: Path) -> None:
    """With systemd-sysusers and systemd-tmpfiles run as install.sh does, the generator's user owns
    the folders that it writes to, everybody reads them, and root and Prometheus alone the secret.
    """
    environment = os.environ | {"DESTDIR": str(tmp_path)}
    subprocess.run(["sh", written.systemd / "install.sh"], env=environment, check=True)
    (tmp_path / "etc/group").write_text("prometheus:x:115:\n")
    for tool in (["systemd-sysusers"], ["systemd-tmpfiles", "--create"]):
        subprocess.run([*tool, f"--root={tmp_path}", "runscrape.conf"], check=True)
    (line,) = re.findall(r"^runscrape:.*$", (tmp_path / "etc/passwd").read_text(), re.MULTILINE)
    user = int(line.split(":")[2])
    for name, owner, mode in (
        ("var/lib/runscrape", user, 0o755),
        ("var/lib/runscrape/metrics", user, 0o755),
        ("etc/runscrape", 0, 0o755),
        ("etc/runscrape/client-secret", 0, 0o640),
    ):
        found = (tmp_path / name).stat()
        assert (name, found.st_uid, stat.S_IMODE(found.st_mode)) == (name, owner, mode)


@pytest.mark.parametrize(
    ("every", "schedule"),
    [
        ("45m", None),
        ("90s", None),
        ("7m", None),
        ("5h", None),
        ("1m", "*/1 * * * *"),
        ("30m", "*/30 * * * *"),
        ("60m", "0 * * * *"),
        ("6h", "0 */6 * * *"),
        ("1d", "0 0 * * *"),
    ],
)
def test_an_odd_period(every: str, schedule: str | None) -> None:
    """Cron has a schedule for what divides an hour or a day by whole minutes, and for no other."""
    assert checks.cron_schedule(durations.parse(every)) == schedule


@pytest.mark.parametrize(
    ("every", "begins"), [("7m", "@reboot runscrape "), ("6h", "0 */6 * * * runscrape ")]
)
def test_the_period_of_the_crontab(google: Google, tmp_path: Path, every: str, begins: str) -> None:
    """What cron cannot repeat is a process that stays."""
    bundle = google.write(tmp_path / "b", "--platform", "systemd", "--every", every)
    *_, line = (bundle / "crontab").read_text().rstrip().splitlines()
    assert line.startswith(f"{begins}/opt/runscrape/bin/runscrape generate ")
    assert (f" --watch {every} " in line) is begins.startswith("@reboot")


def test_crontab(written: Written) -> None:
    """The crontab's one line is five fields, a user, and a command without a % of its own."""
    lines = [
        line
        for line in (written.systemd / "crontab").read_text().splitlines()
        if line and not line.startswith(("#", "PATH=", "GOOGLE_APPLICATION_CREDENTIALS=/"))
    ]
    (line,) = lines
    assert re.fullmatch(
        r"\*/5 \* \* \* \* runscrape /opt/runscrape/bin/runscrape generate [^%]+", line
    )
