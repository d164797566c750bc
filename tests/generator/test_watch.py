"""``--watch`` goes on whatever happens, and does at once what signals ask for."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator
from runscrape_generator import signals, watch
from runscrape_generator.cloudrun import discovery
from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import ConfigError
from runscrape_generator.publish import lock
from tests.generator.commands_kit import Site, failing, make_settings, make_site, world
from tests.generator.publishing_kit import PATIENCE, state, until
from tests.generator.recorder import Recorder

Step = Callable[[], object]


@pytest.fixture
def settings(tmp_path: Path, google: Emulator) -> Settings:
    return make_settings(tmp_path, google, watch=300.0)


def play(
    load: Callable[[], Settings], *between: Step, hangup: signals.Hangup | None = None
) -> tuple[Recorder, list[float]]:
    """Watch; take one step in place of each sleep, then SIGTERM. Gives the talk and the sleeps."""
    talk, slept, steps = Recorder(), list[float](), iter(between)

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        next(steps, lambda: os.kill(os.getpid(), signal.SIGTERM))()

    with signals.raising(), pytest.raises(signals.Terminated):
        watch.watch("generate", load, talk, stdout=io.StringIO(), hangup=hangup, sleep=sleep)
    return talk, slept


def hang_up() -> None:
    os.kill(os.getpid(), signal.SIGHUP)


def text_of(settings: Settings) -> str:
    return (settings.output or Path()).read_text()


def test_rounds(settings: Settings, google: Emulator) -> None:
    """Each round publishes what is new; one in which nothing changed says nothing."""
    talk, _ = play(
        lambda: settings,
        lambda: None,
        lambda: google.update(world("abcde")),
        lambda: None,
    )
    assert ["(+4)" in talk.of("summary")[0], "(+1)" in talk.of("summary")[1]] == [True, True]
    assert len(talk.of("summary")) == 2
    assert "svc-e" in text_of(settings)


def test_rounds_in_a_file_of_the_users(settings: Settings, google: Emulator) -> None:
    """The block follows the services, and what the user saves between two rounds stays."""
    assert settings.output is not None
    path, folder = settings.output, settings.output.parent.parent
    path.write_text("scrape_configs: []\n")
    block = replace(settings, output=None, into=path, inventory=folder / "inventory.json")

    def edit() -> None:
        path.write_text("# since\n" + path.read_text())
        google.update(world("abcde"))

    play(lambda: block, edit, lambda: None)
    text = path.read_text()
    assert text.startswith("# since\nscrape_configs:\n")
    assert text.count("svc-e") > 0


def test_jitter(settings: Settings) -> None:
    """The sleeps are within 10 % of the interval, and not all the same."""
    _, slept = play(lambda: settings, *[lambda: None] * 5)
    assert all(270 <= seconds <= 330 for seconds in slept)
    assert len(set(slept)) > 1
    assert watch.interval(300, lambda low, high: high - low) == pytest.approx(60)


def test_failing_rounds(settings: Settings, google: Emulator) -> None:
    """Rounds that fail are told and change nothing; the next good one goes on."""

    def fail() -> None:
        (settings.output or Path()).parent.joinpath("inventory.json").unlink()
        google.update(world(faults=failing("[eu]*")))

    before: list[object] = []
    talk, _ = play(
        lambda: settings,
        fail,
        lambda: before.append(text_of(settings)),
        lambda: google.update(world("abcde")),
    )
    assert any("PERMISSION_DENIED" in line or "denied" in line for line in talk.of("error"))
    assert before == [before[0]]
    assert "svc-a" in str(before[0])
    assert "svc-e" in text_of(settings)


def test_the_round_after_a_failure_is_told(settings: Settings, google: Emulator) -> None:
    """A failure is not the last that is heard, though nothing changed; later rounds are quiet."""
    talk, _ = play(
        lambda: settings,
        lambda: None,
        lambda: google.update(world("a")),
        lambda: google.update(world()),
        lambda: None,
    )
    said = [message for level, message in talk.told if level in {"summary", "error"}]
    assert "refused to remove" in said[1]
    assert [line.rpartition(", ")[2] for line in said[2:]] == ["nothing changed"]


def test_first_round_may_fail(settings: Settings, google: Emulator) -> None:
    """Google may be down when the watch starts."""
    google.update(world(faults=failing("[eu]*")))
    talk, _ = play(lambda: settings, lambda: google.update(world()))
    assert talk.of("error") != []
    assert "svc-a" in text_of(settings)


def test_first_mistake_in_the_settings_ends_it(settings: Settings) -> None:
    """A usage error of the first round ends the watch: nobody has seen it work yet."""
    wrong = replace(settings, inventory=settings.output)
    with pytest.raises(ConfigError):
        watch.watch("generate", lambda: wrong, Recorder(), stdout=io.StringIO())


def test_held_lock_is_a_warning(settings: Settings) -> None:
    """While another run holds the lock a round is left out, with a warning."""
    held = lock.held(settings.output or Path())
    held.__enter__()
    talk, _ = play(lambda: settings, lambda: held.__exit__(None, None, None))
    assert "another run" in talk.of("warning")[0]
    assert talk.of("error") == []
    assert "svc-a" in text_of(settings)


def test_bug_does_not_end_it(settings: Settings) -> None:
    """Not even an error that nobody thought of ends the watch."""
    patch = pytest.MonkeyPatch()

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    patch.setattr("runscrape_generator.pipeline.discover", broken)
    talk, _ = play(lambda: settings, patch.undo)
    assert "ZeroDivisionError" in talk.of("error")[0]
    assert "svc-a" in text_of(settings)


def test_hangup_reads_the_settings_again(settings: Settings) -> None:
    """SIGHUP during a sleep reads the settings and runs with them at once."""
    versions = iter([settings, replace(settings, scrape_interval="7m")])
    talk, slept = play(lambda: next(versions), hang_up)
    assert "7m" in text_of(settings)
    assert talk.of("summary").count("settings read again") == 1
    assert len(slept) == 2


def test_hangup_with_a_mistake_keeps_the_settings(settings: Settings) -> None:
    """Bad new settings are told, line by line, and the old ones stay in force."""
    first = iter([settings])

    def load() -> Settings:
        for one in first:
            return one
        raise ConfigError("runscrape.yaml:1: nonsense: unknown\nrunscrape.yaml:2: more: unknown")

    talk, slept = play(load, hang_up)
    assert talk.of("warning") == [
        "runscrape.yaml:1: nonsense: unknown",
        "runscrape.yaml:2: more: unknown",
        "the settings stay as they were",
    ]
    assert len(slept) == 2


def test_a_mistake_that_is_mended_is_told(settings: Settings) -> None:
    """In cron's or a container's log too, so that the mistake is not the last that is heard."""
    answers: list[Settings | ConfigError] = [settings, ConfigError("wrong"), settings]

    def load() -> Settings:
        if isinstance(answer := answers.pop(0), ConfigError):
            raise answer
        return answer

    talk, _ = play(load, hang_up, hang_up)
    told = [line for level, line in talk.told if level in {"warning", "summary"}]
    assert told[-2:] == ["the settings stay as they were", "settings read again"]


def test_hangup_while_publishing_waits() -> None:
    """SIGHUP while files are published is heeded after that, and costs no publish."""
    hangup = signals.Hangup()
    reached = []

    def publish() -> None:
        hang_up()
        reached.append("published")
        with signals.waiting():
            reached.append("never")

    with hangup.installed(), hangup.armed(), pytest.raises(signals.Reread):
        publish()
    assert reached == ["published"]


def test_hangup_during_the_reload(settings: Settings) -> None:
    """A SIGHUP while Prometheus reloads does not cut the round short, and is heeded after it."""
    noisy = replace(settings, reload_command=f"kill -HUP {os.getpid()}")
    talk, slept = play(lambda: noisy)
    reloaded, read_again = talk.of("summary")
    assert reloaded.endswith("Prometheus reloaded")
    assert read_again == "settings read again"
    assert len(slept) == 1


def test_hangup_before_it_is_armed() -> None:
    """A SIGHUP that comes between two rounds is not lost."""
    hangup = signals.Hangup()
    with hangup.installed():
        hang_up()
        with pytest.raises(signals.Reread), hangup.armed():
            pytest.fail("the block ran")
        with hangup.armed():
            pass


def test_hangup_that_nobody_waits_for() -> None:
    """A run that does not watch is ended by a SIGHUP, also by one that came while it began."""
    heard = []
    before = signal.signal(signal.SIGHUP, lambda *_: heard.append("as before"))
    try:
        hangup = signals.Hangup()
        with hangup.installed():
            hang_up()
            assert heard == []
            hangup.release()
            assert heard == ["as before"]
            hang_up()
            assert heard == ["as before"] * 2
    finally:
        signal.signal(signal.SIGHUP, before)


def test_hangup_before_the_watch(settings: Settings) -> None:
    """A SIGHUP that came before the watch began has the settings read again."""
    hangup = signals.Hangup()
    with hangup.installed():
        hang_up()
        talk, _ = play(lambda: settings, hangup=hangup)
    assert talk.of("summary").count("settings read again") == 1


class Ending:
    """A signal comes while Python ends this object, where exceptions are lost."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number

    def __del__(self) -> None:
        signal.raise_signal(self.number)


@pytest.mark.parametrize(
    ("number", "raised"),
    [
        (signal.SIGINT, signals.Interrupted),
        (signal.SIGTERM, signals.Terminated),
        (signal.SIGHUP, signals.Reread),
    ],
)
def test_no_signal_is_lost(
    number: signal.Signals, raised: type[BaseException], capfd: pytest.CaptureFixture[str]
) -> None:
    """Each is heeded a moment later, and no traceback is shown."""

    def end_and_wait() -> None:
        Ending(number)
        time.sleep(PATIENCE)

    hangup = signals.Hangup()
    with (
        signals.raising(),
        hangup.installed(),
        pytest.raises(raised),
        hangup.armed(),
        signals.waiting(),
    ):
        end_and_wait()
    assert capfd.readouterr().err == ""


def test_no_hangup_is_lost(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    """One that comes in a destructor is heeded before the watch sleeps; nothing is said of it."""
    versions, hangup = iter([settings, replace(settings, scrape_interval="7s")]), signals.Hangup()
    patch, wanted = pytest.MonkeyPatch(), [signal.SIGHUP]

    def listing(*arguments: Any) -> Any:
        patch.undo()
        Ending(wanted.pop())
        return discovery.discover(*arguments)

    patch.setattr("runscrape_generator.pipeline.discover", listing)
    with signals.raising():
        play(lambda: next(versions), hangup=hangup)
    assert '"7s"' in text_of(settings)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("early", [True, False])
def test_a_wait_alone_is_ended(*, early: bool) -> None:
    """A hangup ends a wait that is under way, and one that comes before it; and nothing else."""
    done = []

    def work_and_wait() -> None:
        if early:
            hang_up()
        done.append("what takes locks")
        with signals.waiting():
            if not early:
                hang_up()
            time.sleep(PATIENCE)

    hangup = signals.Hangup()
    with hangup.installed(), pytest.raises(signals.Reread), hangup.armed():
        work_and_wait()
    assert done == ["what takes locks"]


def test_a_lock_may_complain(settings: Settings) -> None:
    """What breaks off a call inside of a lock is heeded, though the lock's complaint is raised."""
    patch = pytest.MonkeyPatch()

    def listing(*_: Any) -> None:
        patch.undo()
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            threading.Lock().release()

    patch.setattr("runscrape_generator.pipeline.discover", listing)
    talk, slept = play(lambda: settings)
    assert (talk.of("error"), slept) == ([], [])


def test_handlers_are_put_back() -> None:
    """After the block every signal is handled as before."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with signals.raising(), signals.Hangup().installed():
        assert [signal.getsignal(number) for number in numbers] != before
    assert [signal.getsignal(number) for number in numbers] == before


def test_ignored_interrupt_stays_ignored() -> None:
    """A SIGINT that the parent ignores (nohup, a shell's &) is left ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals.raising():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_command_under_signals(tmp_path: Path, google: Emulator) -> None:
    """The real command: SIGHUP ends a hanging listing and runs anew, SIGTERM ends it with 143."""
    google.update(world(faults={"list_services": [{"hang": True, "first": 1}]}))
    google.reset_counts()
    site = make_site(tmp_path, google)
    config = tmp_path / "runscrape.yaml"
    config.write_text("scrape_interval: 3m\n")
    with site.running(*("--watch", "1h", "--timeout", "1h"), "--config", str(config)) as running:
        until(lambda: google.counts()["list_services"], why="the listing to hang")
        config.write_text("scrape_interval: 7m\n")
        running.send(signal.SIGHUP)
        until(lambda: published(site), why="the run after SIGHUP")
        assert "7m" in site.output.read_text()
        before = state(site.folder)
        running.send(signal.SIGTERM)
        assert running.process.wait(20) == 143
    assert state(site.folder) == before


def test_hangup_without_a_watch(settings: Settings) -> None:
    """Settings read again that set no interval any more keep the last one, and say so."""
    versions = iter([settings, replace(settings, watch=None, scrape_interval="7m")])
    talk, slept = play(lambda: next(versions), hang_up)
    assert all(270 <= seconds <= 330 for seconds in slept)
    assert talk.of("warning") == [
        "watch is not set any more: still running every 300 s until SIGTERM"
    ]
    assert "7m" in text_of(settings)


def test_hangup_changes_how_it_logs(tmp_path: Path, google: Emulator) -> None:
    """The real command: after SIGHUP it logs in the format and as much as the file says now."""
    google.update(world())
    site = make_site(tmp_path, google)
    config = tmp_path / "runscrape.yaml"
    config.write_text("verbosity: -1\n")
    with site.running("--watch", "1h", "--config", str(config)) as running:
        until(lambda: published(site), why="the first run")
        assert running.log == ""
        config.write_text("verbosity: 1\nlog_format: json\n")
        running.send(signal.SIGHUP)
        until(lambda: "settings read again" in running.log, why="the settings to be read")
        running.send(signal.SIGTERM)
        assert running.process.wait(20) == 143
    first = json.loads(running.log.splitlines()[0])
    assert (first["severity"], first["message"]) == ("NOTICE", "settings read again")


def test_command_hung_up_while_it_starts(tmp_path: Path, google: Emulator) -> None:
    """The real command: a SIGHUP that comes before its settings are read makes it read them anew.

    The settings are a pipe, so the command waits wherever it reads them.
    """
    google.update(world())
    site = make_site(tmp_path, google)
    config, following = tmp_path / "runscrape.yaml", tmp_path / "following"
    os.mkfifo(config)
    with site.running("--watch", "1h", "--config", str(config)) as running:
        try:
            for turn in range(3):  # what to do, what to begin with, what there is now
                pipe = until(lambda: reader_of(config), why=f"the settings to be read: {turn}")
                if turn == 0:
                    running.send(signal.SIGHUP)
                os.mkfifo(following)
                following.replace(config)
                os.write(pipe, b"scrape_interval: 7m\n")
                os.close(pipe)
            until(lambda: published(site), why="the run after that")
        finally:
            running.kill()


def reader_of(pipe: Path) -> int:
    """Open the pipe for writing; 0 while nobody waits for what is written."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return 0


def test_command_without_watch(tmp_path: Path, google: Emulator) -> None:
    """The real command, run once: the terminal that goes away takes it along."""
    google.update(world(faults={"list_services": [{"hang": True}]}))
    google.reset_counts()
    site = make_site(tmp_path, google)
    with site.running() as running:
        until(lambda: google.counts()["list_services"], why="the listing to hang")
        running.send(signal.SIGHUP)
        assert running.process.wait(20) == -signal.SIGHUP


def published(site: Site) -> bool:
    return site.output.exists() and site.metrics.exists()


def test_nothing_is_left_behind(settings: Settings) -> None:
    """Over many rounds open files, sockets and threads do not add up."""
    counts: list[int] = []

    def count() -> None:
        descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
        counts.append(descriptors + threading.active_count())

    play(lambda: settings, *[count] * 24)
    assert min(counts[12:]) < counts[0] + 10
