"""What is said on standard error, to a terminal, to cron and to a log collector."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import pty
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TextIO

import pytest

from runscrape_generator.cli.console import Console
from runscrape_generator.log import NOTICE
from runscrape_generator.text import cut, pad, printable, width

ALL = ["detail", "step", "warning", "error", "summary"]


class Terminal:
    """A pseudo-terminal that keeps what is written to it."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        self.stream: TextIO = os.fdopen(slave, "w", encoding="utf-8")
        self._seen = bytearray()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        try:
            while data := os.read(self._master, 65536):
                self._seen += data
        except OSError:  # Linux: the other end was closed
            pass

    def text(self) -> str:
        self.stream.close()
        self._reader.join()
        os.close(self._master)
        return self._seen.decode().replace("\r\n", "\n")


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    it = Terminal()
    yield it
    if not it.stream.closed:
        it.text()


def logger(console: Console) -> logging.Logger:
    """A module's logger, with the console as the place where it writes to."""
    console.install()
    return logging.getLogger("runscrape_generator.somewhere")


def say_all(console: Console) -> None:
    log = logger(console)
    log.debug("detail")
    log.info("step")
    log.warning("warning")
    log.error("error")
    log.log(NOTICE, "summary")


def said(text: str) -> list[str]:
    """Which of the levels' names are in the text."""
    return [level for level in ALL if any(line.endswith(level) for line in text.splitlines())]


@pytest.mark.parametrize(
    ("verbosity", "heard"),
    [(-1, ["warning", "error"]), (0, ["warning", "error", "summary"]), (1, ALL), (2, ALL)],
)
def test_cron_hears_problems_and_one_summary(verbosity: int, heard: list[str]) -> None:
    """Without a terminal: problems and the summary; with -q problems only; with -v everything."""
    stream = io.StringIO()
    say_all(Console(stream, verbosity=verbosity, environ={}))
    assert said(stream.getvalue()) == heard


@pytest.mark.parametrize(
    ("verbosity", "heard"),
    [(-1, ["warning", "error"]), (0, ["step", "warning", "error", "summary"]), (1, ALL)],
)
def test_a_terminal_also_shows_the_steps(
    verbosity: int, heard: list[str], terminal: Terminal
) -> None:
    """On a terminal each step is a line, unless -q."""
    say_all(Console(terminal.stream, verbosity=verbosity, environ={}))
    assert said(terminal.text()) == heard


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colour_is_for_terminals_that_want_it(
    environ: dict[str, str], coloured: object, terminal: Terminal
) -> None:
    """NO_COLOR (not empty) and TERM=dumb switch colours off, and so does a pipe."""
    logger(Console(terminal.stream, environ=environ)).error("no")
    assert ("\x1b[" in terminal.text()) == coloured
    stream = io.StringIO()
    logger(Console(stream, environ=environ)).error("no")
    assert stream.getvalue() == "runscrape: error: no\n"


def test_a_place_in_a_file_stands_at_the_start_of_its_line() -> None:
    """Of several mistakes each is a line, and FILE:LINE comes first, for people and editors."""
    stream = io.StringIO()
    logger(Console(stream, environ={})).error("a.yaml:3: x: bad")
    logging.getLogger("runscrape_generator.somewhere").error("--timeout: bad")
    assert stream.getvalue() == "a.yaml:3: x: bad\nrunscrape: error: --timeout: bad\n"


def test_json_is_what_cloud_logging_reads() -> None:
    """Each message is one JSON object with severity, message and time, whatever is in it."""
    stream = io.StringIO()
    console = Console(stream, verbosity=1, log_format="json", environ={})
    say_all(console)
    logger(console).warning('odd "text"\nwith\x1b[31m everything \u202e😀')
    objects = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(each["severity"], each["message"]) for each in objects] == [
        ("DEBUG", "detail"),
        ("INFO", "step"),
        ("WARNING", "warning"),
        ("ERROR", "error"),
        ("NOTICE", "summary"),
        ("WARNING", 'odd "text"\nwith\x1b[31m everything \u202e😀'),
    ]
    assert all(datetime.fromisoformat(each["time"]).utcoffset() == timedelta(0) for each in objects)
    assert stream.getvalue().isascii()


def test_json_is_the_same_on_a_terminal(terminal: Terminal) -> None:
    """No bar and no colour gets between the lines of JSON."""
    console = Console(terminal.stream, log_format="json", environ={})
    with console.progress("listing", 2) as advance:
        advance(1)
        logger(console).warning("slow")
    assert json.loads(terminal.text())["message"] == "slow"


def test_no_control_character_reaches_a_terminal(terminal: Terminal) -> None:
    """Escapes, newlines and text-direction marks in a name are shown, not obeyed."""
    console = Console(terminal.stream, environ={"NO_COLOR": "1"})
    logger(console).warning("a\x1b[2Jb\nc\u202ed\x9be\r\u2028")
    assert terminal.text() == "runscrape: warning: a\\x1b[2Jb\\x0ac\\u202ed\\x9be\\x0d\\u2028\n"


def test_the_bar_counts_up_and_leaves_nothing_behind(terminal: Terminal) -> None:
    """On a terminal the bar shows how many scopes are done; messages go above it; it is erased."""
    console = Console(terminal.stream, environ={"NO_COLOR": "1"})
    with console.progress("listing", 3) as advance:
        advance(1)
        logger(console).warning("one failed")
        logger(console).warning("another failed")
        advance(2)
    logger(console).info("listed")
    frames = terminal.text().split("\r")
    assert sum("listing" in frame and "1/3" in frame for frame in frames) == 3  # drawn again below
    assert any("3/3" in frame for frame in frames)
    assert "\x1b[Krunscrape: warning: one failed\n" in frames
    assert frames[-1] == "\x1b[K\x1b[?25hrunscrape: listed\n"


def test_a_bar_that_is_cut_short_gives_the_cursor_back(terminal: Terminal) -> None:
    """A signal in the middle of a bar leaves a clean line and a visible cursor."""
    console = Console(terminal.stream, environ={})
    with contextlib.suppress(KeyboardInterrupt), console.progress("listing", 3) as advance:
        advance(1)
        raise KeyboardInterrupt
    assert terminal.text().endswith("\r\x1b[K\x1b[?25h")


@pytest.mark.parametrize(
    "make",
    [
        lambda stream: Console(stream, verbosity=-1, environ={}),
        lambda stream: Console(stream, environ={"TERM": "dumb"}),
    ],
    ids=["quiet", "dumb"],
)
def test_there_is_no_bar_where_none_is_wanted(
    make: Callable[[TextIO], Console], terminal: Terminal
) -> None:
    """With -q or TERM=dumb the progress is not drawn."""
    with make(terminal.stream).progress("listing", 1) as advance:
        advance(1)
    assert terminal.text() == ""


def test_there_is_no_bar_in_a_pipe() -> None:
    """A pipe gets neither bar nor label."""
    stream = io.StringIO()
    with Console(stream, verbosity=1, environ={}).progress("listing", 1) as advance:
        advance(1)
    assert stream.getvalue() == ""


def test_threads_do_not_mix_their_lines(terminal: Terminal) -> None:
    """Lines said at once from many threads, with a bar below, come out whole."""
    console = Console(terminal.stream, environ={"NO_COLOR": "1"})
    lines = {f"{number:02}" * 20 for number in range(40)}
    log = logger(console)
    with console.progress("listing", 40) as advance, ThreadPoolExecutor(8) as pool:
        for line in lines:
            pool.submit(log.warning, line)
            pool.submit(advance, 1)
    shown = {line.rpartition(" ")[2] for line in terminal.text().splitlines()}
    assert lines <= shown


def test_talk_to_nobody_does_no_harm() -> None:
    """A closed standard error, or one whose reader is gone, is no reason to fail."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        console = Console(stream, environ={})
        logger(console).warning("nobody")
        logger(console).error("nobody")
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    say_all(Console(None, verbosity=1, environ={}))


def test_a_terminal_that_goes_away_ends_the_bar_not_the_run() -> None:
    """Hanging up in the middle of a bar is survived."""
    master, slave = pty.openpty()
    stream = os.fdopen(slave, "w", encoding="utf-8")
    console = Console(stream, environ={})
    with console.progress("listing", 4) as advance:
        advance(1)
        os.close(master)
        advance(1)
        logger(console).warning("gone")
        advance(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    stream.close()


TEXTS = {
    "plain": 5,
    "東京": 4,
    "e\u0301": 1,
    "Größe": 5,
    "😀": 2,
}


@pytest.mark.parametrize(("text", "columns"), TEXTS.items())
def test_width_is_what_a_terminal_shows(text: str, columns: int) -> None:
    """Wide characters take two columns, combining ones none."""
    assert width(text) == columns
    assert width(pad(text, 10)) == 10


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("columns", range(8))
def test_a_cut_text_fits(text: str, columns: int) -> None:
    """It is whole where it fits, and ends in an ellipsis where not."""
    short = cut(text, columns)
    assert width(short) <= columns
    assert short in {text, ""} or short.endswith("…")
    assert (short == text) == (width(text) <= columns)


def test_printable_text_stays_as_it_is() -> None:
    """Letters of any language are shown; only what acts on a terminal is escaped."""
    assert printable("Größe 東京 😀 e\u0301") == "Größe 東京 😀 e\u0301"
    assert printable("a\u200b\ud800\x7f") == "a\\u200b\\ud800\\x7f"
