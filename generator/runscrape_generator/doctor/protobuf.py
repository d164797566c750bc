"""Prometheus' protobuf exposition: delimited ``io.prometheus.client.MetricFamily`` messages.

Only what doctor looks at is described here; unknown fields are skipped, as protobuf has it.
https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from prometheus_client.samples import Sample

MEDIA_TYPE = "application/vnd.google.protobuf"

_STRING, _DOUBLE, _UINT64, _INT64, _ENUM_AS_INT, _MESSAGE = 9, 1, 4, 3, 5, 11
"""``FieldDescriptorProto.Type``."""
_KINDS = ("counter", "gauge", "summary", "untyped", "histogram", "gaugehistogram")

_FIELDS: Mapping[str, tuple[tuple[str, int, int, str], ...]] = {
    "MetricFamily": (
        ("name", 1, _STRING, ""),
        ("type", 3, _ENUM_AS_INT, ""),
        ("metric", 4, _MESSAGE, "Metric"),
    ),
    "Metric": (
        ("label", 1, _MESSAGE, "LabelPair"),
        ("gauge", 2, _MESSAGE, "Value"),
        ("counter", 3, _MESSAGE, "Value"),
        ("summary", 4, _MESSAGE, "Summary"),
        ("untyped", 5, _MESSAGE, "Value"),
        ("timestamp_ms", 6, _INT64, ""),
        ("histogram", 7, _MESSAGE, "Histogram"),
    ),
    "LabelPair": (("name", 1, _STRING, ""), ("value", 2, _STRING, "")),
    "Value": (("value", 1, _DOUBLE, ""),),
    "Summary": (
        ("sample_count", 1, _UINT64, ""),
        ("sample_sum", 2, _DOUBLE, ""),
        ("quantile", 3, _MESSAGE, "Quantile"),
    ),
    "Quantile": (("quantile", 1, _DOUBLE, ""), ("value", 2, _DOUBLE, "")),
    "Histogram": (
        ("sample_count", 1, _UINT64, ""),
        ("sample_sum", 2, _DOUBLE, ""),
        ("bucket", 3, _MESSAGE, "Bucket"),
    ),
    "Bucket": (("cumulative_count", 1, _UINT64, ""), ("upper_bound", 2, _DOUBLE, "")),
}
_REPEATED = {"metric", "label", "quantile", "bucket"}


@cache
def message(name: str) -> Any:
    """Make the class of one of the messages."""
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="x", syntax="proto2")
    for message_name, fields in _FIELDS.items():
        described = file.message_type.add(name=message_name)
        for field, number, kind, of in fields:
            described.field.add(
                name=field,
                number=number,
                type=kind,
                type_name=f".x.{of}" if of else None,
                label=3 if field in _REPEATED and of else 1,
            )
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"x.{name}"))


def samples(body: bytes) -> Iterator[tuple[str, Sample]]:
    """Yield each sample, as the text format would have it, with the type of its metric.

    Raises ValueError for what is no such message.
    """
    place = 0
    while place < len(body):
        size, place = _varint(body, place)
        part = body[place : place + size]
        if len(part) < size:
            raise ValueError(f"byte {place}: a message of {size} bytes is cut off")
        try:
            family = message("MetricFamily").FromString(part)
        except DecodeError as error:
            raise ValueError(f"byte {place}: not a MetricFamily ({error})") from None
        kind = _KINDS[family.type] if 0 <= family.type < len(_KINDS) else "untyped"
        for metric in family.metric:
            for suffix, labels, value in _values(metric, kind):
                yield kind, _sample(family.name + suffix, metric, labels, value)
        place += size


def _values(metric: Any, kind: str) -> Iterator[tuple[str, dict[str, str], float]]:
    if kind == "summary":
        for each in metric.summary.quantile:
            yield "", {"quantile": f"{each.quantile:g}"}, each.value
        yield "_sum", {}, metric.summary.sample_sum
        yield "_count", {}, metric.summary.sample_count
    elif kind in {"histogram", "gaugehistogram"}:
        for each in metric.histogram.bucket:
            yield "_bucket", {"le": f"{each.upper_bound:g}"}, each.cumulative_count
        yield "_sum", {}, metric.histogram.sample_sum
        yield "_count", {}, metric.histogram.sample_count
    else:
        yield "", {}, getattr(metric, kind).value


def _sample(name: str, metric: Any, more: dict[str, str], value: float) -> Sample:
    labels = {pair.name: pair.value for pair in metric.label} | more
    timestamp = metric.timestamp_ms / 1000 if metric.HasField("timestamp_ms") else None
    return Sample(name, labels, value, timestamp)


def _varint(body: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while place < len(body):
        byte = body[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the highest bit says that another byte follows
            return number, place
    raise ValueError("the last message's length is cut off")
