"""``python -m runscrape_generator``: the same as ``runscrape``."""

import sys

from runscrape_generator.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
