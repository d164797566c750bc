"""What a service says about itself, in annotations (``prometheus.io/…``) and labels.

Cloud Run annotations take any text; labels take only ``[a-z0-9_-]``, up to 63 characters, so

- the label forms are ``prometheus-scrape``, ``prometheus-path``, ``prometheus-interval``,
  ``prometheus-timeout`` and ``prometheus-param-NAME``;
- ``prometheus-path`` leaves out the slash that it cannot hold: ``stats`` stands for ``/stats``;
- an audience is a URL, which no label can hold, so there is no label form of it.

An annotation beats the label. A bad value is ignored, with a warning, as if it were not there: the
one who deploys a service must not be able to break the scraping of the others.

``prometheus.io/path`` may name several paths with commas between them, an endpoint each. A path
with a comma needs a rule: Prometheus would encode ``%2C`` again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

from runscrape_generator.config import durations
from runscrape_generator.model import Service
from runscrape_generator.text import show

ANNOTATION = "prometheus.io/"
LABEL = "prometheus-"
_PARAM = "param-"
_KNOWN = frozenset({"scrape", "path", "interval", "timeout", "audience"})

_PATH = re.compile(r"/(?:[^?#%\x00-\x20\x7f-\xa0\u2028\u2029]|%[0-9A-Fa-f]{2})*")
"""RFC 3986 section 3.3, and more: of what is no URL, only what some reader takes otherwise. A ``%``
that encodes nothing makes vmagent drop the target, and Prometheus encode it again."""

MOST_PATHS = 10
"""Each is a job, or a target: what one service may ask for."""

LEAST_SECONDS = 5.0
"""Of an interval and a timeout: a service may not have itself scraped 1,000 times a second."""

_PARAM_NAME = re.compile(r"[A-Za-z0-9_]{1,63}")
"""What fits behind ``__param_`` in a label's name, so that targets can carry it too."""
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\"<>\\^`{|}]")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeAnnotations:
    """What one service says about its scraping; None where it says nothing usable."""

    scrape: bool | None = None
    paths: tuple[str, ...] = ()
    """In the order in which they are named, each once."""
    interval: str | None = None
    timeout: str | None = None
    audience: str | None = None
    params: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def read_annotations(service: Service) -> ScrapeAnnotations:
    """Read the annotations and labels of *service*, with a warning for each that is unusable."""
    if not any(name.startswith(ANNOTATION) for name in service.annotations) and not any(
        name.startswith(LABEL) for name in service.labels
    ):
        return ScrapeAnnotations()
    reader = _Reader(service)
    return ScrapeAnnotations(
        scrape=reader.first("scrape", boolean),
        paths=reader.paths(),
        interval=reader.first("interval", duration),
        timeout=reader.first("timeout", duration),
        audience=reader.first("audience", audience, in_label=False),
        params=reader.params(),
        warnings=(*reader.warnings, *_unknown(service)),
    )


def boolean(text: str) -> bool:
    """Exactly ``true`` or ``false``: ``True``, ``1`` or ``yes`` may each mean something else."""
    if text not in ("true", "false"):
        raise ValueError(f'{show(text)} is neither "true" nor "false"')
    return text == "true"


def path(text: str) -> str:
    """A path from the slash on, without query or fragment, blanks or control characters."""
    if not _PATH.fullmatch(text):
        raise ValueError(
            f"{show(text)} is not a path such as /metrics (no query, no blanks, no % but %XX)"
        )
    return text


def duration(text: str) -> str:
    """A duration as Prometheus writes it, of five seconds or more; kept as it is written."""
    try:
        seconds = durations.parse(text)
    except ValueError:
        raise ValueError(f"{show(text)} is not a duration such as 30s, 5m or 1h30m") from None
    if seconds < LEAST_SECONDS:
        raise ValueError(f"{show(text)} is less than the {LEAST_SECONDS:g}s that a service may ask")
    return text


def audience(text: str) -> str:
    """An https URL, as Cloud Run checks for in ``aud``; compared as text, so kept as it is."""
    wrong = ValueError(f"{show(text)} is not an https URL")
    if _NOT_IN_URL.search(text) or not text.startswith("https://"):
        raise wrong
    try:
        parts = urlsplit(text)
        if not parts.hostname or "@" in parts.netloc or parts.fragment:
            raise wrong
    except ValueError:
        raise wrong from None
    return text


def _no_label(text: str) -> NoReturn:
    raise ValueError(f"{show(text)}: a label cannot hold a URL, use {ANNOTATION}audience")


def _unknown(service: Service) -> Iterator[str]:
    """Warn of each ``prometheus.io/`` annotation that is not known: most are typing mistakes."""
    for name in sorted(service.annotations):
        word = name.removeprefix(ANNOTATION)
        if word != name and word not in _KNOWN and not word.startswith(_PARAM):
            yield f"annotation {show(name)} is not known here, and ignored"


class _Reader:
    """Takes values from annotations, then labels, and collects a warning for each bad one."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.warnings: list[str] = []

    def first(self, word: str, parse: Callable[[str], T], *, in_label: bool = True) -> T | None:
        """The first usable of annotation and label; None where there is none."""
        found = self._take("annotation", self._service.annotations, word, parse)
        if found is not None:
            return found
        return self._take("label", self._service.labels, word, parse if in_label else _no_label)

    def _take(
        self, kind: str, values: Mapping[str, str], word: str, parse: Callable[[str], T]
    ) -> T | None:
        name = (ANNOTATION if kind == "annotation" else LABEL) + word
        if (text := values.get(name)) is None:
            return None
        try:
            return parse(text)
        except ValueError as error:
            self.warnings.append(f"{kind} {name} ignored: {error}")
            return None

    def paths(self) -> tuple[str, ...]:
        """The paths of the annotation that can be used, or the label's one."""
        text = self._service.annotations.get(f"{ANNOTATION}path")
        found: dict[str, None] = {}
        for each in text.split(",") if text is not None else ():
            try:
                found[path(each.strip(" "))] = None
            except ValueError as error:
                self.warnings.append(f"annotation {ANNOTATION}path ignored: {error}")
        if not found:
            one = self._take("label", self._service.labels, "path", lambda text: path("/" + text))
            return () if one is None else (one,)
        if len(found) > MOST_PATHS:
            self.warnings.append(
                f"annotation {ANNOTATION}path names {len(found)} paths: only {MOST_PATHS} count"
            )
        return tuple(found)[:MOST_PATHS]

    def params(self) -> dict[str, tuple[str, ...]]:
        """URL parameters by name, sorted; one value each."""
        found: dict[str, tuple[str, ...]] = {}
        sources = (
            ("label", LABEL + _PARAM, self._service.labels),
            ("annotation", ANNOTATION + _PARAM, self._service.annotations),
        )
        for kind, start, values in sources:
            for full in sorted(name for name in values if name.startswith(start)):
                name = full.removeprefix(start)
                if _PARAM_NAME.fullmatch(name):
                    found[name] = (values[full],)
                else:
                    self.warnings.append(
                        f"{kind} {show(full)} ignored: a parameter's name here is letters, "
                        "digits and _; a rule's params take any"
                    )
        return dict(sorted(found.items()))
