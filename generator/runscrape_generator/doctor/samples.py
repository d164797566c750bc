"""What is in a scrape's body, read as Prometheus would; prometheus_client's parser does the work.

It takes some things that Prometheus refuses ("a laxer parser than the main Go parser"), so
text_format looks for lines that are known to differ, and open_metrics makes text of that format.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.parser import text_fd_to_metric_families, text_string_to_metric_families
from prometheus_client.samples import Sample

from runscrape_generator.doctor import open_metrics, protobuf, text_format
from runscrape_generator.doctor.evidence import Answer, Samples
from runscrape_generator.doctor.jobs.relabel import relabel
from runscrape_generator.doctor.scrape import Version
from runscrape_generator.doctor.targets import Limits, Target
from runscrape_generator.text import ELLIPSIS, printable, show

AHEAD = 600.0
"""Seconds in the future that Prometheus takes a sample's timestamp for (``maxAheadTime``)."""
BEHIND = 3600.0
"""Seconds in the past after which a sample is sure to be out of bounds (half a block's range)."""

COUNTED_ONCE = (2, 52)
"""Where ``sample_limit`` began to leave out what the same scrape said before."""

START_TIME = "process_start_time_seconds"
_MONOTONIC = ("_count", "_bucket")
_GROWING = {"counter", "histogram", "summary"}
_NAME = re.compile(r"^[a-zA-Z_:][\w:]*", re.MULTILINE | re.ASCII)

Series = tuple[str, tuple[tuple[str, str], ...]]


class MalformedError(Exception):
    """A body that cannot be read: the line, and what is wrong with it."""


def read(answer: Answer, target: Target, now: float, version: Version = (2, 42)) -> Samples:
    """Read the body of ``answer``, as ``version`` does; ``now`` in seconds since 1970."""
    try:
        found = list(_parsed(answer, version))
    except MalformedError as error:
        return Samples(malformed=str(error))
    relabelled = [(sample, _relabelled(sample, target)) for _, sample in found]
    kept = [after for _, after in relabelled if after is not None]
    again = _said_again((before for before, after in relabelled if after is not None), target)
    return Samples(
        count=len(kept) - (again if version >= COUNTED_ONCE else 0),
        duplicate=_duplicate(answer, kept, target),
        skewed=_skewed(kept, now) if target.honor_timestamps else "",
        too_long=_too_long(kept, target),
        counters=_counters(found),
        started=next((s.value for _, s in found if s.name == START_TIME), None),
    )


def _parsed(answer: Answer, version: Version) -> Iterator[tuple[str, Sample]]:
    """Yield every sample with the type of its metric. Raises MalformedError."""
    if answer.undecodable:
        raise MalformedError(answer.undecodable)
    kind = answer.content_type
    if kind == protobuf.MEDIA_TYPE:
        try:
            yield from protobuf.samples(answer.body)
        except ValueError as error:
            raise MalformedError(str(error)) from None
        return
    lines = _Lines(_decoded(answer))
    is_open = kind == open_metrics.MEDIA_TYPE
    text: Any = (open_metrics if is_open else text_format).as_text(lines, version)
    names = set(_NAME.findall(answer.text))
    try:
        for family in text_fd_to_metric_families(text):
            for sample in family.samples:
                yield family.type, _as_written(sample, names)
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, AssertionError) as error:
        why = str(error.args[0]).partition(":")[0] if error.args else "not a sample"
        shown = show(lines.last.rstrip("\n"), 60)
        raise MalformedError(f"line {lines.number}: {shown} ({printable(why)})") from None


def _decoded(answer: Answer) -> str:
    try:
        return answer.body.decode()
    except UnicodeDecodeError as error:
        number = answer.body.count(b"\n", 0, error.start) + 1
        encoding = printable(answer.headers.get("content-encoding", ""))
        why = f" (Prometheus does not undo its Content-Encoding, {encoding})" if encoding else ""
        raise MalformedError(f"line {number}: not UTF-8{why}") from None


def _as_written(sample: Sample, names: set[str]) -> Sample:
    """Undo what the text parser does to a counter that is not called ``…_total``."""
    if sample.name in names:
        return sample
    name = sample.name.removesuffix("_total")
    return Sample(name, sample.labels, sample.value, sample.timestamp)


class _Lines:
    """The lines of a body, and which of them was read last."""

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text, newline="\n")
        self.number = 0
        self.last = ""

    def __iter__(self) -> Iterator[str]:
        for number, line in enumerate(self._lines, 1):
            self.number, self.last = number, line
            yield line


def _relabelled(sample: Sample, target: Target) -> Sample | None:
    """Apply ``metric_relabel_configs``, which see the target's labels and come before limits."""
    name, own = sample.name, _exported(sample.labels, target)
    if target.metric_relabel:
        every = {**target.labels, **own, "__name__": name}
        labels = relabel(every, target.metric_relabel)
        if labels is None:
            return None
        name = labels.pop("__name__", "")
        own = {key: value for key, value in labels.items() if target.labels.get(key) != value}
    return Sample(name, own, sample.value, sample.timestamp)


def _said_again(samples: Iterable[Sample], target: Target) -> int:
    """Count those whose series, to the letter, came before, and that have no time of their own."""
    seen: set[Series] = set()
    again = 0
    for sample in samples:
        key = (sample.name, tuple(sample.labels.items()))
        again += key in seen and _timestamp(sample, target) is None
        seen.add(key)
    return again


def _timestamp(sample: Sample, target: Target) -> Any:
    return sample.timestamp if target.honor_timestamps else None


def _exported(labels: dict[str, str], target: Target) -> dict[str, str]:
    """Rename the app's labels that the target has, too, unless the job honours them."""
    if target.honor_labels or target.labels.keys().isdisjoint(labels):
        return labels
    return {f"exported_{k}" if k in target.labels else k: v for k, v in labels.items()}


def _duplicate(answer: Answer, samples: Iterable[Sample], target: Target) -> str:
    """Name the first series that is there twice; Prometheus keeps the first of its samples."""
    seen: set[tuple[Series, Any]] = set()
    for sample in samples:
        key = (_series(sample), _timestamp(sample, target))
        if key in seen:
            line = _second_line(answer, _series(sample))
            return f"{show(_shown(sample), 80)}{f' on line {line}' if line else ''}"
        seen.add(key)
    return ""


def _second_line(answer: Answer, wanted: Series) -> int:
    """Find where a series is for the second time; 0 where no line by itself says it."""
    times = 0
    for number, line in enumerate(answer.text.splitlines(), 1):
        if line.startswith("#") or not line.startswith(wanted[0]):
            continue
        try:
            found = [s for f in text_string_to_metric_families(line) for s in f.samples]
        except ValueError:
            continue
        times += any(_series(sample) == wanted for sample in found)
        if times > 1:
            return number
    return 0


def _series(sample: Sample) -> Series:
    return sample.name, tuple(sorted(sample.labels.items()))


def _shown(sample: Sample) -> str:
    labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{labels}}}" if labels else sample.name


def _skewed(samples: Iterable[Sample], now: float) -> str:
    for sample in samples:
        if sample.timestamp is None:
            continue
        offset = float(sample.timestamp) - now
        if offset > AHEAD or offset < -BEHIND:
            side = "ahead" if offset > 0 else "behind"
            return f"{show(_shown(sample), 80)} is {_span(abs(offset))} {side}"
    return ""


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _too_long(samples: Iterable[Sample], target: Target) -> str:
    """Name the first sample that is over one of the job's limits on labels."""
    limits = target.limits
    if not (limits.labels or limits.label_name or limits.label_value):
        return ""
    for sample in samples:
        labels = {**target.labels, **sample.labels, "__name__": sample.name}
        if problem := _over(labels, limits):
            return f"{show(_shown(sample), 60)} {problem}"
    return ""


def _over(labels: Mapping[str, str], limits: Limits) -> str:
    """Count as Prometheus does: the target's labels and the metric's name are labels, too."""
    if limits.labels and len(labels) > limits.labels:
        return f"has {len(labels)} labels, and label_limit is {limits.labels}"
    for name, value in labels.items():
        for text, limit, what in (
            (name, limits.label_name, "label_name_length_limit"),
            (value, limits.label_value, "label_value_length_limit"),
        ):
            if limit and len(text.encode()) > limit:
                short = text if len(text) <= 20 else text[:20] + ELLIPSIS  # noqa: PLR2004
                return f"has {show(short)} of {len(text.encode())} bytes, and {what} is {limit}"
    return ""


def _counters(found: Iterable[tuple[str, Sample]]) -> dict[str, float]:
    """What only grows while one process runs, by series."""
    return {
        _shown(sample): float(sample.value)
        for kind, sample in found
        if sample.value >= 0
        and (kind == "counter" or (kind in _GROWING and sample.name.endswith(_MONOTONIC)))
    }


def went_back(before: Samples, after: Samples) -> str:
    """Name what shows that two scrapes were answered by different instances; else empty."""
    if None not in (before.started, after.started) and before.started != after.started:
        return f"{START_TIME} went from {before.started:.0f} to {after.started:.0f}"
    for series, value in before.counters.items():
        later = after.counters.get(series)
        if later is not None and later < value:
            return f"{show(series, 80)} went from {value:g} to {later:g}"
    return ""
