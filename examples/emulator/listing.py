"""What ListServices and locations.list answer, whichever protocol they are asked in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from emulator.callers import Callers, check_region
from emulator.errors import GoogleError, message_for
from emulator.faults import ApiFault, fired
from emulator.model import Project, World
from emulator.paging import Pages, Record, page_start, page_token
from emulator.state import State

ALL_REGIONS = "-"


class Hangs(Exception):
    """The call is to get no answer."""


@dataclass(frozen=True)
class Call:
    """A ListServices request. ``resource`` is what a refusal names.

    ``required``: whether it must have credentials even in a world that does not ask for them.
    """

    project: str
    region: str
    resource: str
    bearer: str | None
    page_size: int = 0
    page_token: str = ""
    show_deleted: bool = False
    required: bool = False


@dataclass(frozen=True)
class ServicePage:
    """One page; ``unreachable`` as the world's ``unreachable_as`` writes regions."""

    project: Project
    records: list[Record]
    next_page_token: str = ""
    unreachable: tuple[str, ...] = ()


@dataclass(frozen=True)
class LocationPage:
    """One page of the names of a project's regions."""

    project: str
    regions: tuple[str, ...]
    next_page_token: str


class Listing:
    """Answers for the live world, with its faults, and counts."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._pages = Pages()
        self._callers = Callers(state)

    def services(self, call: Call) -> ServicePage:
        """List a page of one region's services, or of all regions'; raises GoogleError, Hangs."""
        scope = f"{call.project}/{call.region}"
        try:
            return self._services(call, scope)
        except GoogleError as error:
            self._state.counts.add("list_services_errors", scope, error.code)
            raise

    def locations(
        self, project: str, token: str | None, size: int, page: str, *, required: bool
    ) -> LocationPage:
        """List a page of a project's regions, the closed ones too; raises GoogleError, Hangs."""
        world = self._state.world
        number, offset = page_start(page, project)
        self._play(f for f in world.faults.locations if f.matches(project, number))
        name, found = self._callers.project(
            token, project, "run.locations.list", f"projects/{project}", required=required
        )
        regions = (*(found.regions or ()), *found.closed_regions)
        end = offset + min(size or 100, world.settings.locations_page_size)
        following = page_token(project, number + 1, end) if end < len(regions) else ""
        return LocationPage(name, regions[offset:end], following)

    def _services(self, call: Call, scope: str) -> ServicePage:
        world = self._state.world
        number, offset = page_start(call.page_token, scope)
        self._state.counts.add("list_services", scope, str(number))
        faults = [f for f in world.faults.list_services if f.matches(call.project, number)]
        fault = self._play(f for f in faults if f.hits(call.region))
        if call.page_size < 0:
            raise GoogleError("INVALID_ARGUMENT", "Page size must not be negative.")
        name, project = self._callers.project(
            call.bearer,
            call.project,
            "run.services.list",
            call.resource,
            required=call.required,
        )
        down, missing = set[str](), set[str]()
        if call.region == ALL_REGIONS:
            down, missing = self._incomplete(project, faults)
        else:
            check_region(project, call.region)
            if fault and fault.unreachable:
                return ServicePage(project, [], "", _written(world, name, [call.region]))
        records = self._pages.records(world, name, call.region, deleted=call.show_deleted)
        end = offset + min(call.page_size or 100, world.settings.page_size_cap)
        following = page_token(scope, number + 1, end) if end < len(records) else ""
        page = [r for r in records[offset:end] if r.region not in down | missing]
        unreachable: tuple[str, ...] = ()
        if call.region == ALL_REGIONS:
            unreachable = _written(world, name, [*sorted(down), *project.closed_regions])
            unreachable += world.settings.wildcard_unreachable
        return ServicePage(project, page, following, unreachable)

    def _incomplete(self, project: Project, faults: list[ApiFault]) -> tuple[set[str], set[str]]:
        """Regions that a listing of all regions names as unreachable, and that it just leaves out.

        Waits for the slowest region.
        """
        down, missing, slowest = set[str](), set[str](), 0.0
        for region in project.regions or ():
            hits = [f for f in faults if f.hits(region) and not f.hits(ALL_REGIONS)]
            latency, fault = fired(hits)
            slowest = max(slowest, latency)
            if fault is not None:
                (missing if fault.omitted else down).add(region)
        self._state.wait(slowest)
        return down, missing

    def _play(self, matching: Iterable[ApiFault]) -> ApiFault | None:
        """Wait, and fail where a fault says so; gives any other fault that fires."""
        latency, fault = fired(matching)
        self._state.wait(latency)
        if fault and fault.hang:
            raise Hangs
        if fault and fault.code:
            raise GoogleError(fault.code, fault.message or message_for(fault.code), fault.reason)
        return fault


def _written(world: World, project: str, regions: Iterable[str]) -> tuple[str, ...]:
    """Regions as ``unreachable`` has them. UNCONFIRMED which of the two forms Google's v2 uses."""
    prefix = "" if world.settings.unreachable_as == "region" else f"projects/{project}/locations/"
    return tuple(prefix + region for region in regions)
