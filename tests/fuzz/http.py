"""Strategies for HTTP messages: right ones, and what is wrong in one place or in many."""

from __future__ import annotations

from hypothesis import strategies as st

ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b""])
TOKENS = st.text("abcXYZ019-_!#$%&'*+.^`|~", min_size=1, max_size=12).map(str.encode)
JUNK = st.binary(max_size=12)
NUMBERS = st.sampled_from(
    [
        *("0", "1", "2", "16", "100", "16385", "9" * 20, "-1", "+5", "0x5", "5_0", "1e3", "\u0665"),
        *("007", "5,5", "5;5", "ff", "-ffff"),
    ]
).map(str.encode)
VALUES = st.one_of(
    JUNK,
    TOKENS,
    NUMBERS,
    st.sampled_from(
        [b"chunked", b"gzip, chunked", b"identity", b"close", b"keep-alive", b"100-continue"]
    ),
)


def fields(names: list[bytes]) -> st.SearchStrategy[bytes]:
    """Header fields: some of these names, or others, with any values."""
    name = st.one_of(st.sampled_from(names), TOKENS, JUNK)
    colon = st.sampled_from([b": ", b": ", b": ", b":", b" : ", b"", b":\t"])
    field = st.tuples(name, colon, VALUES, ENDS).map(b"".join)
    return st.lists(field, max_size=8).map(b"".join)


@st.composite
def spoilt(draw: st.DrawFn, message: st.SearchStrategy[bytes]) -> bytes:
    """A message with up to three pieces of it taken out, doubled, or replaced."""
    data = draw(message)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 20)))
        middle = draw(st.one_of(st.just(b""), st.just(data[start:end] * 2), JUNK, ENDS))
        data = data[:start] + middle + data[end:]
    return data
