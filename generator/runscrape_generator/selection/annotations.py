"""What a service says about itself, in annotations (``prometheus.io/…``) and labels.

Cloud Run annotations take any text; labels take only ``[a-z0-9_-]``, up to 63 characters, so

- the label forms are ``prometheus-scrape``, ``prometheus-path``, ``prometheus-interval``,
  ``prometheus-timeout`` and ``prometheus-param-NAME``;
- ``prometheus-path`` leaves out the slash that it cannot hold: ``stats`` stands for ``/stats``;
- an audience is a URL, which no label can hold, so there is no label form of it.

An annotation beats the label. A bad value is ignored, with a warning, as if it were not there: the
one who deploys a service must not be able to break the scraping of the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

from runscrape_generator.config import durations
from runscrape_generator.model import Service
from runscrape_generator.text import show

ANNOTATION = "prometheus.io/"
LABEL = "prometheus-"
_PARAM = "param-"
_KNOWN = frozenset({"scrape", "path", "interval", "timeout", "audience"})

_PATH = re.compile(r"/[^?#\x00-\x20\x7f-\xa0\u2028\u2029]*")
_PARAM_NAME = re.compile(r"[A-Za-z0-9_]+")
"""What fits behind ``__param_`` in a label's name, so that targets can carry it too."""
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\"<>\\^`{|}]")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeAnnotations:
    """What one service says about its scraping; None where it says nothing usable."""

    scrape: bool | None = None
    path: str | None = None
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
        path=reader.first("path", path, from_label=lambda text: path("/" + text)),
        interval=reader.first("interval", duration),
        timeout=reader.first("timeout", duration),
        audience=reader.first("audience", audience, from_label=_no_label),
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
        raise ValueError(f"{show(text)} is not a path such as /metrics (no query, no blanks)")
    return text


def duration(text: str) -> str:
    """A duration as Prometheus writes it, above zero; kept as it is written."""
    if durations.parse(text) <= 0:
        raise ValueError(f"{show(text)} has to be more than 0")
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


def _no_label(text: str) -> str:
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

    def first(
        self,
        word: str,
        parse: Callable[[str], T],
        *,
        from_label: Callable[[str], T] | None = None,
    ) -> T | None:
        """The first usable of annotation and label; None where there is none."""
        sources = (
            ("annotation", ANNOTATION, self._service.annotations, parse),
            ("label", LABEL, self._service.labels, from_label or parse),
        )
        for kind, start, values, take in sources:
            if (text := values.get(start + word)) is None:
                continue
            try:
                return take(text)
            except ValueError as error:
                self.warnings.append(f"{kind} {start}{word} ignored: {error}")
        return None

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
