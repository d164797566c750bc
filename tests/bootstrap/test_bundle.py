"""Who owns which file of a bundle: what is ours is updated, what the user edited is left alone."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runscrape_generator.bootstrap import bundle
from runscrape_generator.bootstrap.bundle import Fate
from runscrape_generator.bootstrap.folder import Folder
from runscrape_generator.bootstrap.platforms import MANIFEST
from runscrape_generator.cli import main as cli
from runscrape_generator.errors import RunscrapeError
from tests.bootstrap.conftest import Google
from tests.bootstrap.planned import plan, put
from tests.bootstrap.processes import PROGRAMS
from tests.kit import fast_yaml as yaml
from tests.kit.programs import running
from tests.kit.waiting import QUIET

ALERTS = "config/rules/alerts.yml"
AS_A_USER = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
    if os.geteuid() == 0
    else ()
)
"""Modes of files hold for root as well."""


def snapshot(directory: Path) -> dict[str, tuple[bytes, int, int]]:
    """Give content, mtime and inode of every file."""
    return {
        str(path.relative_to(directory)): (
            path.read_bytes(),
            path.stat().st_mtime_ns,
            path.stat().st_ino,
        )
        for path in directory.rglob("*")
        if path.is_file()
    }


def run(google: Google, directory: Path, *arguments: str, platform: str = "compose") -> int:
    own = ["--project", "demo", "--api-endpoint", google.emulator.api]
    return cli.main(["bootstrap", str(directory), "--platform", platform, *arguments, *own])


@pytest.fixture(scope="module")
def template(google: Google, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A bundle, and a copy of it: the units in it name the folder that it is in."""
    folder = tmp_path_factory.mktemp("fresh")
    written = google.write(folder / "bundle", "--platform", "compose")
    copy(written, folder / "copy")
    return written, folder / "copy"


@pytest.fixture
def fresh(template: tuple[Path, Path]) -> Path:
    """The bundle as it was written, with owners and times."""
    written, kept = template
    shutil.rmtree(written)
    copy(kept, written)
    return written


def copy(origin: Path, target: Path) -> None:
    subprocess.run(["cp", "--archive", origin, target], check=True)


def test_a_second_run_changes_nothing(google: Google, fresh: Path) -> None:
    """Run again with the same settings, it leaves bytes, mtime and inode of every file."""
    before = snapshot(fresh)
    assert run(google, fresh) == 0
    assert snapshot(fresh) == before


def test_what_is_ours_is_updated(google: Google, fresh: Path) -> None:
    """With other settings the files that nobody edited follow."""
    assert run(google, fresh, "--image", "registry.example/runscrape:9") == 0
    assert "registry.example/runscrape:9" in (fresh / "compose.yaml").read_text()


def test_an_edited_file_is_kept(
    google: Google, fresh: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An edited file stays; the new version comes beside it, and stderr names it."""
    edited = fresh / "compose.yaml"
    edited.write_text(edited.read_text() + "# mine\n")
    mine = edited.read_bytes()
    assert run(google, fresh, "--image", "registry.example/runscrape:9") == 0
    assert edited.read_bytes() == mine
    assert "registry.example/runscrape:9" in (fresh / "compose.yaml.new").read_text()
    assert "compose.yaml: kept, it is yours" in capsys.readouterr().err


def test_an_edit_is_named_though_nothing_new_is_to_come(
    google: Google, fresh: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where our version did not change there is nothing to put beside the edited file."""
    (fresh / ALERTS).write_text("groups: []\n")
    assert run(google, fresh) == 0
    assert f"1 kept, which are yours ({ALERTS})" in capsys.readouterr().err
    assert not (fresh / f"{ALERTS}.new").exists()


def test_a_file_that_was_there_first_is_kept(google: Google, tmp_path: Path) -> None:
    """A file that we never wrote is not overwritten."""
    (tmp_path / "README.md").write_text("my notes\n")
    google.write(tmp_path, "--platform", "compose")
    assert (tmp_path / "README.md").read_text() == "my notes\n"
    assert "docker compose up" in (tmp_path / "README.md.new").read_text()


def test_an_edit_that_is_taken_back_is_ours_again(google: Google, fresh: Path) -> None:
    """A file that is once more as we wrote it is updated once more."""
    path = fresh / "compose.yaml"
    ours = path.read_text()
    path.write_text("mine\n")
    run(google, fresh, "--image", "registry.example/runscrape:8")
    path.write_text(ours)
    run(google, fresh, "--image", "registry.example/runscrape:9")
    assert "registry.example/runscrape:9" in path.read_text()


def test_what_is_no_longer_needed_goes(google: Google, tmp_path: Path) -> None:
    """With --no-grafana its files go, but for the one that was edited."""
    directory = google.write(tmp_path / "b", "--platform", "compose", "--grafana")
    provisioning = directory / "grafana/provisioning"
    edited = provisioning / "dashboards/runscrape.yml"
    edited.write_text("mine\n")
    assert run(google, directory, "--no-grafana") == 0
    assert not (provisioning / "datasources/prometheus.yml").exists()
    assert edited.read_text() == "mine\n"


def test_the_edited_settings_count(google: Google, fresh: Path) -> None:
    """What the user wrote into runscrape.yaml decides what is generated on the next run."""
    path = fresh / "config/runscrape.yaml"
    path.write_text(path.read_text() + "include: [hello]\n")
    assert run(google, fresh) == 0
    text = (fresh / "state/prometheus.yml").read_text()
    assert "cloudrun/demo/europe-west1/hello" in text
    assert "cloudrun/demo/us-central1/api" not in text


def test_the_edited_template_counts(google: Google, fresh: Path) -> None:
    """So does what the user wrote into the template of prometheus.yml."""
    path = fresh / "config/prometheus.yml.j2"
    path.write_text(path.read_text().replace("scrape_interval: 1m", "scrape_interval: 45s"))
    assert run(google, fresh) == 0
    assert "scrape_interval: 45s" in (fresh / "state/prometheus.yml").read_text()


def test_a_later_run_need_not_repeat_itself(google: Google, tmp_path: Path) -> None:
    """With the folder alone, everything that was ever given still holds."""
    first = ["--grafana", "--image", "registry.example/r:1", "--include", "hello", "--every", "2m"]
    directory = google.write(tmp_path / "b", "--platform", "compose", *first)
    before = snapshot(directory)
    assert cli.main(["bootstrap", str(directory)]) == 0
    assert snapshot(directory) == before
    assert cli.main(["bootstrap", str(directory), "--every", "3m"]) == 0
    text = (directory / "compose.yaml").read_text()
    assert '"--watch", "3m"' in text
    assert "registry.example/r:1" in text
    assert "hello" in (directory / "config/runscrape.yaml").read_text()


def test_comments_in_the_settings(google: Google, fresh: Path) -> None:
    """A runscrape.yaml that says the same in other words is kept, with nothing beside it."""
    path = fresh / "config/runscrape.yaml"
    path.write_text("# why: because\n" + path.read_text() + "include: [hello]  # only this one\n")
    assert run(google, fresh) == 0
    assert not path.with_name("runscrape.yaml.new").exists()
    assert run(google, fresh, "--exclude", "api") == 0
    assert "# only this one" in path.read_text()
    assert "api" in path.with_name("runscrape.yaml.new").read_text()


def test_the_version_follows_the_image(google: Google, fresh: Path) -> None:
    """What is rendered for Prometheus is for the one whose image runs."""
    path = fresh / "config/runscrape.yaml"
    assert "prometheus_version: '3.10'" in path.read_text()
    assert run(google, fresh, "--prometheus-image", "prom/prometheus:v2.53.1") == 0
    assert "prometheus_version: '2.53'" in path.read_text()
    assert "fallback_scrape_protocol" not in (fresh / "state/prometheus.yml").read_text()


def test_a_version_that_the_image_does_not_have(
    google: Google, fresh: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where --prometheus-version and the image's tag differ, it is said which one is to last."""
    said = "is for this run; the next one goes by the tag of --prometheus-image again, 3.10"
    assert run(google, fresh, "--prometheus-version", "2.53") == 0
    assert f"--prometheus-version 2.53: {said}" in capsys.readouterr().err
    assert run(google, fresh, "--prometheus-version", "3.10") == 0
    assert said not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("1.4", None),
        ("2024.05", None),
        ("latest", None),
        ("2.26.0", None),
        ("v2.27.1", "2.27"),
        ("v3.10.0-distroless", "3.10"),
    ],
)
def test_a_tag_that_is_no_version(
    google: Google,
    tmp_path: Path,
    tag: str,
    version: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An image whose tag names no Prometheus version is taken, with a warning what the jobs are for
    and which option says otherwise; that option then ends the warning.
    """
    image = ["--prometheus-image", f"registry.example/prometheus:{tag}"]
    assert run(google, tmp_path / "b", *image) == 0
    warned = "names no version of Prometheus" in capsys.readouterr().err
    assert warned is (version is None)
    text = (tmp_path / "b/config/runscrape.yaml").read_text()
    assert ("prometheus_version" in text) is (version is not None)
    if warned:
        assert run(google, tmp_path / "c", *image, "--prometheus-version", "3.5") == 0
        assert "names no version" not in capsys.readouterr().err
        assert "prometheus_version: '3.5'" in (tmp_path / "c/config/runscrape.yaml").read_text()


def test_a_tag_that_is_no_version_after_one_that_is(
    google: Google, fresh: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the bundle knows of an earlier image says nothing of another: it is warned of as in a
    new bundle, on each run, until --prometheus-version says it; that one then stays.
    """
    config = fresh / "config/runscrape.yaml"
    untold = ["--prometheus-image", "registry.example/prometheus:stable"]
    for arguments in (untold, []):
        assert run(google, fresh, *arguments) == 0
        assert "names no version of Prometheus" in capsys.readouterr().err
        assert "prometheus_version" not in config.read_text()
        assert "fallback_scrape_protocol" not in (fresh / "state/prometheus.yml").read_text()
    for arguments in (["--prometheus-version", "3.5"], []):
        assert run(google, fresh, *arguments) == 0
        assert "names no version" not in capsys.readouterr().err
        assert "prometheus_version: '3.5'" in config.read_text()


def test_an_edited_version_stays(google: Google, fresh: Path) -> None:
    """A version that the user wrote into the bundle is for whatever image they name."""
    config = fresh / "config/runscrape.yaml"
    config.write_text(config.read_text().replace("'3.10'", "'3.5'"))
    assert run(google, fresh, "--prometheus-image", "registry.example/prometheus:stable") == 0
    assert "prometheus_version: '3.5'" in config.read_text()
    assert not config.with_name("runscrape.yaml.new").exists()


def test_a_value_is_taken_back(google: Google, tmp_path: Path) -> None:
    """An empty value takes back what an earlier run was given; without one it holds."""
    with_manager = ["--alertmanager", "a:9093", "--alertmanager", "[fd00::1]:9093"]
    directory = google.write(tmp_path / "b", "--platform", "compose", *with_manager)
    path = directory / "config/prometheus.yml.j2"
    assert run(google, directory) == 0
    assert '["a:9093", "[fd00::1]:9093"]' in path.read_text()
    assert run(google, directory, "--alertmanager", "") == 0
    assert "a:9093" not in path.read_text()


def test_a_default_is_taken_back(google: Google, tmp_path: Path) -> None:
    """An empty value is the default again, of an option that has one as well."""
    plain = google.write(tmp_path / "plain", "--platform", "kubernetes")
    given = ["--every", "10m", "--image", "x/y:1", "--namespace", "other", "--retention", "3d"]
    changed = google.write(tmp_path / "b", "--platform", "kubernetes", *given)
    empty = [word for flag in given[::2] for word in (flag, "")]
    assert run(google, changed, *empty, platform="kubernetes") == 0
    for name in ("manifests/prometheus.yaml", "kustomization.yaml", MANIFEST):
        assert (changed / name).read_text() == (plain / name).read_text()


def test_samples_have_room(
    google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A retention size that the volume cannot hold ends with 2, and nothing is written."""
    sizes = ("--volume-size", "1Ti", "--retention-size")
    assert run(google, tmp_path / "b", *sizes, "1024GB", platform="kubernetes") == 2
    assert "1024GB do not fit on a volume of 1Ti (--volume-size)" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
    assert run(google, tmp_path / "b", *sizes, "900GB", platform="kubernetes") == 0
    manifest = (tmp_path / "b/manifests/prometheus.yaml").read_text()
    assert "--storage.tsdb.retention.size=900GB" in manifest


def test_one_scrape_has_limits(google: Google, tmp_path: Path) -> None:
    """Each job is limited in samples and size, the gateway's by the global section of a Prometheus
    that has it; a rule of the user's sets others, and an edited file is not given ours again.
    """
    directory = google.write(tmp_path / "b", "--platform", "compose")
    rendered = directory / "state/prometheus.yml"
    *_, job = yaml.safe_load(rendered.read_text())["scrape_configs"]
    assert (job["sample_limit"], job["body_size_limit"]) == (50000, "64MB")
    config = directory / "config/runscrape.yaml"
    config.write_text(config.read_text() + "- scrape_config: {sample_limit: 7}\n")
    assert run(google, directory) == 0
    *_, job = yaml.safe_load(rendered.read_text())["scrape_configs"]
    assert job["sample_limit"] == 7
    config.write_text(config.read_text().partition("rules:")[0])
    assert run(google, directory) == 0
    assert not config.with_name("runscrape.yaml.new").exists()
    through = google.write(tmp_path / "g", "--platform", "compose", "--mode", "gateway")
    document = yaml.safe_load((through / "state/prometheus.yml").read_text())
    assert document["global"]["sample_limit"] == 50000
    assert document["global"]["body_size_limit"] == "64MB"
    old = [*("--mode", "gateway"), *("--prometheus-image", "prom/prometheus:v2.44.0")]
    before = google.write(tmp_path / "o", "--platform", "compose", *old)
    assert "_limit" not in (before / "state/prometheus.yml").read_text()


def test_where_the_files_are_is_said(
    google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Messages name the bundle's files, and the README is ours, or a foreign one's neighbour."""
    directory = tmp_path / "b"
    directory.mkdir()
    (directory / "README.md").write_text("my notes\n")
    assert run(google, directory) == 0
    err = capsys.readouterr().err
    assert f"written to {directory}/state/prometheus.yml" in err
    assert f"go on with {directory}/README.md.new" in err
    (directory / "README.md").unlink()
    assert run(google, directory) == 0
    assert capsys.readouterr().err.endswith(f"go on with {directory}/README.md\n")


def test_a_block_that_did_not_change(
    google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the jobs are kept in the user's prometheus.yml, the file that shows them is written
    once, and a second run says that nothing changed.
    """
    arguments = ["--prometheus-version", "2.42"]
    assert run(google, tmp_path / "b", *arguments, platform="systemd") == 0
    assert f"written to {tmp_path}/b/prometheus-block.yml" in capsys.readouterr().err
    assert run(google, tmp_path / "b", *arguments, platform="systemd") == 0
    assert "nothing changed" in capsys.readouterr().err


def test_settings_that_the_bundle_sets(
    google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a user's runscrape.yaml says and the bundle sets otherwise is warned of, by its line."""
    config = tmp_path / "runscrape.yaml"
    config.write_text("token_url: http://127.0.0.1:1/token\nreload: http://127.0.0.1:1/-/reload\n")
    assert run(google, tmp_path / "b", "--config", str(config)) == 0
    said = capsys.readouterr().err
    assert f"{config}:1: token_url is set by the bundle itself" in said
    assert f"{config}:2: reload is set by the bundle itself" in said
    assert run(google, tmp_path / "b") == 0
    assert "is set by the bundle" not in capsys.readouterr().err


def test_a_template_of_the_first_release(
    google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bundles for systemd had one: ours does not name it any more, one that is kept is told."""
    directory = tmp_path / "b"
    assert run(google, directory, platform="systemd") == 0
    config = directory / "root/etc/runscrape/runscrape.yaml"
    config.write_text(config.read_text() + "template: /etc/runscrape/prometheus.yml.j2\n")
    config.with_name("prometheus.yml.j2").write_text("scrape_configs:\n{{ cloud_run_jobs }}\n")
    capsys.readouterr()
    assert run(google, directory, "--scrape-interval", "45s", platform="systemd") == 0
    assert "has this template no more" in capsys.readouterr().err
    ours = config.with_name("runscrape.yaml.new").read_text()
    assert "45s" in ours
    assert "template:" not in ours


def test_credentials_that_the_containers_cannot_read(
    google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key file that is not there, or not readable for the containers' user, is warned of."""
    key = tmp_path / "key.json"
    arguments = ["--credentials-file", str(key)]
    assert run(google, tmp_path / "b", *arguments) == 0
    assert f"{key}: No such file or directory; it has to be there" in capsys.readouterr().err
    key.write_text("{}")
    for mode, warned in ((0o644, False), (0o000, True)):
        key.chmod(mode)
        assert run(google, tmp_path / "b", *arguments) == 0
        assert ("who cannot read it" in capsys.readouterr().err) is warned


@pytest.mark.parametrize("platform", ["compose", "systemd"])
def test_credentials_that_nobody_can_read(
    google: Google, tmp_path: Path, platform: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not there, and a folder, is warned of wherever it would be mounted or loaded."""
    key = tmp_path / "key.json"
    for arguments, said in (
        (["--credentials-file", str(key)], "No such file or directory; it has to be there"),
        (["--credentials-file", str(tmp_path)], "is a folder; name a file"),
    ):
        assert run(google, tmp_path / "b", *arguments, platform=platform) == 0
        assert f"warning: {' '.join(arguments)}: {said}" in capsys.readouterr().err


def test_credentials_that_root_hands_over(
    google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under systemd root reads the file, whoever else may."""
    key = tmp_path / "key.json"
    key.touch(0o000)
    arguments = ["--credentials-file", str(key)]
    assert run(google, tmp_path / "b", *arguments, platform="systemd") == 0
    assert "warning: --credentials-file" not in capsys.readouterr().err


@pytest.mark.parametrize("platform", ["compose", "kubernetes", "systemd"])
def test_a_folder(
    google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str], platform: str
) -> None:
    """A bundle for a folder grants the roles there; its account belongs to a project."""
    folder = ("--folder", "123456789012")
    alone = ["bootstrap", str(tmp_path / "alone"), "--platform", platform, *folder]
    assert cli.main([*alone, "--api-endpoint", google.emulator.api]) == 2
    assert "needs --project as well" in capsys.readouterr().err
    assert run(google, tmp_path / "bundle", *folder, platform=platform) == 3  # it has no role yet
    readme = (tmp_path / "bundle" / "README.md").read_text()
    for role in ("cloudasset.viewer", "run.viewer", "run.invoker"):
        assert (
            "gcloud resource-manager folders add-iam-policy-binding 123456789012 --member "
            f"serviceAccount:runscrape@demo.iam.gserviceaccount.com --role roles/{role} "
            "--condition None\n"
        ) in readme
    assert "gcloud services enable cloudasset.googleapis.com --project demo" in readme


def test_no_platform(google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new bundle needs a platform: exit 2, naming them."""
    arguments = ["--project", "demo", "--api-endpoint", google.emulator.api]
    assert cli.main(["bootstrap", str(tmp_path / "b"), *arguments]) == 2
    assert "--platform: say one of compose, kubernetes, systemd" in capsys.readouterr().err


def test_bad_edited_settings(
    google: Google, fresh: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake in the user's runscrape.yaml is exit 2 with its line, and no file changes."""
    path = fresh / "config/runscrape.yaml"
    path.write_text("project: [demo]\nincluude: [x]\n")
    before = snapshot(fresh)
    assert run(google, fresh, "--image", "registry.example/other:1") == 2
    assert f"{path}:2: incluude: unknown key" in capsys.readouterr().err
    assert snapshot(fresh) == before


def test_diff(google: Google, fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--diff shows on stdout what a run would change, and changes nothing."""
    before = snapshot(fresh)
    assert run(google, fresh, "--diff", "--image", "registry.example/other:1") == 0
    assert snapshot(fresh) == before
    out = capsys.readouterr().out
    assert '+    image: "registry.example/other:1"' in out
    assert "secret" not in "".join(line for line in out.splitlines() if line[:1] in "+-")


def test_diff_of_nothing(google: Google, fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--diff of a bundle that is as it should be prints nothing."""
    assert run(google, fresh, "--diff") == 0
    assert capsys.readouterr().out == ""


def test_first_diff(google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--diff of a bundle that is not there yet shows all of it, makes no folder, and says so."""
    directory = tmp_path / "not-yet"
    assert run(google, directory, "--diff") == 0
    out, err = capsys.readouterr()
    assert f"{directory}/state/prometheus.yml would change" in err
    assert "written" not in err
    for name in ("compose.yaml", "config/runscrape.yaml", "state/prometheus.yml"):
        assert f"+++ {directory / name}" in out
    assert not directory.exists()


@pytest.mark.parametrize("platform", ["compose", "kubernetes", "systemd"])
def test_the_secret(
    google: Google, tmp_path: Path, platform: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is made once, 0600, long, never printed, in no other file, and kept on a second run."""
    directory = tmp_path / "b"
    assert run(google, directory, "-vv", platform=platform) == 0
    (path,) = directory.rglob("client-secret")
    secret = path.read_text()
    assert len(secret) >= 43
    assert secret == secret.strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for arguments in (["-vv"], ["--diff"], ["--image", "registry.example/other:1"]):
        assert run(google, directory, *arguments, platform=platform) == 0
    assert path.read_text() == secret
    said = capfd.readouterr()
    assert secret not in said.out + said.err
    holding = [
        each for each in directory.rglob("*") if each.is_file() and secret in each.read_text()
    ]
    assert holding == [path]


def test_a_newline_of_the_first_release_goes(google: Google, tmp_path: Path) -> None:
    """On Kubernetes, where the operator would send it along, an old secret loses its newline."""
    directory = google.write(tmp_path / "b", "--platform", "kubernetes")
    path = directory / "secrets/client-secret"
    secret = path.read_bytes()
    path.write_bytes(secret + b"\n")
    assert run(google, directory, platform="kubernetes") == 0
    assert path.read_bytes() == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_bundles_have_two_secrets(google: Google, tmp_path: Path) -> None:
    """No two bundles share a secret."""
    found = {
        (
            google.write(tmp_path / name, "--platform", "compose") / "secrets/client-secret"
        ).read_text()
        for name in "ab"
    }
    assert len(found) == 2


def test_an_empty_secret(google: Google, fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty secret file is exit 2 with the remedy: it would let nobody in, or everybody."""
    (fresh / "secrets/client-secret").write_text("")
    assert run(google, fresh) == 2
    assert "is empty; remove it" in capsys.readouterr().err


@pytest.mark.parametrize(("make", "said"), [(Path.mkdir, "a folder"), (None, "a symbolic link")])
def test_a_secret_that_is_no_file(
    google: Google,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], None] | None,
    said: str,
) -> None:
    """A folder in the secret's place, as container engines make them, or a dangling link, is exit 2
    with the remedy.
    """
    secret = tmp_path / "b/secrets/client-secret"
    secret.parent.mkdir(parents=True)
    make(secret) if make else secret.symlink_to(tmp_path / "gone")
    assert run(google, tmp_path / "b") == 2
    err = capsys.readouterr().err
    assert f"{secret}: is {said}" in err
    assert "move it away" in err


def test_a_file_for_a_folder(
    google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file named as the folder is exit 2, and stays as it is."""
    (tmp_path / "notes").write_text("mine\n")
    assert run(google, tmp_path / "notes") == 2
    assert "notes is a file; name a folder" in capsys.readouterr().err
    assert (tmp_path / "notes").read_text() == "mine\n"


def test_a_secret_that_others_can_read(
    google: Google, fresh: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A secret that others can read is warned of."""
    (fresh / "secrets/client-secret").chmod(0o644)
    assert run(google, fresh) == 0
    assert "other users can read it" in capsys.readouterr().err


def test_another_platform(google: Google, fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder has one platform's bundle: another one is exit 2, and nothing changes."""
    before = snapshot(fresh)
    assert run(google, fresh, platform="systemd") == 2
    assert "holds a bundle for compose" in capsys.readouterr().err
    assert snapshot(fresh) == before


@pytest.mark.parametrize(
    "broken", ["", "{}", "[]", '{"files": {}, "platform": "compose", "choices": 1}']
)
def test_a_broken_manifest(
    google: Google, fresh: Path, broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody knows what was edited: exit 2 with the remedy, and nothing changes."""
    (fresh / MANIFEST).write_text(broken)
    before = snapshot(fresh)
    assert run(google, fresh, "--image", "registry.example/other:1") == 2
    assert "remove it" in capsys.readouterr().err
    assert snapshot(fresh) == before


def test_google_is_down(google: Google, fresh: Path, tmp_path: Path) -> None:
    """A listing that fails with nothing known is exit 4 and leaves no half bundle; a bundle that
    is there is served from its inventory, exit 3.
    """
    down = ["--api-endpoint", "http://127.0.0.1:1", "--region", "us-central1", "--timeout", "1s"]
    new = tmp_path / "new"
    common = ["--project", "demo", "--platform", "compose", *down]
    assert cli.main(["bootstrap", str(new), *common]) == 4
    assert not (new / "compose.yaml").exists()
    text = (fresh / "state/prometheus.yml").read_bytes()
    # The bundle's own settings say where Google is; edited, they count.
    path = fresh / "config/runscrape.yaml"
    path.write_text(
        path.read_text().replace(google.emulator.api, "http://127.0.0.1:1") + "timeout: 1s\n"
    )
    assert cli.main(["bootstrap", str(fresh), *common]) == 3
    assert (fresh / "state/prometheus.yml").read_bytes() == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--image", "a b"], "--image: 'a b' is not an image"),
        (["--image", 'x"\nevil: yes'], "--image: "),
        (["--every", "1s"], "--every: '1s' is not a duration from 30s to 1d"),
        (["--every", "soon"], "--every: 'soon' is not a duration from 30s to 1d"),
        (["--namespace", "Not_One"], "--namespace: 'Not_One' is not a namespace's name"),
        (["--program-dir", "bin"], "--program-dir: 'bin' is not an absolute path"),
        (["--program-dir", "/home/me/bin"], "--program-dir: '/home/me/bin' is not an absolute"),
        (["--program-dir", "/opt/../root/bin"], "that a sandboxed unit sees"),
        (["--alertmanager", "alerts"], "--alertmanager: 'alerts' is not an address"),
        (["--alertmanager", "alerts:99999"], "--alertmanager: 'alerts:99999' is not an address"),
        (["--alertmanager", "fd00::1:9093"], "--alertmanager: 'fd00::1:9093' is not an address"),
        (["--credentials-file", "/a:b.json"], "--credentials-file: '/a:b.json' is not a path of"),
        (["--program-dir", "/opt/a:b/bin"], "--program-dir: '/opt/a:b/bin' is not an absolute"),
        (["--retention-size", "10Gi"], "--retention-size: '10Gi' is not a size such as 16GB"),
        (["--external-label", "a={{ 1 }}"], "--external-label: 'a={{ 1 }}' is not a label"),
        (["--external-label", "a=$HOME"], "--external-label: 'a=$HOME' is not a label"),
        (["--object-label", "team=core"], "--object-label: only with --platform kubernetes"),
        (
            ["--external-label", "a=b", "--external-label", "a=c"],
            "--external-label: a has two values",
        ),
        (["--google-service-account", "me"], "--google-service-account: 'me' is not an e-mail"),
        (["--operator"], "--operator: only with --platform kubernetes"),
        (["--platform", "nomad"], "'nomad' is not one of"),
        (["--scrape-timeout", "5m"], "--scrape-timeout: 5m is longer than"),
    ],
)
def test_usage(
    google: Google,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A bad value is exit 2 with a message that names the option, and nothing is written."""
    assert run(google, tmp_path / "b", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_a_period_that_no_cronjob_can_keep(
    google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --operator a CronJob is all there is, so a period that cron cannot say is exit 2."""
    odd = ["--operator", "--every", "45m"]
    assert run(google, tmp_path / "b", *odd, platform="kubernetes") == 2
    assert "--every: cron cannot start a CronJob every 45m" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_a_label_that_selects_the_pods(
    google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A label by which the bundle's own objects find its pods keeps its value: exit 2."""
    label = ["--object-label", "app.kubernetes.io/name=mine"]
    assert run(google, tmp_path / "b", *label, platform="kubernetes") == 2
    said = "--object-label: app.kubernetes.io/name is the bundle's own, and selects its pods"
    assert said in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a name (an unset variable) does not mean the one we are in: exit 2."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["bootstrap", "", "--platform", "compose", "--project", "demo"]) == 2
    assert not list(tmp_path.iterdir())


def test_jobs_that_are_meant_to_go(
    google: Google, fresh: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that would remove most jobs is refused, and takes the option that the refusal names;
    it is for that run, and the generator of the bundle goes on refusing.
    """
    before = snapshot(fresh)
    assert run(google, fresh, "--exclude", "*") == 5
    assert "run once with --max-removed 100" in capsys.readouterr().err
    assert snapshot(fresh) == before
    assert run(google, fresh, "--exclude", "*", "--max-removed", "100") == 0
    assert "cloudrun/" not in (fresh / "state/prometheus.yml").read_text()
    assert "max_removed" not in (fresh / "config/runscrape.yaml").read_text()


@pytest.mark.parametrize("name", ["prometheus.yml", "inventory.json"])
def test_a_foreign_file_in_the_place_of_the_generators(
    google: Google, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is refused as by the generator, and with what can be done in a bundle."""
    foreign = tmp_path / "b/state" / name
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine: {}\n")
    assert run(google, tmp_path / "b") == 5
    said = f"error: {foreign}: was not written by runscrape, and would be lost: move it away\n"
    assert capsys.readouterr().err.endswith(said)
    assert foreign.read_text() == "mine: {}\n"


def test_a_full_disk(google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that finds no room ends with 7, leaves no folder, and changes none that is there."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        assert run(google, tmp_path / "new") == 7
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "make room in" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_failed_run_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Where any file cannot be written or put in its place, a first run leaves none of them."""
    real, survived, failed = getattr(os, call), 0, True
    while failed:
        directory = tmp_path / str(survived)
        directory.mkdir()
        left = [survived]

        def limited(*arguments: Any, left: list[int] = left, **more: Any) -> None:
            if not left[0]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            left[0] -= 1
            real(*arguments, **more)

        monkeypatch.setattr(os, call, limited)
        try:
            put(directory, 1)
            failed = False
        except RunscrapeError:
            assert list(directory.iterdir()) == []
        monkeypatch.undo()
        survived += 1
    assert survived > 4


def test_usage_by_platform(
    google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An option that the platform would not use is exit 2."""
    assert run(google, tmp_path / "b", "--grafana", platform="systemd") == 2
    assert "--grafana: only with --platform compose" in capsys.readouterr().err
    assert run(google, tmp_path / "b", "--credentials-file", "/x", platform="kubernetes") == 2
    assert "the pod has workload identity instead" in capsys.readouterr().err


def test_a_folder_that_no_unit_can_name(
    google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder with a space, a colon or a newline in its name is exit 2: quadlets could not name
    it.
    """
    for name in ("my bundle", "a:b", "a\nVolume=/:/host"):
        assert run(google, tmp_path / name) == 2
        assert "is not a path of letters, digits and _@+=,.-" in capsys.readouterr().err
        assert not (tmp_path / name).exists()


def test_a_folder_above_that_no_unit_can_name(
    google: Google,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is wrong may be above the folder that was typed, so the message has the whole path;
    where nothing in the bundle names its folder, it may be called anything.
    """
    above = tmp_path / "my projects"
    above.mkdir()
    monkeypatch.chdir(above)
    assert run(google, Path("compose")) == 2
    assert f"DIR: '{above}/compose' is not a path" in capsys.readouterr().err
    for platform in ("kubernetes", "systemd"):
        assert run(google, Path(platform), platform=platform) == 0
        named = [
            path for path in above.rglob("*") if path.is_file() and b"my proj" in path.read_bytes()
        ]
        assert not named


def test_read_only_folder(
    google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that cannot be made is exit 7, and nothing is said to be written."""
    (tmp_path / "file").write_text("")
    assert run(google, tmp_path / "file" / "bundle") == 7
    (tmp_path / "link").symlink_to("nowhere")  # which shows only when all is there to be written
    assert run(google, tmp_path / "link") == 7
    assert "written to" not in capsys.readouterr().err


def test_a_folder_that_may_not_be_looked_at(
    google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that the system refuses to look up is exit 7 with its reason, and no bug of ours."""
    assert run(google, tmp_path / ("x" * 300)) == 7
    assert "File name too long" in capsys.readouterr().err


def test_a_folder_below_one_of_somebody_elses(google: Google, tmp_path: Path) -> None:
    """So is one below a folder that this user may not enter."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    own = ["--project", "demo", "--platform", "compose", "--api-endpoint", google.emulator.api]
    argv = [*AS_A_USER, PROGRAMS / "runscrape", "bootstrap", closed / "b", *own]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert f"{closed / 'b'}: Permission denied" in done.stderr


KILLED = """
import os, sys
from pathlib import Path
from tests.bootstrap.planned import put
directory, survived = Path(sys.argv[1]), int(sys.argv[2])
rename, done = os.rename, []
def limited(*arguments, **more):
    if len(done) == survived:
        os._exit(9)
    done.append(rename(*arguments, **more))
os.rename = limited
put(directory, 2)
"""


def test_killed_between_any_two_files(tmp_path: Path) -> None:
    """Killed anywhere, the next run takes no file of ours for an edited one, and heals."""
    for survived in range(6):
        directory = tmp_path / str(survived)
        directory.mkdir()
        put(directory, 1)
        command = [sys.executable, "-c", KILLED, str(directory), str(survived)]
        with running(command, tmp_path / "log", forked=True) as killed:
            assert killed.process.wait(QUIET) == (9 if survived < 5 else 0), killed.log
        for version in (1, 2, 3):
            with Folder(directory) as folder:
                known = bundle.load(folder)
                assert known is not None
                fates = {step.fate for step in bundle.steps(folder, plan(version), known)}
            assert fates <= {Fate.SAME, Fate.UPDATE}, (survived, version, fates)
        put(directory, 3)
        assert [(directory / name).read_text() for name in "abc"] == ["a 3\n", "b 3\n", "c 3\n"]
        assert {path.name for path in directory.iterdir()} == {"a", "b", "c", MANIFEST}


def test_the_manifest_is_stable(fresh: Path) -> None:
    """The manifest is sorted JSON with the digest of each file, and no secret's."""
    content = json.loads((fresh / MANIFEST).read_text())
    assert content["platform"] == "compose"
    assert list(content["files"]) == sorted(content["files"])
    assert not [name for name in content["files"] if "secret" in name or name.startswith("state/")]
    assert all(len(digests) == 1 for digests in content["files"].values())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_hands_over(fresh: Path) -> None:
    """Where root wrote it, the containers' user owns secret, state and data, and nothing else."""
    for name in (
        "secrets",
        "secrets/client-secret",
        "state",
        "state/prometheus.yml",
        "data/prometheus",
    ):
        assert (fresh / name).stat().st_uid == 65532, name
    assert (fresh / "compose.yaml").stat().st_uid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_keeps_whose_bundle_it_is(google: Google, fresh: Path) -> None:
    """Where root runs it on the bundle of a user, the containers run as that user still, and what
    is written anew is theirs, as what it replaces was.
    """
    for path in (fresh, *fresh.rglob("*")):
        os.chown(path, 1234, 1234)
    (fresh / "state/prometheus.yml").unlink()
    assert run(google, fresh, "--every", "7m") == 0
    assert 'user: "1234:1234"' in (fresh / "compose.yaml").read_text()
    assert "UserNS=keep-id" in (fresh / "quadlet/runscrape-proxy.container").read_text()
    for name in ("compose.yaml", "state/prometheus.yml"):
        assert (fresh / name).stat().st_uid == 1234, name
