"""For what a request may ask; with where it comes from and who asks, the whole policy.

The rules only read what they are given, so that the token endpoint and others can share them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runscrape_proxy.access.refusals import Refusals
from runscrape_proxy.errors import InvalidTarget, StartError
from runscrape_proxy.settings import DEFAULT_AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Collection

    from runscrape_proxy.access.callers import Clients
    from runscrape_proxy.access.origin import Origin
    from runscrape_proxy.inventory import Inventories

MAX_AUDIENCE = 512
MAX_STARS = 2
"""Per glob: matching takes the length of the audience to this power."""

# One or more host name labels, so that no glob reaches past the host: no slash, colon, @, ? or #.
_STAR = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"


@dataclass(frozen=True, slots=True)
class Policy:
    """Where a request may come from, who may ask, and for what."""

    origin: Origin
    clients: Clients
    audiences: Audiences
    refusals: Refusals = field(default_factory=Refusals)


class Audiences:
    """What may be minted for: the inventory's audiences, and the globs that were allowed.

    With neither, every Cloud Run default URL. An inventory that was asked for and is not there
    (yet) allows nothing.
    """

    def __init__(self, globs: Collection[str] = (), inventory: Inventories | None = None) -> None:
        self.inventory = inventory
        self.globs = tuple(globs) if globs or inventory else (DEFAULT_AUDIENCE,)
        self._pattern = re.compile("|".join(map(_regex, self.globs)) or r"(?!)", re.ASCII)

    @property
    def listed(self) -> frozenset[str]:
        """The audiences of the inventory, empty while there is none."""
        held = self.inventory.value if self.inventory else None
        return held.audiences if held else frozenset()

    def allows(self, audience: str) -> bool:
        """Say whether a token may be minted for ``audience``."""
        return audience in self.listed or (
            len(audience) <= MAX_AUDIENCE and self._pattern.fullmatch(audience) is not None
        )

    def check(self, audience: str) -> None:
        """Raise InvalidTarget, saying where the audience would have to be allowed.

        An audience that is not known is looked for in the files as they are now: Prometheus asks
        for a new service's token as soon as it has reloaded, and by then the inventory is written.
        """
        if self.allows(audience):
            return
        if self.inventory is not None:
            self.inventory.refresh()
            if self.allows(audience):
                return
        raise InvalidTarget(f"audience {printable(audience)} is not allowed: {self._remedy()}")

    def _remedy(self) -> str:
        if self.inventory is None:
            return f"it does not match {' or '.join(map(printable, self.globs))} (--allow-audience)"
        if self.inventory.value is None:
            return f"no inventory could be read yet ({printable(self.inventory.error)})"
        return "the inventory does not have it; run runscrape, or start with --allow-audience"


def _regex(glob: str) -> str:
    if not glob or len(glob) > MAX_AUDIENCE or glob.count("*") > MAX_STARS:
        raise StartError(
            f"--allow-audience {printable(glob)}: at most {MAX_AUDIENCE} characters and"
            f" {MAX_STARS} stars"
        )
    return _STAR.join(re.escape(part) for part in glob.split("*"))


def printable(text: str, limit: int = 200) -> str:
    """Make any text fit for an error_description: RFC 6749, section 5.2, has its characters."""
    short = text if len(text) <= limit else text[:limit] + "..."
    return re.sub(r'[^\x20-\x7e]|["\\]', "?", short)
