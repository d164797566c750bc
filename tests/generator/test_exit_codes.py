"""Each row of the exit table: the code, and every file's bytes, mtime and inode."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

import pytest

from emulator import Emulator
from runscrape_generator.publish import lock
from tests.generator.commands_kit import Site, failing, make_site, run_here, world
from tests.generator.publishing_kit import contents, get, prometheus, state, until, visible
from tests.kit import programs

BAD_TEMPLATE = "scrape_configs:\n  {{ cloud_run_jobs }}\nnonsense: 1\n"


@pytest.fixture
def site(tmp_path: Path, google: Emulator) -> Site:
    google.update(world())
    return make_site(tmp_path, google)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory, google: Emulator) -> Path:
    """Run once, well; give the folder for copying."""
    google.update(world())
    folder = tmp_path_factory.mktemp("first")
    assert make_site(folder, google).run().returncode == 0
    return folder


@pytest.fixture
def published(first_run: Path, site: Site) -> Site:
    """Give a site on which one run went well."""
    shutil.copytree(first_run, site.folder.parent, dirs_exist_ok=True)
    return site


def failed(site: Site, code: int, *more: str) -> str:
    """Run, and see that it fails with the code and touches no file; gives what it said."""
    look = contents if code == 8 else state  # what is put back is a copy
    before = look(site.folder)
    done = site.run(*more)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert look(site.folder) == before
    assert "Traceback" not in done.stderr
    return done.stderr


def test_0_published(site: Site) -> None:
    """0: output and inventory are there, and one line tells."""
    done = site.run()
    assert done.returncode == 0
    assert visible(site.folder) == ["inventory.json", "prometheus.yml"]
    assert done.stderr == (
        f"runscrape: 4 services, 4 jobs (+4), 0 skipped, written to {site.output}\n"
    )
    assert site.measured()["last_run_success"] == 1
    assert site.measured()["jobs"] == 4


def test_0_nothing_changed(published: Site) -> None:
    """0: an unchanged world leaves every file as it is, in every respect."""
    assert failed(published, 0) == "runscrape: 4 services, 4 jobs, 0 skipped, nothing changed\n"
    assert published.measured()["last_run_success"] == 1


def test_0_changed(published: Site) -> None:
    """0: what came and went is counted, and the mode of the file stays."""
    published.output.chmod(0o640)
    published.google.update(world("abcef"))
    done = published.run()
    assert done.returncode == 0
    assert "5 services, 5 jobs (+2 \N{MINUS SIGN}1), 0 skipped, written to" in done.stderr
    assert published.output.stat().st_mode & 0o777 == 0o640
    assert "svc-e" in published.output.read_text()


@pytest.mark.parametrize("wrong", [["--max-removed", "200"], ["--inventory", "OUTPUT"]])
def test_2_usage(published: Site, wrong: list[str]) -> None:
    """2: a mistake in the settings."""
    failed(published, 2, *[str(published.output) if w == "OUTPUT" else w for w in wrong])


def test_3_stale_scope(published: Site) -> None:
    """3: what could be listed is new, the failed region stays as the inventory has it."""
    published.google.update(world("bdf", failing("europe-west1")))
    done = published.run()
    assert done.returncode == 3
    assert "europe-west1" in done.stderr
    text = published.output.read_text()
    assert [name for name in "abcdf" if f"svc-{name}-" in text] == ["a", "c", "d"]
    assert "1 scope from the inventory" in done.stderr
    assert published.measured()['scope_stale{project="demo",region="europe-west1"}'] == 1
    assert published.measured()["last_run_success"] == 1


def test_3_nothing_changed(published: Site) -> None:
    """3: a stale scope that changes nothing writes nothing."""
    published.google.update(world(faults=failing("[eu]*")))
    assert "nothing changed" in failed(published, 3)


def test_3_first_run(site: Site) -> None:
    """3: on a first run a region that fails costs its own services, and is named."""
    site.google.update(world(faults=failing("europe-west1")))
    done = site.run()
    assert done.returncode == 3
    assert "region europe-west1: permission denied" in done.stderr
    assert "missing until it can be listed" in done.stderr
    assert "1 not listed" in done.stderr
    text = site.output.read_text()
    assert [name for name in "abcd" if f"svc-{name}-" in text] == ["b", "d"]
    assert site.measured()['scope_missing{project="demo",region="europe-west1"}'] == 1
    assert site.measured()["last_run_success"] == 1


def test_3_a_new_region_that_hangs(published: Site) -> None:
    """3: it costs the time of a call, and neither what is known nor what is new elsewhere."""
    content = world("abcde", {"list_services": [{"region": "us-east1", "hang": True}]})
    content["projects"]["demo"]["regions"].append("us-east1")
    published.google.update(content)
    done = published.run("--timeout", "2s")
    assert done.returncode == 3
    assert "5 jobs (+1)" in done.stderr
    assert "region us-east1: no answer within 2 s" in done.stderr


def test_3_a_second_project_without_its_role(published: Site) -> None:
    """3: a project that may not be listed yet costs nothing of the first one."""
    content = world("abcde")
    content["projects"]["other"] = {"number": 2, "viewers": []}
    published.google.update(content)
    done = published.run("--project", "other")
    assert done.returncode == 3
    assert "5 jobs (+1)" in done.stderr
    assert "project other: permission denied" in done.stderr
    assert "roles/run.viewer on project other" in done.stderr


def test_3_explain_shows_what_it_can(published: Site) -> None:
    """3: explain shows what could be listed, what stands in and what is missing."""
    content = world(faults=failing("europe-west1"))
    content["projects"]["other"] = {"number": 2, "viewers": []}
    published.google.update(content)
    words = ["explain", "--project", "demo", "--project", "other"]
    words += ["--api-endpoint", published.google.api]
    words += ["--inventory", str(published.folder / "inventory.json")]
    done = run_here(words, {})
    assert done.returncode == 3
    assert all(f"svc-{name}" in done.stdout for name in "abcd")
    assert "taken from the inventory: demo/europe-west1\n" in done.stdout
    assert "not listed, and in no inventory: other\n" in done.stdout


def test_4_nothing_listed(site: Site) -> None:
    """4: where nothing can be listed and there is no inventory nothing is published."""
    site.google.update(world(faults=failing("*")))
    done = site.run()
    assert done.returncode == 4
    assert "nothing could be listed, and no inventory stands in" in done.stderr
    assert visible(site.folder) == []
    assert site.measured()["last_run_success"] == 0


def test_4_keeps_what_is_there(published: Site) -> None:
    """4: without its inventory, a failed listing leaves the output alone."""
    (published.folder / "inventory.json").unlink()
    published.google.update(world(faults=failing("*")))
    before = published.measured()
    failed(published, 4)
    after = published.measured()
    assert after["last_run_success"] == 0
    assert {after[name] == before[name] for name in ("jobs", "last_success_timestamp_seconds")} == {
        True
    }


def test_5_shrink(published: Site) -> None:
    """5: too many jobs would go, or all of them; --max-removed 100 lets them."""
    published.google.update(world("a"))
    assert "refused to remove 3 of 4 jobs" in failed(published, 5)
    published.google.update(world(""))
    assert "refused to remove all 4 jobs" in failed(published, 5, "--max-removed", "99")
    assert published.run("--max-removed", "100").returncode == 0
    assert "svc-" not in published.output.read_text()


def test_2_a_file_of_another_kind(published: Site) -> None:
    """2: targets never replace jobs; a file that holds something else is left alone."""
    before = published.state()
    done = published.run(command="targets")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    said = "holds scrape jobs, and runscrape targets would put a list of targets in its place"
    assert f"--output: {published.output} {said}" in done.stderr
    assert published.state() == before


def test_5_an_inventory_over_another_file(published: Site) -> None:
    """2: --inventory that names a configuration never replaces it by an inventory."""
    by_hand = published.folder / "other.yml"
    by_hand.write_text("global: {}\nscrape_configs: []\n")
    assert "--inventory: " in failed(published, 5, "--inventory", str(by_hand))
    kept = str(published.folder / "inventory.json")
    other = ("--output", kept, "--inventory", str(published.folder / "new.json"))
    assert f"--output: {kept} holds an inventory" in failed(published, 2, *other)


def test_2_promtool_is_missing(published: Site) -> None:
    """2: a promtool that is named and not there is told before anything is listed."""
    published.google.reset_counts()
    assert "there is no such program" in failed(published, 2, "--promtool", "/nonexistent/promtool")
    assert not any(published.google.counts()["list_services"].values())


@pytest.mark.parametrize("promtool", ["auto", "/bin/false"])
def test_6_promtool(published: Site, promtool: str, tmp_path: Path) -> None:
    """6: promtool refuses, whatever its reasons."""
    (tmp_path / "template").write_text(BAD_TEMPLATE)
    published.google.update(world("abcde"))
    said = failed(published, 6, "--template", str(tmp_path / "template"), "--promtool", promtool)
    assert ("field nonsense not found" in said) == (promtool == "auto")


TOO_SMALL = """
import resource, sys
from runscrape_generator.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))  # the log fits
sys.exit(main(sys.argv[1:]))
"""


def test_7_disk_full(published: Site, tmp_path: Path) -> None:
    """7: what does not fit leaves the old files whole, and nothing beside them."""
    published.google.update(world("abcde"))
    before = published.state()
    command = [sys.executable, "-c", TOO_SMALL, *published.words()[3:]]
    with programs.running(command, tmp_path / "log", forked=True) as program:
        assert program.process.wait(60) == 7, program.log
    assert "File too large" in program.log
    assert published.state() == before


def test_7_no_place(published: Site) -> None:
    """7: an output that cannot be is told before anything is listed."""
    published.google.reset_counts()
    failed(published, 7, "--output", str(published.folder / "missing" / "prometheus.yml"))
    assert not any(published.google.counts()["list_services"].values())


def test_8_refused(published: Site, tmp_path: Path) -> None:
    """8: Prometheus refuses, every file is as before, and Prometheus still scrapes by it."""
    (tmp_path / "template").write_text(BAD_TEMPLATE)
    template = ["--template", str(tmp_path / "template"), "--promtool", "none"]
    with prometheus(published.output, "--web.enable-lifecycle") as address:
        reload = ["--reload", f"{address}/-/reload", "--prometheus-version", "2.42"]
        done = published.run(*reload)
        assert "nothing changed, Prometheus reloaded" in done.stderr
        published.google.update(world("abcde"))
        said = failed(published, 8, *template, *reload)
        assert "field nonsense not found" in said
        assert "put back, and Prometheus reloaded it" in said
        assert "prometheus_config_last_reload_successful 1" in get(f"{address}/metrics")
        done = published.run(*reload)
        assert done.returncode == 0
        assert done.stderr.endswith(f"written to {published.output}, Prometheus reloaded\n")
        until(lambda: "svc-e" in get(f"{address}/api/v1/status/config"), why="the job")
        assert failed(published, 0, *reload).endswith("nothing changed\n")


def test_8_block_of_a_users_file(site: Site) -> None:
    """8: a mistake of the user's has the reload refused: the block goes back, the edit stays."""
    own = "# mine\nscrape_configs:\n- job_name: mine\n"
    site.output.write_text(own)
    known = site.folder.parent / "state" / "inventory.json"
    known.parent.mkdir()
    into = ["--output", "-", "--into", str(site.output), "--inventory", str(known)]
    with prometheus(site.output, "--web.enable-lifecycle") as address:
        reload = ["--reload", f"{address}/-/reload", "--promtool", "none"]
        assert site.run(*into, *reload).returncode == 0
        until(lambda: "svc-a" in get(f"{address}/api/v1/status/config"), why="the block")
        site.google.update(world("abcde"))
        site.output.write_text(site.output.read_text() + "nonsense: 1\n")
        before = site.output.read_text()
        done = site.run(*into, *reload)
        assert done.returncode == 8
        assert "field nonsense not found" in done.stderr
        assert site.output.read_text() == before
        site.output.write_text(before.removesuffix("nonsense: 1\n"))
        assert site.run(*into, *reload).returncode == 0
        until(lambda: "svc-e" in get(f"{address}/api/v1/status/config"), why="the new job")
    assert [each.name for each in site.folder.iterdir()] == ["prometheus.yml"]


def test_8_lifecycle_is_off(published: Site) -> None:
    """8: a Prometheus that takes no reload by HTTP refuses, and the remedy is named."""
    published.google.update(world("abcde"))
    with prometheus(published.output) as address:
        said = failed(published, 8, "--reload", f"{address}/-/reload")
    assert "--web.enable-lifecycle" in said


def test_8_command(published: Site) -> None:
    """8: a reload command that fails is a refusal, with what it said."""
    published.google.update(world("abcde"))
    said = failed(published, 8, "--reload-command", "echo no such unit; exit 5")
    assert "exit code 5: no such unit" in said


def test_0_prometheus_is_down(published: Site) -> None:
    """0: with Prometheus down the new file stays for its start, and the next run reloads it."""
    published.google.update(world("abcde"))
    done = published.run("--reload", "http://127.0.0.1:9/-/reload")
    assert done.returncode == 0
    assert "warning: http://127.0.0.1:9/-/reload could not be asked" in done.stderr
    assert "svc-e" in published.output.read_text()
    with prometheus(published.output, "--web.enable-lifecycle") as address:
        reload = f"{address}/-/reload"
        done = published.run("--reload", reload, "--prometheus-version", "2.42")
    assert "nothing changed, Prometheus reloaded" in done.stderr


def test_9_locked(published: Site) -> None:
    """9: another run holds the lock of the output; Google is not asked, the metrics are its."""
    published.google.update(world("abcde"))
    published.google.reset_counts()
    metrics = published.metrics.stat()
    with lock.held(published.output):
        assert "another run" in failed(published, 9)
    assert not any(published.google.counts()["list_services"].values())
    assert published.metrics.stat() == metrics


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["130", "143"]
)
def test_signals(published: Site, number: signal.Signals, code: int) -> None:
    """130, 143: a signal in the middle of a listing that hangs ends it at once, files untouched."""
    published.google.update(world("abcde", {"list_services": [{"hang": True}]}))
    published.google.reset_counts()
    before = published.state()
    with published.running() as program:
        until(
            lambda: any(published.google.counts()["list_services"].values()),
            why="the listing to hang",
        )
        program.send(number)
        assert program.process.wait(20) == code
        assert program.log == ""
    assert published.state() == before
