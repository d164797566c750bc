"""Steps of relabelling that Prometheus would refuse are refused, and no others."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from runscrape_generator.config import regexes, relabeling
from runscrape_generator.config.releases import Reader
from tests.kit import consumers
from tests.kit import fast_yaml as yaml

REGEXES = (
    *(
        "",
        "(.*)",
        "a|b|",
        "a)(b",
        "()*",
        "(?i)a*",
        "a(?i)*",
        "(?P<n>a)",
        "(?s-i:a)",
        "(?)",
        "(?-s)",
    ),
    *("a{2}", "a{2,}?", "a{,2}", "a{02}", "{", "}", "a{1000}", "a*?", "^*", "$+", "a|*", "*a", "+"),
    *(
        "a**",
        "a*+",
        "a{2}{3}",
        "a*??",
        "(*)",
        "a{1001}",
        "a{3,2}",
        "(a",
        "a)",
        "((a)",
        "a(?i",
        "(?",
    ),
    *("(?=a)b", "(?!a)b", "(?<=a)b", "(?<!a)b", "(?>a)", "(?#a)", "(?P=n)", "(?P<n", "(?x)a"),
    *(r"\d\W\b\B\A\z", r"\pL\PN\p{Greek}\p{^Greek}", r"\x41\x{1F600}\07\12", r"\.\-\_\ \/\""),
    *(r"\1", r"(a)\2", r"\8", r"\Z", r"\u0041", r"\é", r"\x4", r"\x{", "a\\", r"\K", r"\C", r"\c"),
    *(r"\Qa(b*\E*", r"\Q\E", r"\Qa", r"\E", "é+", "a\nb", "[]a]", "[^]]", "[a-z-]", "[-a]", "[[]"),
    *("[[:alpha:]_]", "[[:^digit:]]", "[[:a]", r"[\d\]\pL\n]", r"[a-\x7f]", "[a-]b]", "[", "[]"),
    *("[a", r"[\b]", r"[\Z]", r"[a-\d]", r"[a\]", "[^", "[(]", "[a](", "(?i)[(?=]"),
)
STEPS: tuple[dict[str, Any], ...] = (
    *({"regex": each, "target_label": "a"} for each in REGEXES),
    *({"target_label": each} for each in ("a_1", "$1", "${1}_b", "_$1x", "${n}1", "$1$2")),
    *({"target_label": each} for each in ("a-b", "a.b", "1a", "1$1", "$", "a$", "${a", "$é", "é")),
    *(
        {"target_label": "a", "source_labels": [each]}
        for each in ("a", "_1", "1", "a-b", "a:b", "")
    ),
    {"action": "LowerCase", "target_label": "a", "regex": "a", "separator": ","},
    {"action": "lowercase", "target_label": "a", "replacement": "$1"},
    {"action": "lowercase", "target_label": "a", "replacement": "b"},
    {"action": "uppercase", "target_label": "a-b"},
    {"action": "hashmod", "target_label": "a", "modulus": 2},
    {"action": "hashmod", "target_label": "a-b", "modulus": 2},
    *({"action": "labelmap", "replacement": each} for each in ("x_$1", "a-b", "")),
    {"action": "labelmap", "source_labels": ["a"], "target_label": "-"},
    {"action": "keep", "target_label": "-"},
    {"action": "drop", "modulus": 2, "separator": ",", "replacement": "-"},
    {"action": "labeldrop", "regex": "a"},
    {"action": "labeldrop", "separator": ";", "replacement": "$1"},
    {"action": "labeldrop", "replacement": "a"},
    {"action": "labeldrop", "source_labels": ["a"]},
    {"action": "labeldrop", "source_labels": []},
    {"action": "labelkeep", "target_label": "a"},
    {"action": "labelkeep", "modulus": 2},
    {"action": "labelkeep", "separator": ","},
    {"action": "keepequal", "target_label": "a", "source_labels": ["b"]},
    {"action": "keepequal", "target_label": "a-b", "source_labels": ["b"]},
    {"action": "DropEqual", "target_label": "a", "regex": "(.*)"},
    {"action": "dropequal", "target_label": "a", "modulus": 2},
    {"action": "dropequal", "target_label": "a", "separator": ","},
    {"action": "dropequal", "target_label": "a", "replacement": "a"},
)


def takes(program: Path, path: Path, *steps: dict[str, Any]) -> bool:
    path.write_text(
        yaml.safe_dump({"scrape_configs": [{"job_name": "a", "relabel_configs": steps}]})
    )
    done = subprocess.run([program, "check", "config", path], capture_output=True, check=False)
    return done.returncode == 0


PROMTOOLS = consumers.releases_of("promtool")


@pytest.mark.parametrize("program", PROMTOOLS, ids=str)
def test_what_promtool_says(program: consumers.Program, tmp_path: Path) -> None:
    """What is refused each promtool refuses (of regexes one is asked), and it takes the rest."""
    reader = Reader("Prometheus", "--prometheus-version", program.version)
    refused = [each for each in STEPS if any(relabeling.refused(each, reader))]
    rest = [each for each in STEPS if each not in refused]
    assert takes(program.path, tmp_path / "rest.yml", *rest)
    if program is not PROMTOOLS[0]:
        refused = [each for each in refused if each.get("regex") not in REGEXES]
    taken = [each for each in refused if takes(program.path, tmp_path / "one.yml", each)]
    assert not taken


@pytest.mark.parametrize(
    ("regex", "says"),
    [
        ("(?!a).*", 'it looks ahead or behind, which RE2 cannot: "(?!a).*"'),
        (r"(a)\1", r'it refers back to a group, which RE2 cannot: "\\1"'),
        ("(?>a)", 'RE2 knows no such group: "(?>a)"'),
        (r"a\Z", r'RE2 knows no such escape: "\\Z"'),
        ("[a", 'its class has no end, or has an escape that RE2 does not know: "[a"'),
        ("*", "there is nothing that * could repeat"),
        ("a++", "there is nothing that + could repeat"),
        ("a{1001}", "{1001} is no number of times, from 0 to 1000"),
        ("(a", "a ( has no )"),
        ("a))", "a ) has no ("),
    ],
)
def test_why_a_regex_is_refused(regex: str, says: str) -> None:
    """What is wrong is said, and where."""
    assert regexes.refused(regex) == says


def test_a_long_regex_takes_no_time() -> None:
    """No regex takes longer than its length, however it ends."""
    for start, more in (("[", "a-b-"), ("(", "a|"), ("", "(?:a"), ("", "[[:a")):
        assert regexes.refused(start + more * 20_000)
