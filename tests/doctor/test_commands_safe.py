"""Commands are safe to paste, whatever strangers called their services."""

from __future__ import annotations

import itertools
import shlex
import string
import subprocess
from pathlib import Path

import pytest

from runscrape_generator.config.settings import Mode, Settings
from runscrape_generator.doctor.causes import BY_NAME, CAUSES, RANK, Fault, finding
from runscrape_generator.doctor.diagnose import diagnose
from runscrape_generator.doctor.evidence import Answer, Evidence, Exchange
from runscrape_generator.doctor.remedies import of_setup, of_target
from runscrape_generator.doctor.targets import Target

HOSTILE = [
    "a b",
    "$(touch pwned)",
    "`touch pwned`",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "a|touch pwned",
    "a\\",
    "${IFS}",
    "*",
    "~root",
    "!!",
    "{service}",
    "{*start}",
]
UNUSABLE = [
    "--impersonate-service-account=evil",
    "-h",
    "a\nb",
    "a\x1b[31m",
    "\N{RIGHT-TO-LEFT OVERRIDE}x",
    "",
]


def target(name: str) -> Target:
    labels = {"project_id": name, "location": name, "service_name": name, "instance": name}
    return Target(job=name, url="https://api-x7k2mq4wza-uc.a.run.app:443/metrics", labels=labels)


def commands(name: str) -> list[tuple[str, ...]]:
    """Give every command of the list of causes for a service of this name."""
    known = {
        **of_target(Evidence(target=target(name))),
        "start": ("runscrape-proxy", "--inventory", name),
        "generate": ("runscrape", "generate", "--config", name),
        "again": ("runscrape", "generate", "--config", name),
        "targets": ("runscrape", "targets", "--config", name),
        "reload": ("curl", name),
    }
    more = {"member": f"user:{name}", "number": name, "audience": name}
    faults = (Fault(cause.name, values=more) for cause in CAUSES)
    return [words for each in faults for words in finding(each, known).commands]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_one_word(name: str, tmp_path: object) -> None:
    """A name with whatever a shell acts on stays a part of one word, and nothing is run."""
    found = commands(name)
    assert len(found) > 30
    assert any(name in word for words in found for word in words)
    programs = ["gcloud", "runscrape", "runscrape-proxy", "kubectl", "curl", "sudo"]
    stubs = "".join(f"{each}() {{ printf '%s\\0' {each} \"$@\"; }}; " for each in programs)
    text = stubs + "\n".join(shlex.join(words) for words in found)
    done = subprocess.run(
        ["bash", "-c", text], capture_output=True, check=True, cwd=str(tmp_path), text=True
    )
    assert done.stdout.split("\0")[:-1] == list(itertools.chain(*found))
    assert not done.stderr
    assert shlex.split(shlex.join(found[0])) == list(found[0])


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_name_that_no_command_may_hold(name: str) -> None:
    """A name that is an option to a program, or that a terminal acts on, is in no command of it."""
    found = [words for words in commands(name) if words[0] == "gcloud"]
    assert found  # those that name no service
    for words in found:
        assert "services" not in words or words[1] == "services"
        assert name not in words
        assert not any(word.startswith("resource.") for word in words)


def test_a_name_in_a_filter() -> None:
    """A name that Cloud Logging's language would act on stays one text of the filter."""
    labels = {"project_id": "p", "location": "r", "service_name": 'x" OR "1'}
    known = of_target(Evidence(target=Target(job="x", labels=labels)))
    assert known["logs"][-1] == (
        'resource.type="cloud_run_revision" resource.labels.service_name="x\\" OR \\"1" '
        'resource.labels.location="r"'
    )


def test_the_list() -> None:
    """Every cause has a name of its own, a source, and only placeholders that are filled."""
    assert len(BY_NAME) == len(CAUSES) == len(RANK)
    setup = of_setup(Settings(), "", (), prometheus="", prometheus_config=None)
    known = {*setup, *of_target(Evidence(target=target("x")))}
    known |= {"account", "account_project", "caller", "ksa", "namespace", "pod"}
    known |= {"fitting", "path_label", "location", "size", "count", "revision"}
    known |= {"targets_file", "missing_file", "other_file", "ca_file"}
    for cause in CAUSES:
        assert cause.source
        assert "{" not in cause.title
        texts = [cause.remedy, *(word for words in cause.commands for word in words)]
        names = {name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name}
        assert {name.removeprefix("*") for name in names} <= known, cause.name


def test_an_unknown_answer_is_called_so() -> None:
    """What nobody has seen yet is no cause of the list, and what was seen is shown safely."""
    answer = Answer(299, {"server": "\x1b[31mx"}, b"<h1>\x1b]0;pwned\x07 hello</h1>")
    evidence = Evidence(target=target("api"), scrape=Exchange("https://x", answer=answer))
    found = diagnose(evidence, {})
    assert found.cause is not None
    assert found.cause.cause.name == "unknown"
    assert found.cause.detail.isprintable()
    assert "299 by an unknown server" in found.cause.detail
    assert "hello" in found.cause.detail


@pytest.mark.parametrize(
    ("settings", "file", "jobs", "again"),
    [
        (Settings(output=Path("p.yml")), "r.yaml", "generate --config r.yaml", ...),
        (Settings(into=Path("p.yml")), "r.yaml", "generate --config r.yaml", ...),
        (
            Settings(into=Path("p.yml"), projects=("a",)),
            "",
            "generate --project a --into p.yml",
            ...,
        ),
        (Settings(), "r.yaml", "", ""),  # it would go to standard output, and mend nothing
        (Settings(output=Path("t.json")), "r.yaml", "", "targets --config r.yaml"),
        (
            Settings(output=Path("t.json"), projects=("a",)),
            "",
            "",
            "targets --project a --output t.json",
        ),
        (
            Settings(output=Path("p.yml"), mode=Mode.GATEWAY),
            "r.yaml",
            "generate --config r.yaml",
            "",
        ),
    ],
)
def test_what_writes_it_again(settings: Settings, file: str, jobs: str, again: object) -> None:
    """A command that writes jobs or targets anew is one that does, where the settings say to."""
    setup = of_setup(settings, file, (), prometheus="", prometheus_config=None)
    said = {
        name: " ".join(setup[name]).removeprefix("runscrape ") for name in ("generate", "again")
    }
    assert said == {"generate": jobs, "again": jobs if again is ... else again}
    assert setup["config_file"] == ("p.yml" if jobs else "")
