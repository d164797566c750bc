"""Prometheus' protobuf exposition: delimited ``io.prometheus.client.MetricFamily`` messages.

Only what doctor looks at is described here; unknown fields are skipped, as protobuf has it.
https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto
"""

from __future__ import annotations

from collections.abc import Iterator
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

_TYPES = {"double": 1, "int64": 3, "uint64": 4, "int32": 5, "string": 9, "message": 11}
"""``FieldDescriptorProto.Type``."""
_KINDS = ("counter", "gauge", "summary", "untyped", "histogram", "gaugehistogram")

_SCHEMA = {
    "MetricFamily": "string name = 1; int32 type = 3; repeated Metric metric = 4",
    "Metric": "repeated LabelPair label = 1; Value gauge = 2; Value counter = 3; "
    "Summary summary = 4; Value untyped = 5; int64 timestamp_ms = 6; Histogram histogram = 7",
    "LabelPair": "string name = 1; string value = 2",
    "Value": "double value = 1",
    "Summary": "uint64 sample_count = 1; double sample_sum = 2; repeated Quantile quantile = 3",
    "Quantile": "double quantile = 1; double value = 2",
    "Histogram": "uint64 sample_count = 1; double sample_sum = 2; repeated Bucket bucket = 3",
    "Bucket": "uint64 cumulative_count = 1; double upper_bound = 2",
}
"""The fields that are read, as metrics.proto has them."""


@cache
def metric_family() -> Any:
    """Make the class of the message ``MetricFamily``."""
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="x", syntax="proto2")
    for name, fields in _SCHEMA.items():
        described = file.message_type.add(name=name)
        for one in fields.split("; "):
            *repeated, kind, field, _, number = one.split()
            is_message = kind in _SCHEMA
            described.field.add(
                name=field,
                number=int(number),
                type=_TYPES["message" if is_message else kind],
                type_name=f".x.{kind}" if is_message else None,
                label=3 if repeated else 1,
            )
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("x.MetricFamily"))


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
            family = metric_family().FromString(part)
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
