"""The progress bars of a round of listing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from runscrape_generator.progress import Progress


class ListingProgress(contextlib.ExitStack):
    """A bar over what is listed first, then one over what that left to be listed region by region.

    ``label`` and ``first`` say what is listed first, and how many of it.
    """

    def __init__(self, progress: Progress, label: str, first: int) -> None:
        super().__init__()
        self._progress = progress
        self._first = first
        self._regions = self._listed = 0
        self._advance: Callable[[int], None]
        self._advance = self.enter_context(progress(label, first)) if first else lambda _by: None

    def listed(self, *, first: bool) -> None:
        """Say that one is done: of those that are listed first, or of the regions after them."""
        if first:
            self._first -= 1
            self._advance(1)
            self._open_regions()
        else:
            self._listed += 1
            if not self._first:
                self._advance(1)

    def more(self, regions: int) -> None:
        """Say that so many more regions are to be listed."""
        self._regions += regions
        if regions:
            self._open_regions()

    def _open_regions(self) -> None:
        if self._regions and not self._first:
            self.close()
            self._advance = self.enter_context(self._progress("regions", self._regions))
            self._advance(self._listed)
