"""For which audiences tokens may be asked."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from runscrape_proxy.access import service_urls
from runscrape_proxy.errors import InvalidTarget, StartError
from runscrape_proxy.inventory import OncePerInventory
from runscrape_proxy.settings import DEFAULT_AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from runscrape_proxy.inventory import Inventories, Inventory

MAX_AUDIENCE = 512
MAX_REMEMBERED = 4096
"""Audiences of which it is remembered what was nearly meant."""
MAX_STARS = 2
"""Per glob: matching takes the length of the audience to this power."""

# One or more host name labels, so that no glob reaches past the host: no slash, colon, @, ? or #.
_STAR = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"


class Audiences:
    """What may be minted for: the inventory's audiences, and the globs that were allowed.

    With neither, every Cloud Run default URL. An inventory that was asked for and is not there
    (yet) allows nothing.
    """

    def __init__(self, globs: Collection[str] = (), inventory: Inventories | None = None) -> None:
        self.inventory = inventory
        self.globs = tuple(globs) if globs or inventory else (DEFAULT_AUDIENCE,)
        self._service_urls = OncePerInventory(lambda held: service_urls.aliases(held.kept))
        self._nearest = OncePerInventory(self._nearest_in)
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

    def resolve(self, audience: str) -> str:
        """Return the audience to mint for, where ``audience`` is allowed or means a service.

        Another URL of a service means that service. An audience that is not known is looked for in
        the files as they are now: Prometheus asks for a new service's token as soon as it has
        reloaded, and by then the inventory is written. Raises InvalidTarget, saying what was nearly
        meant, or where the audience would have to be allowed.
        """
        found = self._find(audience)
        if found is None and self.inventory is not None:
            self.inventory.refresh()
            found = self._find(audience)
        if found is not None:
            return found
        raise InvalidTarget(
            f"audience {printable(audience)} is not allowed: {self._remedy(audience)}"
        )

    def _find(self, audience: str) -> str | None:
        """A service of the inventory first: its URLs may match a glob as well."""
        if audience in self.listed:
            return audience
        url = service_urls.normal(audience)
        if url is not None and (meant := self._aliases.get(url)) is not None:
            return meant
        if self.allows(audience):
            return audience
        return url if url is not None and self.allows(url) else None

    @property
    def _aliases(self) -> dict[str, str]:
        held = self.inventory.value if self.inventory else None
        return self._service_urls.of(held) if held else {}

    def _remedy(self, audience: str) -> str:
        if self.inventory is None:
            return f"it does not match {' or '.join(map(printable, self.globs))} (--allow-audience)"
        held = self.inventory.value
        if held is None:
            return f"no inventory could be read yet ({printable(self.inventory.error)})"
        near = self._nearest.of(held)(audience[: MAX_AUDIENCE + 1])
        if near is not None:
            return f"{near[0]}, so ask for {printable(near[1])}"
        return "the inventory does not have it; run runscrape, or start with --allow-audience"

    def _nearest_in(self, held: Inventory) -> Callable[[str], tuple[str, str] | None]:
        """Look once for what was nearly meant: it takes long, and a wrong job asks each time."""
        known = {listed: listed for listed in held.audiences} | self._service_urls.of(held)
        return lru_cache(MAX_REMEMBERED)(lambda audience: service_urls.nearest(audience, known))


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
