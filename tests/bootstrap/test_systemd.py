"""The systemd units, asked of systemd itself."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.bootstrap import bundles
from tests.bootstrap.conftest import Google, Written

UNITS = (
    "runscrape-proxy.socket",
    "runscrape-proxy.service",
    "runscrape.service",
    "runscrape.timer",
    "runscrape-metrics.service",
)
SERVICES = tuple(name for name in UNITS if name.endswith(".service"))
PROMETHEUS = """\
[Service]
User=prometheus
EnvironmentFile=/etc/default/prometheus
ExecStart=/usr/bin/prometheus $ARGS
"""
"""As Debian's package has it, as far as the drop-in is about it."""

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


def test_proxy_unit(root: Path) -> None:
    """The proxy is socket activated, has no lasting user, and gets the secret as a credential."""
    units = root / "etc/systemd/system"
    service = bundles.unit(units / "runscrape-proxy.service")["Service"]
    assert service["DynamicUser"] == ["true"]
    assert service["Type"] == ["notify"]
    assert "client-secret:/etc/runscrape/client-secret" in service["LoadCredential"]
    socket = bundles.unit(units / "runscrape-proxy.socket")["Socket"]
    assert socket["ListenStream"] == ["127.0.0.1:7777"]


def test_install_keeps_what_was_edited(written: Written, tmp_path: Path) -> None:
    """install.sh leaves a file that differs alone, names it, and never touches the generator's."""
    environment = os.environ | {"DESTDIR": str(tmp_path)}
    install = ["sh", str(written.systemd / "install.sh")]
    subprocess.run(install, env=environment, check=True)
    edited = tmp_path / "etc/runscrape/runscrape.yaml"
    kept = tmp_path / "var/lib/runscrape/prometheus.yml"
    secret = tmp_path / "etc/runscrape/client-secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    edited.write_text("project: [mine]\n")
    kept.write_text("newer\n")
    done = subprocess.run(install, env=environment, check=True, capture_output=True, text=True)
    assert str(edited) in done.stderr
    assert edited.read_text() == "project: [mine]\n"
    assert "demo" in edited.with_name("runscrape.yaml.new").read_text()
    assert kept.read_text() == "newer\n"


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("systemd-tmpfiles") is None,
    reason="only root can give files away, and systemd has to be installed",
)
def test_users_and_folders(written: Written, tmp_path: Path) -> None:
    """With systemd-sysusers and systemd-tmpfiles run as install.sh does, the generator's user owns
    the folders that it writes to, everybody reads them, and root alone the secret.
    """
    environment = os.environ | {"DESTDIR": str(tmp_path)}
    subprocess.run(["sh", written.systemd / "install.sh"], env=environment, check=True)
    for tool in (["systemd-sysusers"], ["systemd-tmpfiles", "--create"]):
        subprocess.run([*tool, f"--root={tmp_path}", "runscrape.conf"], check=True)
    (line,) = re.findall(r"^runscrape:.*$", (tmp_path / "etc/passwd").read_text(), re.MULTILINE)
    user = int(line.split(":")[2])
    for name, owner, mode in (
        ("var/lib/runscrape", user, 0o755),
        ("var/lib/runscrape/metrics", user, 0o755),
        ("etc/runscrape", 0, 0o755),
        ("etc/runscrape/client-secret", 0, 0o600),
    ):
        found = (tmp_path / name).stat()
        assert (name, found.st_uid, stat.S_IMODE(found.st_mode)) == (name, owner, mode)


def test_an_odd_period(google: Google, tmp_path: Path) -> None:
    """What cron cannot repeat is a process that stays; what it can is a schedule to the minute."""
    for every, schedule in (
        ("45m", None),
        ("90s", None),
        ("7m", None),
        ("5h", None),
        ("1m", "*/1 * * * *"),
        ("30m", "*/30 * * * *"),
        ("60m", "0 * * * *"),
        ("6h", "0 */6 * * *"),
        ("1d", "0 0 * * *"),
    ):
        bundle = google.write(tmp_path / every, "--platform", "systemd", "--every", every)
        *_, line = (bundle / "crontab").read_text().rstrip().splitlines()
        if schedule is None:
            assert line.startswith("@reboot runscrape /opt/runscrape/bin/runscrape generate ")
            assert f" --watch {every} " in line
        else:
            assert line.startswith(f"{schedule} runscrape ")
            assert "--watch" not in line


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
