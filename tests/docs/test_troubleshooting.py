"""The rows of the generator's troubleshooting table are what people see, each made to happen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from werkzeug import Response
from werkzeug.serving import make_server

from emulator import Emulator
from runscrape_generator.cli import main as cli
from runscrape_generator.publish import lock
from tests.docs.reference import GENERATOR, PROXY
from tests.docs.tables import shows, symptoms
from tests.generator.commands_kit import failing, world


@dataclass
class Desk:
    """The command at work in a folder, on an emulated Google."""

    folder: Path
    google: Emulator
    reload_url: str

    @property
    def output(self) -> Path:
        return self.folder / "prometheus.yml"

    def run(self, *more: str) -> int:
        own = ["--api-endpoint", self.google.api, "--output", str(self.output)]
        return cli.main(["generate", *own, *more])

    def demo(self, *more: str) -> int:
        return self.run("--project", "demo", *more)


def locked(desk: Desk) -> int:
    with lock.held(desk.output):
        return desk.demo()


def a_region_fails(desk: Desk) -> int:
    desk.google.update(world(faults=failing("europe-west1")))
    return desk.demo()


def nothing_listed(desk: Desk) -> int:
    desk.google.update(world(faults=failing("*")))
    return desk.demo()


def left_the_folder(desk: Desk) -> int:
    assert desk.demo() == 0
    content = world()
    content["projects"]["other"] = {"number": 2, "folders": ["12"]}
    desk.google.update(content)
    return desk.run("--folder", "12")


def shrinks(desk: Desk) -> int:
    assert desk.demo() == 0
    desk.google.update(world("a"))
    return desk.demo()


def bad_template(desk: Desk) -> int:
    template = desk.folder / "template"
    template.write_text("scrape_configs:\n  {{ cloud_run_jobs }}\nnonsense: 1\n")
    return desk.demo("--template", str(template))


def no_project(desk: Desk) -> int:
    with pytest.MonkeyPatch.context() as patch:
        login = desk.google.credentials("authorized_user")
        patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(login))
        return desk.run()


def by_hand(desk: Desk) -> int:
    desk.output.write_text("scrape_configs: []\n")
    return desk.demo()


def seen_by_prometheus(desk: Desk) -> int:
    template = desk.folder.parent / f"{desk.folder.name}.j2"
    template.write_text("scrape_config_files: ['*']\nscrape_configs:\n  {{ cloud_run_jobs }}\n")
    return desk.demo("--template", str(template), "--promtool", "none")


CASES: dict[str, tuple[int, Callable[[Desk], int]]] = {
    "`0 jobs: … skipped: …`": (0, lambda desk: desk.demo("--exclude", "*")),
    "`project …: permission denied: …`": (4, lambda desk: desk.run("--project", "foreign")),
    "`no credentials, and no --project: …`": (4, lambda desk: desk.run()),
    "`no project: the credentials name none`": (2, no_project),
    "`… missing until it can be listed`": (3, a_region_fails),
    "`nothing could be listed, and no inventory stands in`": (4, nothing_listed),
    "`… the search does not find it and it has services`": (0, left_the_folder),
    "`refused to remove … of … jobs`": (5, shrinks),
    "`another run of runscrape is at work on …`": (9, locked),
    "`promtool …; nothing was changed: …`": (6, bad_template),
    "`… was not written by runscrape, and would be lost: …`": (5, by_hand),
    "`… would be read by Prometheus: …`": (0, seen_by_prometheus),
    "`… lies beside the jobs: …`": (0, lambda desk: desk.demo("--format", "scrape-configs")),
    "`/-/reload answered 403: …`": (8, lambda desk: desk.demo("--reload", desk.reload_url)),
    "`/-/reload could not be asked: …`": (
        0,
        lambda desk: desk.demo("--reload", "http://127.0.0.1:1/-/reload"),
    ),
    "`cannot write …`": (7, lambda desk: desk.demo("--inventory", "/proc/nowhere/inventory.json")),
}


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(world(), tmp_path_factory.mktemp("google")) as running:
        yield running


@pytest.fixture(scope="module")
def reload_url() -> Iterator[str]:
    """Give the reload URL of a Prometheus without --web.enable-lifecycle."""
    server = make_server("127.0.0.1", 0, Response("Lifecycle API is not enabled.", 403))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}/-/reload"
    server.shutdown()
    thread.join()


@pytest.fixture
def desk(
    tmp_path: Path, google: Emulator, reload_url: str, monkeypatch: pytest.MonkeyPatch
) -> Desk:
    """Give a folder with nothing in it, on a machine without credentials."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    google.update(world())
    return Desk(tmp_path, google, reload_url)


@pytest.mark.parametrize("symptom", symptoms(GENERATOR))
def test_the_row_is_what_standard_error_says(
    symptom: str, desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each row's text is on standard error when its cause is there, with the exit code it has."""
    code, make_it_happen = CASES[symptom]
    assert make_it_happen(desk) == code
    assert shows(symptom, capsys.readouterr().err)


def test_the_tables_are_read() -> None:
    """The reader above finds the rows, and tells texts apart."""
    assert set(symptoms(GENERATOR)) == set(CASES)
    assert len(symptoms(PROXY)) > 10
    assert shows("`a …: b` … `c`, or `d`", "an a with a name: b and then c")
    assert shows("`a …: b` … `c`, or `d`", "only d")
    assert not shows("`a …: b` … `c`, or `d`", "c, then a: b")
    assert not shows("in words", "in words")
