"""Bodies are read as Prometheus reads them, and the line that is wrong is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runscrape_generator.doctor import protobuf, samples
from runscrape_generator.doctor.evidence import Answer, Samples
from runscrape_generator.doctor.targets import Limits, Target

NOW = 1_800_000_000.0
TEXT, OPEN = "text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0"
TARGET = Target(job="one", labels={"job": "one", "instance": "api:443"})


def read(body: str | bytes, kind: str = TEXT, target: Target = TARGET) -> Samples:
    data = body.encode() if isinstance(body, str) else body
    return samples.read(Answer(200, {"content-type": kind}, data), target, NOW)


def test_well() -> None:
    """Text, OpenMetrics and protobuf give the same samples."""
    text = '# TYPE hits_total counter\nhits_total{a="b"} 3\n'
    family = protobuf.metric_family()(name="hits_total", type=0)
    metric = family.metric.add()
    metric.counter.value = 3
    metric.label.add(name="a", value="b")
    raw = family.SerializeToString()
    for body, kind in (
        (text, TEXT),
        (text.replace("hits_total counter", "hits counter") + "# EOF\n", OPEN),
        (bytes([len(raw)]) + raw, protobuf.MEDIA_TYPE + "; encoding=delimited"),
    ):
        assert read(body, kind) == Samples(count=1, counters={'hits_total{a="b"}': 3.0})


MALFORMED: dict[str, tuple[str | bytes, str, str]] = {
    "not a number": ("a 1\nb b\nc 3\n", TEXT, 'line 2: "b b"'),
    "half a line": ('a 1\nb{x="y\n', TEXT, 'line 2: "b{x=\\"y"'),
    "carriage returns": ("a 1\r\nb 2\r\n", TEXT, 'line 1: "a 1\\r" (it ends in a carriage return'),
    "a page": ("<html>", TEXT, 'line 1: "<html>"'),
    "no end": ("a 1\n", OPEN, "the last line has to be # EOF"),
    "after the end": ("# EOF\na 1\n", OPEN, "line 2: "),
    "a control character": ("a 1\n\x1b[31m 2\n", TEXT, 'line 2: "\\u001b[31m 2"'),
    "a bad type": ("# TYPE a\na 1\n", TEXT, "line 1: "),
    "protobuf cut off": (b"\x50\x0a\x01a", protobuf.MEDIA_TYPE, "cut off"),
    "no protobuf": (b"\x03\xff\xff\xff", protobuf.MEDIA_TYPE, "not a MetricFamily"),
    "half a length": (b"\x80", protobuf.MEDIA_TYPE, "cut off"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed(case: str) -> None:
    """The first line that is no sample is named, whatever it holds, and fit for a terminal."""
    body, kind, said = MALFORMED[case]
    found = read(body, kind)
    assert said in found.malformed
    assert found.malformed.isprintable()


OF_VERSIONS = {
    '{"a.b"} 1\n': (2, 53),
    '{"a.b", x="1"} 1\n': (2, 53),
    " a 1\n": (3, 5),
    "\ta 1\n": (3, 5),
}
"""Lines, and the release that was first seen to take them."""


@pytest.mark.parametrize("body", OF_VERSIONS)
def test_what_newer_releases_take(body: str) -> None:
    """A line is malformed for a Prometheus that refuses it, and for no newer one that takes it."""
    for version in ((2, 42), (2, 53), (3, 5)):
        answer = Answer(200, {"content-type": "text/plain"}, body.encode())
        found = samples.read(answer, TARGET, 0, version)
        assert bool(found.malformed) is (version < OF_VERSIONS[body]), version


def test_relabelling_sees_the_targets_labels() -> None:
    """A rule may go by the labels of the target; what the app says under their names moves away."""
    drop = {"source_labels": ["instance"], "regex": "api:.*", "action": "drop"}
    assert read("a 1\n", target=replace(TARGET, metric_relabel=(drop,))).count == 0
    keep = {"source_labels": ["exported_job"], "regex": "x", "action": "keep"}
    limited = replace(TARGET, metric_relabel=(keep,), limits=Limits(labels=3))
    assert read('a{job="x"} 1\na 2\n', target=limited).too_long.endswith(
        "has 4 labels, and label_limit is 3"
    )
    honoured = replace(limited, honor_labels=True, metric_relabel=())
    assert not read('a{job="x"} 1\n', target=honoured).too_long


def test_open_metrics() -> None:
    """Timestamps are in seconds, exemplars count for nothing, and counters are known as such."""
    body = '# TYPE a counter\na_total{x="1"} 3 1800003600.5 # {t="1"} 2\na_created 1\n# EOF\n'
    found = read(body, OPEN)
    assert (found.count, found.counters) == (2, {'a_total{x="1"}': 3.0})
    assert found.skewed == '"a_total{x=\\"1\\"}" is 1 h ahead'


def test_duplicate() -> None:
    """A series that is there twice is named with its second line; labels come in any order."""
    body = '# TYPE a counter\na{x="1",y="2"} 1\nb 1\na{y="2",x="1"} 2\n'
    assert read(body).duplicate == '"a{x=\\"1\\",y=\\"2\\"}" on line 4'
    assert not read('a{x="1"} 1\na{x="2"} 2\n').duplicate
    assert not read("a 1 1800000000000\na 2 1800000001000\n").duplicate


def test_timestamps() -> None:
    """Timestamps that Prometheus drops are told, unless the job honours none."""
    ahead, seconds = "a 1 1800003600000\n", "a 1 1800000000\n"
    assert read(ahead).skewed == '"a" is 1 h ahead'
    assert read(seconds).skewed == '"a" is 20812 d behind'
    assert not read("a 1 1800000000000\n").skewed
    assert not read(ahead, target=replace(TARGET, honor_timestamps=False)).skewed


def test_limits_on_labels() -> None:
    """Limits count as Prometheus counts: the target's labels and the metric's name are labels."""
    body = 'a{x="yyy"} 1\n'
    for limits, said in (
        (Limits(labels=3), "has 4 labels, and label_limit is 3"),
        (Limits(labels=4), ""),
        (Limits(label_name=7), 'has "instance" of 8 bytes, and label_name_length_limit is 7'),
        (Limits(label_value=6), 'has "api:443" of 7 bytes, and label_value_length_limit is 6'),
        (Limits(label_value=7), ""),
    ):
        assert read(body, target=replace(TARGET, limits=limits)).too_long.endswith(said)


def test_relabelling_comes_before_limits() -> None:
    """What metric_relabel_configs drop is not counted, by names as the app writes them."""
    drop = {"source_labels": ["__name__"], "regex": "b", "action": "drop"}
    body = "# TYPE b counter\nb 1\na 1\n"
    assert read(body, target=replace(TARGET, metric_relabel=(drop,))).count == 1


def test_went_back() -> None:
    """Another process shows by its start time, or by a counter that fell; a gauge may fall."""
    body = "# TYPE a counter\na 5\n# TYPE g gauge\ng 5\nprocess_start_time_seconds 100\n"
    first = read(body)
    assert samples.went_back(first, read(body.replace("a 5", "a 6").replace("g 5", "g 1"))) == ""
    assert samples.went_back(first, read(body.replace("a 5", "a 4"))) == '"a" went from 5 to 4'
    later = read(body.replace("100", "200"))
    assert samples.went_back(first, later) == "process_start_time_seconds went from 100 to 200"
    before = read('# TYPE h histogram\nh_bucket{le="1"} 3\nh_sum 9\nh_count 3\n')
    after = read('# TYPE h histogram\nh_bucket{le="1"} 2\nh_sum 9\nh_count 3\n')
    assert "h_bucket" in samples.went_back(before, after)
