"""The commands that ask a process, from inside of its container, whether it is well."""

from __future__ import annotations

from runscrape_generator.bootstrap.processes import METRICS

PROXY = (
    "python",
    "-c",
    (
        "import urllib.request as r; r.build_opener(r.ProxyHandler({}))"
        ".open('http://127.0.0.1:7777/-/healthy', timeout=5)"
    ),
)
"""Our image has no other client than Python; a proxy of the environment is passed by."""


def generator(seconds: int) -> tuple[str, ...]:
    """Ask whether it has run in the last so many seconds: each run writes the metrics file."""
    file = f"{METRICS}/runscrape.prom"
    look = f"time.time() - os.stat('{file}').st_mtime > {seconds}"
    return ("python", "-c", f"import os, sys, time; sys.exit({look})")


def prometheus(image: str) -> tuple[str, ...]:
    """Ask Prometheus with what its image has: BusyBox, or in the distroless one promtool alone."""
    if "distroless" in image:
        return ("/bin/promtool", "check", "ready", "--url=http://127.0.0.1:9090")
    return ("wget", "--quiet", "--output-document=/dev/null", "http://127.0.0.1:9090/-/ready")
