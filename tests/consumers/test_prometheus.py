"""Every output in every Prometheus that is here, at the same time, on one Google and one proxy."""

from __future__ import annotations

import contextlib
import os
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.consumers.front_page import front_page_table
from tests.consumers.scene import (
    EXAMPLES,
    LATER,
    LITERAL,
    UP,
    UP_LATER,
    Health,
    Refused,
    Scene,
    cloud,
    of_all,
    refused,
    refused_run,
    scene,
    until_error,
    until_health,
    url_of,
)
from tests.docs.reference import PROXY
from tests.docs.tables import shows, symptoms
from tests.kit import fast_yaml as yaml
from tests.kit.consumers import Program, releases_of, why_missing
from tests.kit.prometheus import prometheus

RELEASES = releases_of("prometheus")
PROMTOOLS = {each.version: each.path for each in releases_of("promtool")}
HAND_WRITTEN = """\
# Kept by hand.
global: {scrape_interval: 6s}
rule_files: ["rules/*.yml"]
scrape_configs: # and what is in it
- {job_name: mine,   static_configs: [{targets: [PROXY]}]} # mine/own
"""


@dataclass(frozen=True)
class Server:
    """A Prometheus of a release, which reads what runscrape writes in one way."""

    release: Program
    way: str
    folder: Path
    address: str
    scene: Scene

    @property
    def config(self) -> Path:
        return self.folder / "etc" / "prometheus.yml"

    @property
    def broken_rules(self) -> Path:
        """Rules that it refuses, once they are written."""
        return self.config.with_name("rules") / "broken.yml"

    def generate(self, settings: str, *flags: str | Path) -> int:
        """Run ``runscrape generate`` for it, with the promtool of its release."""
        return self.scene.run("generate", settings, *self.flags(*flags))

    def flags(self, *flags: str | Path) -> list[str | Path]:
        promtool = PROMTOOLS.get(self.release.version, "auto")
        return ["--promtool", promtool, "--reload", f"{self.address}/-/reload", *flags]

    def edit(self, old: str, new: str) -> None:
        """Change the configuration by hand, and have it read."""
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))
        request = urllib.request.Request(f"{self.address}/-/reload", method="POST")
        urllib.request.urlopen(request, timeout=60).close()


def jobs(server: Server) -> None:
    """Have the whole prometheus.yml written."""
    assert server.generate("jobs", "--output", server.config) == 0


def into(server: Server) -> None:
    """Have the jobs kept in a file that is written by hand, with jobs that are refused."""
    if not server.config.read_text():
        server.config.write_text(by_hand(server.scene))
    assert server.generate("jobs", "--into", server.config) == 0


def scrape_configs(server: Server) -> None:
    """Have a file of jobs written, which the file that is written by hand names."""
    (server.folder / "etc" / "jobs").mkdir(exist_ok=True)
    server.config.write_text("scrape_config_files: [jobs/*.yml]\n")
    output = server.config.with_name("jobs") / "cloudrun.yml"
    assert server.generate("jobs", "--format", "scrape-configs", "--output", output) == 0


def gateway(server: Server, *more: str) -> None:
    """Have the one job of the gateway written."""
    assert server.generate("gateway", "--output", server.config, *more) == 0


def gateway_http(server: Server) -> None:
    """The same, with the targets from the proxy."""
    gateway(server, "--targets-from", "http")


def file_sd(server: Server) -> None:
    """Write the jobs of examples/file-sd by hand, as its prometheus.yml says for this release."""
    text = (EXAMPLES / "file-sd" / "prometheus.yml").read_text()
    text = text.replace(
        "/var/lib/runscrape/targets.json", str(server.scene.folder / "file-sd.json")
    )
    if server.release.release >= (3, 0):
        text = text.replace("# fallback_scrape_protocol", "fallback_scrape_protocol")
    config = yaml.safe_load(text.replace("http://127.0.0.1:7777", server.scene.proxy.url))
    private, public, _ = config["scrape_configs"]
    del private["oauth2"]["client_secret"]
    private["oauth2"]["client_secret_file"] = str(server.scene.folder / "secret")
    for job in (private, public):
        job.update(server.scene.way)
        job["file_sd_configs"][0]["refresh_interval"] = "1s"
    server.config.write_text(yaml.safe_dump(config))
    server.edit("scrape_configs:", "scrape_configs:")


WAYS: Mapping[str, tuple[Callable[[Server], None], tuple[int, int]]] = {
    "jobs": (jobs, (2, 27)),
    "--into": (into, (2, 27)),
    "scrape-configs": (scrape_configs, (2, 43)),
    "gateway, file_sd": (gateway, (2, 28)),
    "gateway, http_sd": (gateway_http, (2, 28)),
    "file_sd, custom audience": (file_sd, (2, 28)),
}
"""How each output gets to a server, and the first release that can read it."""
BY_A_RUN = {"jobs", "--into", "scrape-configs"}
"""What changes when runscrape runs again; the others' targets come by themselves."""
CASES = [
    (release.version, way)
    for release in RELEASES
    for way, (_, since) in WAYS.items()
    if release.release >= since
]
each_case = pytest.mark.parametrize(("version", "way"), CASES)
each_release = pytest.mark.parametrize("version", [each.version for each in RELEASES])


def by_hand(scene: Scene) -> str:
    """Write a configuration with a job of one's own, and with jobs that are refused."""
    own = HAND_WRITTEN.replace("PROXY", scene.proxy.url.removeprefix("http://"))
    return own + yaml.safe_dump(refused(scene))


@pytest.fixture(scope="module", name="here")
def started_scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("prometheus")) as running:
        yield running


Servers = dict[tuple[str, str], Server]
Results = dict[tuple[str, str], Health]
"""By release and way."""


@pytest.fixture(scope="module")
def servers(here: Scene) -> Iterator[Servers]:
    """Give a server for each release and way, with what runscrape wrote for it."""
    with contextlib.ExitStack() as ending:
        found: Servers = {}
        for version, way in CASES:
            release = next(each for each in RELEASES if each.version == version)
            folder = here.folder / f"{version}-{len(found)}"
            (folder / "etc" / "rules").mkdir(parents=True)
            (folder / "etc" / "prometheus.yml").write_text("")
            flags = ("--web.enable-lifecycle", "--scrape.discovery-reload-interval=100ms")
            address = ending.enter_context(
                prometheus(folder / "etc/prometheus.yml", *flags, program=release.path)
            )
            found[version, way] = Server(release, way, folder, address, here)
        for server in found.values():
            WAYS[server.way][0](server)
        yield found


@pytest.fixture(scope="module")
def refusals(servers: Servers) -> dict[str, Refused]:
    """A run that each release refuses, and what it said."""
    found = {}
    for release in RELEASES:
        server = servers[release.version, "--into"]
        server.broken_rules.write_text("groups: [{name: a, rules: [{record: a, expr: '('}]}]\n")
        flags = ("--into", server.config, "--exclude", "shop", "--promtool", "none")
        run = partial(server.generate, "jobs", *flags)
        found[release.version] = refused_run(run, server.config)
        server.broken_rules.unlink()
    return found


@pytest.fixture(scope="module")
def first(servers: Servers, refusals: dict[str, Refused]) -> Results:
    """What each server has of the services as they were at first, also after a refused reload."""
    assert len(refusals) == len(RELEASES)
    return until_health(servers, UP)


@pytest.fixture(scope="module")
def later(servers: Servers, first: Results, here: Scene) -> Results:
    """What each has after a service is gone and one has come."""
    assert first
    for server in servers.values():
        if server.way == "gateway, http_sd":  # a file is watched
            server.edit('refresh_interval: "30s"', "refresh_interval: 1s")
    here.google.update(cloud(LATER))
    here.write_targets()
    for server in servers.values():
        if server.way in BY_A_RUN:
            WAYS[server.way][0](server)
    return until_health(servers, UP_LATER)


def test_there_is_a_prometheus_3() -> None:
    """In CI every output is tried in a Prometheus 3; elsewhere it is said that it was not."""
    if RELEASES and RELEASES[-1].release >= (3, 0):
        return
    here = ", ".join(map(str, RELEASES)) or "none"
    said = f"no Prometheus 3 to try the outputs in (here: {here}); {why_missing()}"
    if "CI" not in os.environ:
        pytest.skip(said)
    pytest.fail(f"{said}: CI must have one; let it reach a Debian mirror (DEBIAN_MIRROR)")


@each_case
def test_every_target_is_up(first: Results, version: str, way: str) -> None:
    """Whatever a service is like, its targets are up by every output."""
    assert first[version, way] == UP


@each_release
def test_the_front_page_says_so(first: Results, version: str) -> None:
    """README's row of this release, where it has one, is how many targets were up, of how many."""
    found = [first.get((version, way)) for way in WAYS]
    cells = [of_all(health) if health else "from 2.43" for health in found]
    assert front_page_table().get(f"Prometheus {version}", cells) == cells


@each_case
def test_services_come_and_go(later: Results, version: str, way: str) -> None:
    """A service that is added is up, and one that is removed is gone, by every output."""
    assert later[version, way] == UP_LATER


@each_case
def test_what_a_service_says_is_literal(
    servers: Servers, first: Results, version: str, way: str
) -> None:
    """No variable of the environment gets into what a service says of itself."""
    assert first
    assert LITERAL in url_of(servers[version, way].address, "patient")


@each_release
def test_auto_is_the_version_of_the_server(servers: Servers, version: str) -> None:
    """Without a word about it the output is for the release of the server that is reloaded, and
    the promtool of that release takes it.
    """
    text = servers[version, "jobs"].config.read_text()
    assert ("fallback_scrape_protocol" in text) == (version >= "3")
    assert text.count("job_name") == len(UP) + 2


@each_release
def test_the_rest_of_the_file_stays(later: Results, servers: Servers, version: str) -> None:
    """Around the block every byte is as it was written by hand."""
    assert later
    server = servers[version, "--into"]
    text = server.config.read_text()
    before, begin, rest = text.partition("  # BEGIN runscrape")
    if not begin:
        before, begin, rest = text.partition("# BEGIN runscrape")
    after = rest.partition("# END runscrape\n")[2]
    assert before + after == by_hand(server.scene)


SHOWN = {
    "invalid_client": (
        'fetch token: 401 UNAUTHORIZED\nResponse: {"error":"invalid_client","error_description":"w',
        'oauth2: "invalid_client" "wrong client_id or client_secret: ',
    ),
    "invalid_target": (
        'token: 400 BAD REQUEST\nResponse: {"error":"invalid_target","error_description":"audience',
        'oauth2: "invalid_target" "audience https://api-',
    ),
    "407": ("server returned HTTP status 407 Proxy Authentication Required",) * 2,
    "403": ("server returned HTTP status 403 Forbidden",) * 2,
}
"""What the targets page says of each refused job: up to Prometheus 2.44, and from 2.45 on."""


@each_release
def test_refusals_show_on_the_targets_page(first: Results, servers: Servers, version: str) -> None:
    """Each refusal of the proxy stands where people look, with its reason or its status."""
    assert first
    server = servers[version, "--into"]
    new = server.release.release >= (2, 45)
    for job, shown in SHOWN.items():
        until_error(server.address, job, shown[new])


START = 'expected a valid start token, got "<"'
ANSWERS = {
    "/login": ("is not a valid start token", START, 'received unsupported Content-Type "text/html'),
    "/login-as-text": ("is not a valid start token", START, START),
    "/blank": ("", "", "sending blank Content-Type and no fallback_scrape_protocol specified"),
}
"""What is said of odd answers: up to Prometheus 2.44, from 2.45 on, and from 3.0 on."""


@each_release
def test_odd_answers_are_in_the_manual(first: Results, servers: Servers, version: str) -> None:
    """What is no metrics, or does not say that it is, shows as the manual's table has it."""
    assert first
    server = servers[version, "--into"]
    age = (server.release.release >= (2, 45)) + (server.release.release >= (3, 0))
    for job, shown in ANSWERS.items():
        if shown[age]:
            error = until_error(server.address, job, shown[age])
            assert [row for row in symptoms(PROXY) if shows(row, error)], error


@each_release
def test_a_refused_reload_is_rolled_back(
    refusals: dict[str, Refused], first: Results, version: str
) -> None:
    """What Prometheus refuses is put back (8), with its own words; what it had goes on."""
    refused = refusals[version]
    assert (refused.code, refused.changed) == (8, False)
    assert "answered 500" in refused.said
    assert first[version, "--into"] == UP
