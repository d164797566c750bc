"""Shell completion, in a real bash."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

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
    ("runscrape", "generate", "--prom"): ["--prometheus-version", "--promtool"],
    ("runscrape", "generate", "--format", "s"): ["scrape-configs"],
    ("runscrape", "generate", "--promtool", ""): ["auto", "syntax", "none"],
    ("runscrape", "explain", "--js"): ["--json"],
    ("runscrape", "generate", "--output", "x"): ["compopt -o default", ""],
}


def test_bash_completes() -> None:
    """Commands, options and their words are completed by runscrape, files by bash itself."""
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
