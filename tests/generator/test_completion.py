"""Shell completion, in a real bash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from runscrape_generator.cli.commands import group
from tests.generator.commands_kit import run_here

SCRIPT = r"""
eval "$SOURCE"
complete -p runscrape >/dev/null || exit 1
COMP_WORDS=(runscrape gen) COMP_CWORD=1
_runscrape_completion runscrape
echo "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("generate", "--prom"), ["--prometheus-version", "--promtool"]),
        (("generate", "--format", "s"), ["scrape-configs"]),
        (("generate", "--promtool", ""), ["auto", "syntax", "none"]),
        (("explain", "--js"), ["--json"]),
    ],
)
def test_what_is_offered(words: tuple[str, ...], offered: list[str]) -> None:
    """Options are completed, and the words that their values may be."""
    *before, last = words
    complete = ShellComplete(group(), {}, "runscrape", "_RUNSCRAPE_COMPLETE")
    assert [each.value for each in complete.get_completions(before, last)] == offered


def test_files_are_left_to_the_shell() -> None:
    """Where a file is wanted, that is said in place of names."""
    complete = ShellComplete(group(), {}, "runscrape", "_RUNSCRAPE_COMPLETE")
    (offered,) = complete.get_completions(["generate", "--output"], "x")
    assert offered.type == "file"


def test_bash_completes() -> None:
    """Bash takes the script that runscrape prints, and asks runscrape what to offer."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    source = run_here([], {"_RUNSCRAPE_COMPLETE": "bash_source"}).stdout
    done = subprocess.run(
        ["bash", "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": path, "SOURCE": source},
    )
    assert (done.stdout, done.stderr) == ("generate\n", "")
