"""One whole run: what it prints, writes, counts and warns of, beyond its exit code."""

from __future__ import annotations

import io
import json
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator
from runscrape_generator import run
from runscrape_generator.config.settings import Format, Settings
from runscrape_generator.errors import ConfigError, RunscrapeError, ShrinkError, ValidationError
from runscrape_generator.publish import diff, lock
from runscrape_generator.publish.places import Command
from tests.generator.commands_kit import failing, make_settings, make_site, world
from tests.generator.publishing_kit import state, visible
from tests.generator.recorder import Recorder
from tests.kit import fast_yaml as yaml


@pytest.fixture
def settings(tmp_path: Path, google: Emulator) -> Settings:
    return make_settings(tmp_path, google)


def once(settings: Settings, command: Command = "generate", **more: Any) -> tuple[Any, ...]:
    """Run; give the summary, standard output, and what was said."""
    talk, stdout = Recorder(), io.StringIO()
    summary = run.once(command, settings, talk, stdout=stdout, **more)
    return summary, stdout.getvalue(), talk


def folder_of(settings: Settings) -> Path:
    assert settings.output is not None
    return settings.output.parent


def test_standard_output(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --output the result is printed, and nothing is written anywhere."""
    monkeypatch.chdir(tmp_path / "etc")
    summary, stdout, _ = once(replace(settings, output=None))
    names = [job["job_name"] for job in yaml.safe_load(stdout)["scrape_configs"]]
    assert "cloudrun/demo/us-central1/svc-b" in names
    assert summary.line() == "4 services, 4 jobs (+4), 0 skipped, written to standard output"
    assert list(tmp_path.rglob("*")) == [tmp_path / "etc"]


def test_standard_output_with_inventory(
    settings: Settings, google: Emulator, tmp_path: Path
) -> None:
    """With --inventory it is kept for standard output too, and stands in for a failed region."""
    printing = replace(settings, output=None, inventory=tmp_path / "known.json")
    _, first, _ = once(printing)
    google.update(world(faults=failing("[eu]*")))
    summary, second, _ = once(printing)
    assert (second, summary.exit_code) == (first, 3)


def test_standard_output_is_validated(settings: Settings, tmp_path: Path) -> None:
    """Promtool's no keeps a bad result from standard output as well."""
    (tmp_path / "t").write_text("scrape_configs:\n  {{ cloud_run_jobs }}\nnonsense: 1\n")
    stdout = io.StringIO()
    bad = replace(settings, output=None, promtool="auto", template=tmp_path / "t")
    with pytest.raises(ValidationError):
        run.once("generate", bad, Recorder(), stdout=stdout)
    assert stdout.getvalue() == ""


@pytest.mark.parametrize("name", ["targets.json", "targets.yml", "targets.YAML"])
def test_targets(settings: Settings, tmp_path: Path, name: str) -> None:
    """Targets are JSON, or YAML where the file's name says so."""
    output = tmp_path / "etc" / name
    summary, _, _ = once(replace(settings, output=output), "targets")
    text = output.read_text()
    groups = json.loads(text) if name.endswith("json") else yaml.safe_load(text)
    assert len(groups) == 4
    assert summary.line() == f"4 services, 4 targets (+4), 0 skipped, written to {output}"
    assert text.startswith("[") == name.endswith("json")
    assert visible(output.parent) == ["inventory.json", name]


@pytest.mark.parametrize("dry", [True, False])
@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("prometheus.yml", "generate", "targets"),
        ("targets.json", "targets", "generate"),
        ("targets.yml", "targets", "generate"),
    ],
)
def test_another_kind_of_file(
    settings: Settings, name: str, first: Command, second: Command, *, dry: bool
) -> None:
    """Jobs never replace a list of targets, nor targets jobs, in a dry run either."""
    chosen = replace(settings, output=folder_of(settings) / name)
    once(chosen, first)
    before = state(folder_of(settings))
    with pytest.raises(ConfigError, match=f"{name} holds .*, and runscrape {second} would put"):
        once(replace(chosen, dry_run=dry), second)
    assert state(folder_of(settings)) == before
    assert once(replace(chosen, dry_run=dry), first)[0].exit_code == 0


def test_dry_run(settings: Settings, google: Emulator) -> None:
    """A dry run prints the diff that patch would take, says so, and writes nothing."""
    once(settings)
    google.update(world("abc"))
    folder = folder_of(settings)
    before, modified = state(folder), folder.stat().st_mtime_ns
    metrics = folder / "m.prom"
    dry = replace(settings, dry_run=True, promtool="auto", metrics_file=metrics)
    dry = replace(dry, prometheus_version="2.42")  # not that of promtool, which once() asks not
    summary, stdout, _ = once(dry)
    assert (state(folder), folder.stat().st_mtime_ns) == (before, modified)
    assert "1 job" not in stdout
    assert f"--- {settings.output}\n+++ {settings.output}\n" in stdout
    assert '-- job_name: "cloudrun/demo/us-central1/svc-d"\n' in stdout
    assert summary.line().endswith(f"{settings.output} would change")
    once(settings)
    old, new = before["prometheus.yml"][0].decode(), (settings.output or folder).read_text()
    assert apply(stdout, old) == new
    assert once(replace(settings, dry_run=True))[1] == ""


def test_lines_of_a_diff_end_where_those_of_the_file_do() -> None:
    """What only Python takes for the end of a line (U+2028, a bare CR) is none for patch."""
    old, new = "# a\u2028b\rc\nglobal: {}\n", "# a\u2028b\rc\nx: 1\nglobal: {}\n"
    shown = diff.unified(Path("f"), old.encode(), new.encode())
    assert "No newline" not in shown
    assert apply(shown, old) == new


def apply(diff: str, old: str) -> str:
    """Do what patch does with a unified diff."""
    lines, done, result = re.findall(".*\n", old), 0, list[str]()
    for line in re.findall(".*\n", diff)[2:]:
        if hunk := re.match(r"@@ -(\d+)", line):
            start = int(hunk[1]) - 1
            result += lines[done:start]
            done = start
        elif line.startswith("+"):
            result.append(line[1:])
        else:
            assert lines[done] == line[1:]
            result += [line[1:]] if line.startswith(" ") else []
            done += 1
    return "".join(result + lines[done:])


def test_dry_run_of_a_first_run(settings: Settings) -> None:
    """Where there is no file yet, the diff is from /dev/null, and not even a lock file is made."""
    _, stdout, _ = once(replace(settings, dry_run=True))
    assert stdout.startswith(f"--- /dev/null\n+++ {settings.output}\n@@ -0,0 +1,")
    assert list(folder_of(settings).iterdir()) == []


def test_dry_run_fails_like_the_real_run(
    settings: Settings, google: Emulator, tmp_path: Path
) -> None:
    """What would end the real run with 5 or 6 ends the dry run with it too."""
    once(settings)
    google.update(world("a"))
    with pytest.raises(ShrinkError):
        once(replace(settings, dry_run=True))
    (tmp_path / "t").write_text("scrape_configs:\n  {{ cloud_run_jobs }}\nnonsense: 1\n")
    dry = replace(
        settings, dry_run=True, template=tmp_path / "t", promtool="auto", max_removed=100.0
    )
    with pytest.raises(ValidationError):
        once(dry)


def test_no_jobs(settings: Settings, google: Emulator) -> None:
    """No job at all comes with the reasons counted."""
    google.update(world("ab", ingress="internal"))
    _, _, talk = once(settings)
    assert (
        "0 jobs: 2 skipped: 2 \N{MULTIPLICATION SIGN} ingress is internal" in talk.of("warning")[0]
    )
    google.update(world(""))
    _, _, talk = once(settings)
    assert talk.of("warning") == [
        "0 jobs: no services were found in the projects and regions listed"
    ]


def test_quiet_round(settings: Settings, google: Emulator) -> None:
    """A quiet round in which nothing happened is only a step; one that changed is told."""
    assert once(settings, quiet=True)[2].of("summary") != []
    assert once(settings, quiet=True)[2].of("summary") == []
    assert once(settings)[2].of("summary") == ["4 services, 4 jobs, 0 skipped, nothing changed"]
    google.update(world("abcde"))
    assert once(settings, quiet=True)[2].of("summary") != []


def test_only_the_inventory_changes(settings: Settings, google: Emulator) -> None:
    """A fact that the output does not show changes the inventory alone, and is told."""
    once(settings)
    before = state(folder_of(settings))["prometheus.yml"]
    google.update(world(labels={"team": "sales"}))
    summary, _, _ = once(settings)
    assert summary.line().endswith("prometheus.yml unchanged, inventory updated")
    assert state(folder_of(settings))["prometheus.yml"] == before


def test_symbolic_link(settings: Settings, tmp_path: Path) -> None:
    """An output that is a symbolic link stays one; the file behind it is replaced."""
    real = tmp_path / "real.yml"
    folder_of(settings).joinpath("prometheus.yml").symlink_to(real)
    once(replace(settings, promtool="auto"))
    assert (settings.output or real).is_symlink()
    assert "svc-a" in real.read_text()
    assert (folder_of(settings) / "inventory.json").exists()


@pytest.mark.parametrize("style", list(Format))
def test_every_format_is_known_as_ours(settings: Settings, style: Format) -> None:
    """A file that we wrote is never taken for one written by hand, whatever its format."""
    once(replace(settings, format=style))
    folder_of(settings).joinpath("inventory.json").unlink()
    once(replace(settings, format=style, include=("svc-a",), max_removed=100.0))
    assert visible(folder_of(settings)) == ["inventory.json", "prometheus.yml"]


@pytest.mark.parametrize("lost", ["missing", "corrupt"])
@pytest.mark.parametrize(
    ("command", "style"),
    [("generate", style) for style in Format if style is not Format.OPERATOR]
    + [("targets", Format.PROMETHEUS)],
)
def test_lost_inventory_still_guards(
    settings: Settings, google: Emulator, command: Command, style: Format, lost: str
) -> None:
    """Without a readable inventory the output itself says what must not go all at once."""
    settings = replace(settings, format=style)
    once(settings, command)
    inventory = folder_of(settings) / "inventory.json"
    inventory.unlink() if lost == "missing" else inventory.write_text("{")
    before = state(folder_of(settings))
    google.update(world("a"))
    with pytest.raises(ShrinkError, match="3 of 4 jobs"):
        once(settings, command)
    assert state(folder_of(settings)) == before
    google.update(world("abc"))
    assert once(settings, command)[0].written


@pytest.mark.parametrize("twice", ["inventory", "metrics_file"])
def test_two_files_in_one_place(settings: Settings, twice: str) -> None:
    """Two options that name one file are refused before anything is listed."""
    with pytest.raises(ConfigError, match="are the same file"):
        once(replace(settings, **{twice: settings.output}))  # type: ignore[arg-type]


def test_targets_named_as_the_inventory(settings: Settings) -> None:
    """Targets cannot go to the very file where the inventory is kept by default."""
    output = folder_of(settings) / "inventory.json"
    with pytest.raises(ConfigError, match="--output and --inventory are the same file"):
        once(replace(settings, output=output), "targets")


@pytest.mark.parametrize(
    ("name", "why"), [("etc", "it is a folder"), ("m" * 300, "File name too long (choose a")]
)
def test_metrics_file_that_cannot_be_written(
    settings: Settings, tmp_path: Path, name: str, why: str
) -> None:
    """A metrics file that cannot be written is a warning, and the run counts."""
    summary, _, talk = once(replace(settings, metrics_file=tmp_path / name))
    assert summary.written
    told = f"the metrics file was not written: cannot write {tmp_path / name}: {why}"
    assert talk.of("warning")[0].startswith(told)


def test_time_of_the_last_change(settings: Settings, tmp_path: Path, google: Emulator) -> None:
    """The metrics say when the output last changed, also after runs that change nothing."""
    measured = replace(settings, metrics_file=tmp_path / "m.prom")
    seen = []
    for names in ("abcd", "abcd", "abcde"):
        google.update(world(names))
        once(measured)
        lines = (tmp_path / "m.prom").read_text().splitlines()
        [line] = [line for line in lines if line.startswith("runscrape_last_change_timestamp")]
        seen.append(float(line.split()[1]))
    assert seen[0] == seen[1] < seen[2]
    assert seen[2] == pytest.approx((settings.output or tmp_path).stat().st_mtime)


def test_changed_settings_apply_to_stale_scopes(settings: Settings, google: Emulator) -> None:
    """What the inventory stands in for is decided by the settings in force now."""
    once(settings)
    google.update(world(faults=failing("[eu]*")))
    summary, _, _ = once(replace(settings, scrape_interval="5m", exclude=("svc-a",)))
    text = (settings.output or Path()).read_text()
    assert (summary.exit_code, summary.skipped, summary.removed) == (3, 1, 1)
    assert "5m" in text
    assert "svc-a" not in text


def test_renaming_all_jobs_is_no_shrinking(settings: Settings) -> None:
    """A new --job-name passes the shrink guard: no target goes."""
    once(settings)
    summary, _, _ = once(replace(settings, job_name="run/{project}/{region}/{service}"))
    assert (summary.added, summary.removed) == (4, 4)


def test_interrupted_writes_no_failure(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is interrupted is no failed run: the metrics stay as they were."""
    measured = replace(settings, metrics_file=tmp_path / "m.prom")

    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("runscrape_generator.pipeline.discover", interrupt)
    with pytest.raises(KeyboardInterrupt):
        once(measured)
    assert not (tmp_path / "m.prom").exists()


def test_two_runs_at_once(tmp_path: Path, google: Emulator) -> None:
    """Of runs that start together each publishes or finds the lock held; the files are whole."""
    google.update(world(faults={"list_services": [{"latency": 0.5}]}))
    site = make_site(tmp_path, google)
    with site.running() as one, site.running() as other:
        codes = {program.process.wait(120) for program in (one, other)}
    assert 0 in codes
    assert codes <= {0, 9}
    assert len(json.loads((site.folder / "inventory.json").read_text())["scopes"]) == 2
    assert visible(site.folder) == ["inventory.json", "prometheus.yml"]


def test_generate_and_targets_side_by_side(tmp_path: Path, google: Emulator) -> None:
    """Both commands of gateway mode, started by one timer, share an inventory and both publish."""
    google.update(world(faults={"list_services": [{"latency": 0.3}]}))
    site = make_site(tmp_path, google)
    jobs = ["--mode", "gateway"]
    targets = [*jobs, "--output", str(site.folder / "targets.json")]
    with site.running(*jobs) as one, site.running(*targets, command="targets") as other:
        assert [program.process.wait(120) for program in (one, other)] == [0, 0]
    assert visible(site.folder) == ["inventory.json", "prometheus.yml", "targets.json"]


def test_publishing_waits_for_a_shared_inventory(settings: Settings) -> None:
    """While another output's run publishes the same inventory, ours waits and then publishes."""
    other = lock.held(folder_of(settings) / "inventory.json")
    other.__enter__()
    early: list[str] = []

    def release() -> None:
        early.extend(visible(folder_of(settings)))
        other.__exit__(None, None, None)

    timer = threading.Timer(0.5, release)
    timer.start()
    once(settings)
    timer.join()
    assert early == []
    assert visible(folder_of(settings)) == ["inventory.json", "prometheus.yml"]


def test_every_error_is_ours(settings: Settings, tmp_path: Path) -> None:
    """Whatever is wrong with the places, it is an error with an exit code."""
    for output in (tmp_path, tmp_path / "a" / "b", Path("/dev/null"), tmp_path / ("x" * 300)):
        with pytest.raises(RunscrapeError):
            once(replace(settings, output=output))


EVIL = (
    "demo/us-central1/svc-b",
    "demo.us-central1.svc-b",
    "DEMO/us-central1/svc-b",
    "prometheus",
    "runscrape-proxy",
    "node",
    "https://svc-b",
    "\u202e{{ 7*7 }}%{HOME}",
)
"""Audiences that read like jobs of others."""


def with_evil() -> dict[str, Any]:
    """The usual world, and a project whose services claim what is not theirs."""
    content = world()
    content["projects"]["evil"] = {
        "number": 666,
        "services": [
            {
                "name": f"evil-{number}",
                "region": "us-central1",
                "custom_audiences": [audience],
                "annotations": {"prometheus.io/path": "/metrics,/svc-b", "prometheus.io/x": "y"},
            }
            for number, audience in enumerate(EVIL)
        ],
    }
    return content


def of_demo(text: str) -> list[Any]:
    """The jobs, or resources, that are demo's."""
    found: list[Any] = []
    for document in yaml.safe_load_all(text):
        entries = document.get("scrape_configs") if isinstance(document, dict) else document
        found += entries or [document]
    return [entry for entry in found if "'project_id': 'demo'" in repr(entry)]


OWN = "scrape_configs:\n  - job_name: node\n  {{ cloud_run_jobs }}"
"""A template with a job whose name a service has for an audience."""


@pytest.mark.parametrize(
    "case", [*((each, "") for each in Format), (Format.PROMETHEUS, OWN), (Format.VMAGENT, OWN)]
)
@pytest.mark.parametrize("job_name", ["cloudrun/{project}/{region}/{service}", "{service}"])
def test_nothing_that_a_service_says_ends_a_run_or_takes_a_job(
    settings: Settings, google: Emulator, tmp_path: Path, case: tuple[Format, str], job_name: str
) -> None:
    """The jobs of the others are the same as without it, in every format."""
    chosen, template = case
    usual = replace(settings, format=chosen, job_name=job_name, audience="custom")
    if template:
        (tmp_path / "template").write_text(template)
        usual = replace(usual, template=tmp_path / "template")
    once(usual)
    before = of_demo((settings.output or Path()).read_text())
    google.update(with_evil())
    summary, _, talk = once(replace(usual, projects=("demo", "evil")))
    assert summary.exit_code == 0
    assert of_demo((settings.output or Path()).read_text()) == before
    assert len(before) == 4
    assert talk.of("error") == []


def test_a_job_of_the_users_own_is_no_services(
    settings: Settings, google: Emulator, tmp_path: Path
) -> None:
    """With --into, a service whose job would have the name of one in the file is skipped."""
    mine = tmp_path / "prometheus.yml"
    mine.write_text("scrape_configs:\n- job_name: node\n- job_name: svc-b\n")
    google.update(with_evil())
    into = replace(settings, output=None, into=mine, audience="custom", job_name="{service}")
    summary, _, talk = once(replace(into, projects=("demo", "evil")))
    assert summary.exit_code == 0
    names = [job["job_name"] for job in yaml.safe_load(mine.read_text())["scrape_configs"]]
    assert names[-2:] == ["node", "svc-b"]
    assert sorted(set(names)) == sorted(names)
    assert {"svc-a", "svc-c", "svc-d"} < set(names)
    assert talk.of("error") == []
