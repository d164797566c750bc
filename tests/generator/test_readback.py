"""The own check of rendered text: as strict as parsing all of it, whatever happened to the text."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runscrape_generator.errors import ValidationError
from runscrape_generator.render import parsing, readback
from runscrape_generator.render.yaml import block

HEAD = "# text\nscrape_configs:\n"

texts = st.sampled_from(
    ["", "a", 'q"', "\\", "%s", "%", "slot 0", "- ", "é", "\u2028", "x: y", "😀"]
)
values = st.recursive(
    texts | st.booleans() | st.integers(-2, 2) | st.none(),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["k", "no", 'q"', "slot 0", 7]), inner, max_size=2)
    ),
    max_leaves=4,
)
entries = st.dictionaries(st.sampled_from(["name", "other", "x-y"]), values, min_size=1, max_size=2)
damage = st.sampled_from(
    [
        '"',
        '" ',
        "\\",
        "\n",
        "\n- ",
        "\n---\n",
        "#",
        ":",
        ": ",
        ",",
        "]",
        "{",
        "x",
        '"a": ',
        "slot 1",
    ]
)


def document(some: list[Any]) -> Any:
    return {"scrape_configs": some}


def written(some: list[dict[str, Any]]) -> str:
    return HEAD + "".join("-" + block(each, 2).removeprefix("\n ") + "\n" for each in some)


def parsed(text: str, some: list[Any]) -> bool:
    """The same question, put to a parser of all the text."""
    try:
        return parsing.documents(text) == [document(some)]
    except ValidationError:
        return False


def said(text: str, some: list[Any]) -> bool:
    try:
        return readback.says(text, some, document)
    except ValidationError:
        return False


@settings(max_examples=150, deadline=None)
@given(some=st.lists(entries, min_size=1, max_size=4), repeat=st.integers(1, 3))
def test_what_is_meant_is_found(some: list[dict[str, Any]], repeat: int) -> None:
    """Text that says what was meant passes, however alike or unlike its entries are."""
    some = some * repeat
    assert yaml.safe_load(written(some)) == document(some)
    assert said(written(some), some)


@settings(max_examples=300, deadline=None)
@given(one=entries, place=st.floats(0, 1), cut=st.integers(0, 3), piece=damage | st.just(""))
def test_damage_is_never_missed(one: dict[str, Any], place: float, cut: int, piece: str) -> None:
    """A text that was cut or added to anywhere passes only where it still says the same."""
    some = [one, one, one]
    text = written(some)
    at = int(place * len(text))
    text = text[:at] + piece + text[at + cut :]
    assert said(text, some) == parsed(text, some)


@settings(max_examples=100, deadline=None)
@given(some=st.lists(entries, min_size=1, max_size=3), other=entries)
def test_another_value_is_never_missed(some: list[dict[str, Any]], other: dict[str, Any]) -> None:
    """Text with one entry for another, one too many or one too few does not pass."""
    for wrong in ([*some[:-1], other], [*some, other], some[:-1], [*reversed(some)]):
        assert said(written(some), wrong) == (some == wrong)


@pytest.mark.parametrize(
    "text",
    [
        '- n: "a"\n- n: "b"\n  n: "c"\n',
        '- n: "a"\n- ? "n"\n  : "b"\n  ? "n"\n  : "c"\n',
        '- n: "a"\n- n: "b"\n---\n- n: "c"\n',
        '- n: "a"\n- n: "b" # "c"\n',
        '- n: "a"\n- n: "\\ud83d"\n',
        "- n: 'a'\n- n: 'c\"b\"'\n",
        '- n: "a"\n- n: |\n    "c"\n',
    ],
)
def test_an_entry_of_another_make_is_parsed(text: str) -> None:
    """What only looks like the strings that we write is left to YAML's parser."""
    assert not said(HEAD + text, [{"n": "a"}, {"n": "c"}])
    assert not parsed(HEAD + text, [{"n": "a"}, {"n": "c"}])


def test_notes_and_marked_keys_are_read_as_they_are() -> None:
    """Strings in comments are none, and a key that is marked with ? may be there once only."""
    noted = '- n: "a"\n  # ["x"]\n- n: "b"\n  # ["y"]\n'
    assert said(HEAD + noted, [{"n": "a"}, {"n": "b"}])
    marked = '- ? "a"\n  : "1"\n  ? "b"\n  : "2"\n'
    some = [{"a": "1", "b": "2"}, {"a": "2"}]
    assert said(HEAD + marked * 2, some[:1] * 2)
    assert not said(HEAD + marked + marked.replace('"b"', '"a"'), some)


def test_half_a_character_is_none() -> None:
    """JSON makes one character of an escaped surrogate pair, and YAML none."""
    text = HEAD + '- n: "a"\n- n: "\\ud83d\\ude00"\n'
    assert not said(text, [{"n": "a"}, {"n": "😀"}])


def test_the_shape_alone_is_parsed_once() -> None:
    """Entries that differ in strings alone cost no YAML parsing, which is what makes it fast."""
    seen: list[int] = []
    documents = parsing.documents

    def counting(text: str) -> list[Any]:
        seen.append(len(text))
        return documents(text)

    some = [{"name": f"job {n}", "labels": {"a": f"{n}", "b-c": ""}} for n in range(1000)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parsing, "documents", counting)
        assert said(written(some), some)
    assert sum(seen) < 500
