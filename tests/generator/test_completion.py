"""Shell completion, in a real bash."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from runscrape_generator.cli.commands import group

SCRIPT = r"""
eval "$(_RUNSCRAPE_COMPLETE=bash_source runscrape)"
complete -p runscrape >/dev/null || exit 1
compopt() { echo "compopt $1 $2"; }
offer() {
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  _runscrape_completion runscrape
  printf '%s\n' "${COMPREPLY[@]}"
  echo .
}
"""
CASES = {
    ("runscrape", "gen"): ["generate"],
    ("runscrape", "generate", "--output", "x"): ["compopt -o default", ""],
}


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


def test_bash_completes() -> None:
    """Bash asks runscrape for commands and options, and completes files itself."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    calls = "\n".join(f"offer {shlex.join(words)}" for words in CASES)
    done = subprocess.run(
        ["bash", "-c", SCRIPT + calls],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": path},
    )
    assert done.stderr == ""
    offered = [each.splitlines() for each in done.stdout.split(".\n")[:-1]]
    assert offered == list(CASES.values())
