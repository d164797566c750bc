"""Faults that a world can ask for, and how often each has fired."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterable, Iterator
from typing import Literal, TypeVar

from pydantic import PrivateAttr

from emulator.schema import Many, Part

GrpcCode = Literal[
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "UNAUTHENTICATED",
]
IssuerKind = Literal[
    "*",
    "service_account",
    "authorized_user",
    "sts",
    "subject_token",
    "generate_id_token",
    "generate_access_token",
    "metadata",
]


class _Limited(Part):
    """A fault that fires on the first N calls that it matches (0: on all)."""

    first: int = 0
    _fired: Iterator[int] = PrivateAttr(default_factory=lambda: itertools.count(1))

    def fires(self) -> bool:
        """Count one matching call (``next`` on a count is atomic); say whether it is hit."""
        return next(self._fired) <= self.first or not self.first


class ApiFault(_Limited):
    """Hits a call that lists: services (by project, region, page), locations, or a search.

    ``page`` counts from 1, 0 is every page. ``latency`` in seconds. A search's ``project`` is its
    scope (``folders/12``). ``code`` fails the call, with ``reason`` in an ErrorInfo. With none of
    ``code``, ``hang``, ``unreachable`` and ``omitted`` the call is only slow.

    A listing of all regions has the region ``-``. What hits some of its regions only (a glob that
    does not match ``-``) does not fail the call: a region that fails, hangs or is ``unreachable``
    is named in the answer's ``unreachable``; one that is ``omitted`` is left out without a word;
    one that is slow slows the whole call.
    """

    project: str = "*"
    region: str = "*"
    page: int = 0
    latency: float = 0.0
    code: GrpcCode | None = None
    message: str | None = None
    reason: str | None = None
    hang: bool = False
    unreachable: bool = False
    omitted: bool = False

    @property
    def decides(self) -> bool:
        """True where the fault does more than to be slow."""
        return bool(self.code) or self.hang or self.unreachable or self.omitted

    def matches(self, project: str, page: int) -> bool:
        """Tell whether calls of this project (or scope) and page are meant; it is a glob."""
        return fnmatch.fnmatchcase(project, self.project) and self.page in (0, page)

    def hits(self, region: str) -> bool:
        """Tell whether the region is meant, by glob."""
        return fnmatch.fnmatchcase(region, self.region)


class IssuerFault(_Limited):
    """Hits a token issuer, by kind and by audience glob.

    ``status`` answers with Google's error JSON, ``garbage`` 200 with a page of HTML, ``drip`` the
    right answer at a byte a second, ``hang`` never, ``drop`` closes the connection. ``refuse``
    (metadata only) has nothing listen there. ``latency`` in seconds.
    """

    kind: IssuerKind = "*"
    audience: str = "*"
    latency: float = 0.0
    status: int | None = None
    hang: bool = False
    drip: bool = False
    garbage: bool = False
    drop: bool = False
    refuse: bool = False

    @property
    def decides(self) -> bool:
        """True where the fault does more than to be slow."""
        return bool(self.status) or self.hang or self.drip or self.garbage or self.drop

    def matches(self, kind: str, audience: str) -> bool:
        """Tell whether this call is meant; calls without an audience match only ``*``."""
        return self.kind in ("*", kind) and fnmatch.fnmatchcase(audience, self.audience)


F = TypeVar("F", "ApiFault", "IssuerFault")


class Faults(Part):
    """The world's ``faults`` section."""

    list_services: Many[ApiFault] = ()
    locations: Many[ApiFault] = ()
    search: Many[ApiFault] = ()
    issuers: Many[IssuerFault] = ()

    @property
    def metadata_refused(self) -> bool:
        """True where nothing shall listen at the metadata server's address."""
        return any(fault.refuse for fault in self.issuers)


def fired(matching: Iterable[F]) -> tuple[float, F | None]:
    """Count the call on every matching fault.

    Of those that fire, gives the sum of the latencies (seconds) and the first that does more.
    """
    hits = [fault for fault in matching if fault.fires()]
    decisive = (fault for fault in hits if fault.decides)
    return sum(fault.latency for fault in hits), next(decisive, None)
