"""What README, manuals and examples tell people to type, and the names that they use, are real."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pytest

from runscrape_generator.bootstrap import templates as bootstrap_templates
from runscrape_generator.cli import commands
from runscrape_generator.cli import main as cli
from runscrape_generator.config import load as configuration
from runscrape_generator.config.settings import BY_VARIABLE
from runscrape_generator.render import file_sd
from runscrape_proxy import cli as proxy_cli
from runscrape_proxy.model import Token
from runscrape_proxy.tokens.schedule import SERVED, refresh_at
from tests.conftest import MakeEmulator
from tests.docs.reference import (
    GENERATOR,
    PROXY,
    README,
    ROOT,
    generator_reference,
    prose,
    proxy_reference,
)
from tests.kit import fast_yaml as yaml

DOCUMENTS = (README, GENERATOR, PROXY, *sorted((ROOT / "examples").glob("*/README.md")))
TEXTS = {str(path.relative_to(ROOT)): prose(path) for path in DOCUMENTS}
"""By name; without what is made from the code."""
MANUAL = "\n".join(TEXTS[str(path.relative_to(ROOT))] for path in (README, GENERATOR, PROXY))
"""README and both manuals as one text."""

PROGRAMS: Mapping[str, click.Command] = commands.group().commands
"""The commands of ``runscrape``."""
METRICS = set(re.findall(r"`(runscrape_\w+)", generator_reference() + proxy_reference()))

_FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^    .*$", re.MULTILINE)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_COMMAND = re.compile(
    r"(?:^|(?<=[\s;&=]))"  # at the start, or behind sudo, a user's name, cron's fields …
    r"(?:[~\w./-]*/)?(runscrape|runscrape-proxy) +(?!\S*runscrape )"
    r"([^\n]*)"
)


def typed(text: str) -> Iterator[tuple[str, list[str]]]:
    """Give program and arguments of each command in the text's blocks and inline code."""
    blocks = [body for kind, body in _FENCED.findall(text) if kind not in {"yaml", "mermaid"}]
    rest = _FENCED.sub("", text)
    blocks += _INDENTED.findall(rest)
    blocks += [code for code in _INLINE.findall(rest) if code.startswith(("runscrape", "*/"))]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(blocks)).splitlines():
        for program, arguments in _COMMAND.findall(line.split(" #")[0]):
            words = shlex.split(re.sub(r'"?\$\([^)]*\)"?', "me@example.com", arguments))
            end = next((n for n, word in enumerate(words) if word in {"&", "&&", "|"}), len(words))
            yield program, words[:end]


def is_call(program: str, words: list[str]) -> bool:
    """Whether it is a command line: neither a command's mere name nor another's argument."""
    if program == "runscrape":
        return bool(words) and words[0] in PROGRAMS and words != ["bootstrap"]
    return bool(words) and words[0].startswith("-")


CALLS = [
    pytest.param(program, words, id=f"{name}: {program} {' '.join(words)}")
    for name, text in TEXTS.items()
    for program, words in dict.fromkeys((p, tuple(w)) for p, w in typed(text) if is_call(p, w))
]


@pytest.mark.parametrize(("program", "words"), CALLS)
def test_every_command_parses(program: str, words: tuple[str, ...]) -> None:
    """A command line of the README, a manual or an example parses with the real command."""
    parse(program, list(words))


def parse(program: str, words: list[str]) -> None:
    command: click.Command = proxy_cli.command
    if program == "runscrape":
        command, words = PROGRAMS[words[0]], words[1:]
    with command.make_context(str(command.name), words) as context:
        if "--inventory" in words and command is proxy_cli.command:  # whole, and no mere option
            proxy_cli.settings_of(context)


def test_the_commands_are_found() -> None:
    """The reader above finds them: all four commands and the proxy, and in each place."""
    found = list(typed(MANUAL))
    assert {words[0] for program, words in found if is_call(program, words) and words} >= {
        *PROGRAMS,
        "--inventory",
    }
    assert len(CALLS) > 30
    cron = "*/5 * * * * runscrape /opt/bin/runscrape generate -q --nonsense\n"
    bare = "*/5 * * * * runscrape runscrape generate -q --nonsense\n"
    once = ("runscrape", ["generate", "-q", "--nonsense"])
    assert list(typed(f"```\n{cron}{bare}```\n")) == [once, once]
    with pytest.raises(click.UsageError):
        parse("runscrape", ["generate", "--nonsense"])


BUNDLES = [
    pytest.param(path.read_text("utf-8"), id=path.parent.name)
    for path in sorted((ROOT / "templates/bootstrap").glob("*/README.md.j2"))
]


@pytest.mark.parametrize(
    "text", [*(pytest.param(text, id=name) for name, text in TEXTS.items()), *BUNDLES]
)
def test_no_grant_asks_a_question(text: str) -> None:
    """Where a project's policy has conditions, gcloud asks which one is meant unless that is said:
    of a block that is pasted, its question takes the next command for the answer.
    """
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    on_others = re.compile(
        r"gcloud (projects|organizations|resource-manager folders|\[\[ binding \]\]) .*--role"
    )
    grants = [line for line in lines if on_others.search(line)]
    assert [line for line in grants if "--condition None" not in line] == []


@pytest.mark.parametrize("name", TEXTS)
def test_every_variable_exists(name: str) -> None:
    """A variable that a text names is one of the generator's or the proxy's."""
    known = {"RUNSCRAPE_CONFIG", *BY_VARIABLE}
    known |= {f"RUNSCRAPE_PROXY_{str(each.name).upper()}" for each in proxy_cli.command.params}
    found = set(re.findall(r"\bRUNSCRAPE_[A-Z_]*[A-Z]\b", TEXTS[name]))
    assert found - {"RUNSCRAPE_PROXY"} <= known


FOREIGN = {
    "--web.enable-lifecycle",  # Prometheus
    *("--role", "--member", "--region", "--add-custom-audiences", "--project"),  # gcloud
}


def test_every_option_exists() -> None:
    """An option that stands by itself in the manual is one of ours, or known to be another's."""
    ours = {flag for each in proxy_cli.command.params for flag in each.opts}
    for command in PROGRAMS.values():
        for each in command.get_params(click.Context(command)):
            ours |= {*each.opts, *each.secondary_opts}
    ours |= {"--version"}
    inline = [code for code in _INLINE.findall(_FENCED.sub("", MANUAL)) if code.startswith("--")]
    assert len(inline) > 30
    assert {code.split()[0].split("=")[0] for code in inline} <= ours | FOREIGN


@pytest.mark.parametrize("name", TEXTS)
def test_every_metric_and_alert_exists(name: str) -> None:
    """A metric that a text names is in a reference, an alert in the bundles' rules."""
    found = set(re.findall(r"`(runscrape_(?!generator|proxy[./`])\w+)(?:\{[^`]*)?`", TEXTS[name]))
    assert found <= METRICS
    values = dict.fromkeys(
        ("proxy_log", "generator_log", "doctor", "stale_after", "failing_for", "scrape_timeout"),
        "1",
    )
    rules = bootstrap_templates.render("common/alerts.yml", operator=False, **values)
    alerts = set(re.findall(r"alert: (\w+)", rules))
    assert set(re.findall(r"\bRunscrape[A-Z]\w+", TEXTS[name])) <= alerts


@pytest.mark.parametrize("name", TEXTS)
def test_the_image_has_the_version(name: str) -> None:
    """The tag of our image in a text is the version that bootstrap gives it."""
    assert set(re.findall(r"\brunscrape:(\d[\w.]*)", TEXTS[name])) <= {version("runscrape")}


def test_every_goal_of_make_exists() -> None:
    """What the manual tells to make, the Makefile makes."""
    goals = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    found = set(re.findall(r"\bmake (\w+)(?=[`\s]*(?:#|`|\n))", MANUAL))
    assert {"demo", "test"} <= found <= goals


def test_the_settings_are_taken(tmp_path: Path) -> None:
    """Each example of runscrape.yaml in the manuals is accepted as it stands."""
    blocks = [body for kind, body in _FENCED.findall(MANUAL) if kind == "yaml" and "rules:" in body]
    assert len(blocks) == 2
    for body in blocks:
        path = tmp_path / "runscrape.yaml"
        path.write_text(body)
        assert not configuration.load("generate", {"config": str(path)}, {}).warnings


def test_the_template_is_taken(
    tmp_path: Path, make_emulator: MakeEmulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """The manual's template renders, and the job that it shows is what is written."""
    one = {"name": "api", "region": "us-central1", "uri": "https://api-x7k2mq4wza-uc.a.run.app"}
    google = make_emulator({"projects": {"my-project": {"number": 1, "services": [one]}}})
    blocks = [body for kind, body in _FENCED.findall(MANUAL) if kind == "yaml"]
    (template,) = (body for body in blocks if "{{ cloud_run_jobs }}" in body)
    (job,) = (body for body in blocks if body.startswith("  - job_name"))
    (tmp_path / "prometheus.yml.j2").write_text(template)
    own = ["--project", "my-project", "--api-endpoint", google.api, "-q"]
    own += ["--prometheus-version", "2.42"]
    file = str(tmp_path / "prometheus.yml.j2")
    assert cli.main(["generate", "--template", file, *own]) == 0
    written: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    assert written["scrape_configs"][1:] == yaml.safe_load(job)


def test_every_meta_label_exists(
    make_emulator: MakeEmulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """The manual lists the meta labels of targets: all that there are, and no other."""
    one = {"name": "api", "region": "us-central1", "labels": {"a": "b"}, "annotations": {"c": "d"}}
    google = make_emulator({"projects": {"demo": {"number": 1, "services": [one]}}})
    own = ["--project", "demo", "--api-endpoint", google.api, "-q"]
    assert cli.main(["targets", *own]) == 0
    ((target,),) = ([each["labels"] for each in json.loads(capsys.readouterr().out)],)
    written = {name for name in target if name.startswith(file_sd.META)}
    (listed,) = re.findall(r"`__meta_cloudrun_…` for relabelling: (.*?)\.\n", MANUAL)
    names = {file_sd.META + name for name in re.findall(r"`([\w<>]+)`", listed)}
    assert {re.sub(r"(label|annotation)_\w+", r"\1_<key>", name) for name in written} == names


def cover(*, repeats: bool) -> float:
    """How many seconds a token still answers if Google goes away just as it is due."""
    token = Token("", 3600.0, repeats)
    return token.ends_at - refresh_at(token, 0.0, jitter=1.0) - SERVED


def test_the_outage_figures() -> None:
    """The least and the most that is covered, by kind, are what the schedule gives."""
    table = MANUAL.split("### How long an outage is covered")[1].split("###")[0]
    rows = {
        line.split("|")[1].split(",")[0].strip(): [cell.strip() for cell in line.split("|")[3:5]]
        for line in table.splitlines()
        if line.startswith("| ")
    }
    best = f"{round((3600 - SERVED) / 60)} minutes"
    assert rows["metadata server"] == [clock(cover(repeats=True)), best]
    assert rows["keys"] == [clock(cover(repeats=False)), best]


def clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} minutes" if rest else f"{minutes} minutes"
