"""``make google``: asks a real project, read-only, whether what we believe of Google holds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.google import audiences, front_end, identities, listing
from tests.google.belief import BELIEFS
from tests.google.real import NoSiteError, real_site
from tests.google.report import Outcome, check, markdown, tally

MODULES = (listing, front_end, audiences, identities)
"""Importing them registers their beliefs."""


def main(argv: Sequence[str] | None = None) -> int:
    """0: all that could be asked holds. 1: something differs. 2: nothing could be asked."""
    parser = argparse.ArgumentParser(prog="make google", description=__doc__)
    parser.add_argument("--list", action="store_true", help="print the beliefs and ask nobody")
    parser.add_argument("--project", default="")
    parser.add_argument("--service", default="", help="NAME or REGION/NAME, a private service")
    parser.add_argument("--impersonate", default="", help="service account that may invoke it")
    parser.add_argument("--report", type=Path, default=Path("google.md"))
    options = parser.parse_args(argv)
    if options.list:
        print(*(f"| {one.name} | {one.sure} | {one.says} |" for one in BELIEFS), sep="\n")
        return 0
    if not (options.project and options.service):
        parser.error("make google PROJECT=… SERVICE=…: both are needed")
    try:
        site = real_site(options.project, options.service, options.impersonate)
    except NoSiteError as error:
        print(f"google: {error}", file=sys.stderr)
        return 2
    outcomes: list[Outcome] = []
    for outcome in check(BELIEFS, site):
        outcomes.append(outcome)
        print(f"{outcome.verdict:10} {outcome.belief.sure}  {outcome.belief.name}", flush=True)
        if outcome.verdict != "holds":
            print("           ", outcome.seen.partition("\n")[0][:160])
    options.report.write_text(markdown(outcomes), "utf-8")
    print(f"\n{tally(outcomes)}; the report, without secrets and names, is {options.report}")
    return int(any(outcome.verdict == "differs" for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
