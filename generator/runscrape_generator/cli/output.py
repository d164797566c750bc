"""Standard output as the place for a result: failing to write there is a WriteError."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from runscrape_generator.errors import WriteError


class ReaderGoneError(WriteError):
    """Whoever read our standard output (``| head``) has had enough; nothing to tell anybody."""


class _Result(io.TextIOWrapper):
    def write(self, text: str, /) -> int:
        with _failures():
            return super().write(text)

    def flush(self) -> None:
        with _failures():
            super().flush()


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        discard()
        raise ReaderGoneError from None
    except OSError as error:
        discard()
        raise WriteError(f"standard output: {error.strerror}") from None


def discard() -> None:
    """Send what is still buffered nowhere, so that Python does not fail on it at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def result(*, wanted: bool = True) -> Iterator[io.TextIOWrapper]:
    """Open standard output for a result in UTF-8, whatever the locale; raises WriteError.

    Where it is closed and nothing is *wanted* there, nothing is missed.
    """
    if sys.stdout is None and not wanted:
        yield io.TextIOWrapper(io.BytesIO())
        return
    if sys.stdout is None:
        raise WriteError("standard output is closed: name a file with --output")
    stream = _Result(sys.stdout.buffer, encoding="utf-8", newline="\n")
    try:
        yield stream
        stream.flush()
    finally:
        with suppress(WriteError):
            stream.detach()
