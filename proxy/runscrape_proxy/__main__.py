"""``python -m runscrape_proxy``, the same as ``runscrape-proxy``."""

from __future__ import annotations

import sys

from runscrape_proxy.cli import main

sys.exit(main())
