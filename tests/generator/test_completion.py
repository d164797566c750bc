"""Shell completion, in a real bash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = r"""
eval "$(_RUNSCRAPE_COMPLETE=bash_source runscrape)"
complete -p runscrape >/dev/null || exit 1
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
compopt() { echo "compopt $1 $2"; }
_runscrape_completion runscrape
printf '%s\n' "${COMPREPLY[@]}"
"""


def complete(*words: str) -> list[str]:
    """What bash offers for the last of the words."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", SCRIPT, "bash", *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": path},
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("runscrape", "gen"), ["generate"]),
        (("runscrape", "generate", "--prom"), ["--prometheus-version", "--promtool"]),
        (("runscrape", "generate", "--format", "s"), ["scrape-configs"]),
        (("runscrape", "generate", "--promtool", ""), ["auto", "syntax", "none"]),
        (("runscrape", "explain", "--js"), ["--json"]),
        (("runscrape", "generate", "--output", "x"), ["compopt -o default", ""]),
    ],
)
def test_bash_completes(words: tuple[str, ...], offered: list[str]) -> None:
    """Commands, options and their words are completed by runscrape, files by bash itself."""
    assert complete(*words) == offered
