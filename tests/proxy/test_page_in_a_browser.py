"""The page as Chromium sees it, where there is one: the script runs under its own policy."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.proxy.harness import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.proxy.harness import Proxy

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_countdown_counts(proxy: Proxy, tmp_path: Path) -> None:
    """The script is allowed by its nonce and turns "59 min" into minutes and seconds."""
    assert proxy.token("https://countdown-x7k2mq4wza-uc.a.run.app").status == 200
    assert re.search(r">(5\d min|1 h 0 min)<", proxy.get("/").text)
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    options += ["--disable-background-networking", "--disable-component-update"]
    options += [f"--user-data-dir={tmp_path}", "--virtual-time-budget=1500", "--dump-dom"]
    done = subprocess.run(
        [str(CHROMIUM), *options, f"{proxy.url}/"],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert re.search(r"data-expires=\"\d+\">5\d:\d\d<", done.stdout), done.stdout + done.stderr
