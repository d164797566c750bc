"""Which releases of Prometheus, or of vmagent, know the fields that a rule's scrape_config uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from runscrape_generator.config.job_fields import FirstReleases, known
from runscrape_generator.config.messages import Place
from runscrape_generator.config.option import fields
from runscrape_generator.config.scrape_config import JobFields
from runscrape_generator.config.settings import AUTO, Format, Rule, Settings

ASSUMED = "2.42"
"""The Prometheus to render for where nobody tells its version: what Debian 12 has."""


def release(version: str) -> tuple[int, int]:
    """``2.42`` or ``2.42.1`` as (2, 42), which compares."""
    major, minor, *_ = (*version.split("."), "0")
    return int(major), int(minor)


def assumed(rules: Iterable[Rule]) -> str:
    """The release to render for where nobody tells it: at least one that knows what rules use."""
    used = (each.known.prometheus for rule in rules for each in uses(rule.scrape_config))
    return max([ASSUMED, *filter(None, used)], key=release)


def prometheus(settings: Settings) -> tuple[int, int]:
    """The release of Prometheus to render for."""
    version = settings.prometheus_version
    return release(assumed(settings.rules) if version == AUTO else version)


@dataclass(frozen=True, slots=True)
class Use:
    """A field, or a word as its value, that a scrape_config uses."""

    place: Place
    name: str
    known: FirstReleases


def uses(data: Mapping[str, Any], block: Any = JobFields) -> Iterator[Use]:
    """Give every field in *data*, and every word that came later than its field, at any depth.

    A field that we do not know counts as one that no release knows.
    """
    fields_of = {info.alias or name: info for name, info in fields(block).items()}
    for name, value in data.items():
        info = fields_of.get(name)
        yield Use((name,), name, known(info) if info else FirstReleases(None))
        if info is not None:
            for use in _below(value, info.annotation, known(info)):
                yield Use((name, *use.place), use.name, use.known)


def _below(value: Any, annotation: Any, notes: FirstReleases) -> Iterator[Use]:
    """What a field's value uses: a word, a block of fields, or several of these."""
    block = _block(annotation)
    if isinstance(value, str):
        late = notes.values.get(value, notes.values.get(value.lower()))
        yield from [] if late is None else [Use((), value, late)]
    elif isinstance(value, Mapping) and block is not None and get_origin(annotation) is not dict:
        yield from uses(value, block)
    elif isinstance(value, Mapping | list | tuple):
        for key, each in value.items() if isinstance(value, Mapping) else enumerate(value):
            for use in _below(each, block or str, notes):
                yield Use((key, *use.place), use.name, use.known)


def _block(annotation: Any) -> Any:
    """The block of fields that a field's type is, or holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_block, get_args(annotation))), None)


@dataclass(frozen=True, slots=True)
class Reader:
    """Prometheus or vmagent, which will read the output."""

    name: Literal["Prometheus", "vmagent"]
    option: str
    version: str | None
    """The oldest; None where nobody has told it."""
    told_by: str = ""
    """Who has told it, where that was not the user."""

    @property
    def which(self) -> str:
        """Say which version it is, and who has told it."""
        if self.told_by:
            return f"the output is for {self.version} ({self.told_by}; else {self.option})"
        return f"{self.option} is {self.version}"

    def refused(self, data: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
        """What of a scrape_config would have it refuse the whole file: where, and why."""
        blocks: list[Place] = []
        for use in uses(data):
            if any(use.place[: len(block)] == block for block in blocks):
                continue  # of a block that is refused as such
            if message := self._wrong(use):
                blocks.append(use.place)
                yield use.place, message

    def _wrong(self, use: Use) -> str | None:
        since = use.known.vmagent if self.name == "vmagent" else use.known.prometheus
        if since is None:
            return f"{self.name} knows no {use.name}, and would refuse the whole file"
        if self.version is None:
            return None
        if release(self.version) < release(since):
            return f"{self.name} knows {use.name} from {since} on, and {self.which}"
        if use.known.renamed and release(self.version) >= release("3.0"):
            return f"Prometheus 3.0 has renamed it: use {use.known.renamed}"
        return None


def reader(settings: Settings) -> Reader:
    """Who will read the output."""
    if settings.format is Format.VMAGENT:
        return Reader("vmagent", "--vmagent-version", settings.vmagent_version)
    version = settings.prometheus_version
    known = None if version == AUTO else version
    return Reader("Prometheus", "--prometheus-version", known, settings.version_from)
