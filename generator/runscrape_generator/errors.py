"""Every error of the generator, as one tree, with the exit code that each ends the run with.

::

    RunscrapeError            1   never raised itself
    ├── ConfigError           2   a flag, a variable or a file is wrong
    ├── DiscoveryError        4   Google could not be listed, and the inventory cannot stand in
    ├── RefusedError          5   a file is not ours to replace, or cannot take a block
    │   └── ShrinkError       5   too many of the jobs would go
    ├── ValidationError       6   what was rendered did not validate
    ├── WriteError            7   a file could not be written
    ├── ReloadError           8   Prometheus refused the reload; the previous file is back
    └── LockedError           9   another run holds the lock

Exit code 3 (published, with some scopes from the inventory) is a success that needs attention,
so it is a result and no error. A message says what is wrong and what to do about it; it may have
several lines where several things are wrong.
"""

from __future__ import annotations

from typing import ClassVar


class RunscrapeError(Exception):
    """The root: whatever the generator raises on purpose."""

    exit_code: ClassVar[int] = 1


class ConfigError(RunscrapeError):
    """A flag, an environment variable or a file is wrong."""

    exit_code = 2


class DiscoveryError(RunscrapeError):
    """Nothing could be listed, and there is no inventory that knows any of it."""

    exit_code = 4


class RefusedError(RunscrapeError):
    """Refused: too many of the jobs would go, or a file is not runscrape's to replace."""

    exit_code = 5


class ShrinkError(RefusedError):
    """More of the jobs would go than ``--max-removed`` allows, or all of them."""


class ValidationError(RunscrapeError):
    """The rendered output failed our own check, or promtool's."""

    exit_code = 6


class WriteError(RunscrapeError):
    """A file could not be written; whatever was there still is."""

    exit_code = 7


class ReloadError(RunscrapeError):
    """Prometheus refused the new configuration; the previous file was put back."""

    exit_code = 8


class LockedError(RunscrapeError):
    """Another run holds the lock on the output."""

    exit_code = 9
