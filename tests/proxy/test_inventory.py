"""Reading the inventory, and files that change or break under us."""

from __future__ import annotations

import errno
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runscrape_proxy import inventory
from runscrape_proxy.errors import StartError
from runscrape_proxy.files import Watched, WatchedFile
from runscrape_proxy.inventory import Inventories, parse

if TYPE_CHECKING:
    from collections.abc import Callable


def document(*services: dict[str, Any]) -> bytes:
    return json.dumps({"version": 1, "scopes": {"demo/us-central1": services}}).encode()


KEPT = {"state": "kept", "name": "api", "audience": "https://api"}


def test_audiences() -> None:
    """Kept services' audiences and those of their endpoints; not skipped or public ones."""
    read = parse(
        document(
            KEPT,
            {"state": "kept", "name": "public", "audience": None},
            {"state": "skipped", "reason": "opted out", "audience": "https://skipped"},
            KEPT | {"endpoints": [{"audience": "https://two"}, {"audience": None}, {"job": "x"}]},
        )
    )
    assert read.audiences == {"https://api", "https://two"}
    assert len(read.kept) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Expecting value: line 1"),
        (b"{", "Expecting property name"),
        (b'"\x80"', "can't decode"),
        (b"[]", "the file is not an object"),
        (b"{}", "version is not 1"),
        (b'{"version": true, "scopes": {}}', "version is not 1"),
        (b'{"version": 2, "scopes": {}}', "version is not 1"),
        (b'{"version": 1}', "scopes is not an object"),
        (b'{"version": 1, "scopes": []}', "scopes is not an object"),
        (b'{"version": 1, "scopes": {"a/b": {}}}', "scopes: a/b is not a list"),
        (b'{"version": 1, "scopes": {"a/b": [7]}}', "a/b: service 1 is not an object"),
        (document(KEPT, {"audience": "x"}), "demo/us-central1: service 2: state is missing"),
        (document(KEPT | {"audience": 7}), "service 1: audience is not a line of text"),
        (document(KEPT | {"audience": " "}), "audience is not a line of text"),
        (document(KEPT | {"audience": "a\nb"}), "audience is not a line of text"),
        (document(KEPT | {"audience": "a\ud800"}), "audience is not a line of text"),
        (document(KEPT | {"endpoints": {}}), "service 1: endpoints is not a list"),
        (document(KEPT | {"endpoints": ["x"]}), "service 1: endpoints is not an object"),
    ],
)
def test_bad_inventories(content: bytes, message: str) -> None:
    """A bad file is named with the place where it is bad."""
    with pytest.raises(ValueError, match=message):
        parse(content)


@pytest.mark.parametrize("odd", ["a\u200bb", "\u202ea", "\xa0", "a\x85b", "a\u2028", "\ue000", "é"])
def test_texts_that_nobody_sees(odd: str) -> None:
    """What a service may call its path or audience (runscrape takes it) costs no other service."""
    read = parse(document(KEPT, {"state": "kept", "audience": odd, "metrics_path": f"/{odd}"}))
    assert read.audiences == {"https://api", odd}


def test_a_bad_file_keeps_the_list(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Truncated, too deep, gone: what was read before stays, and the log says so once."""
    file = inventory.watch(tmp_path / "inventory.json")
    file.path.write_bytes(document(KEPT))
    assert file.refresh()
    good = file.value
    for content in (document(KEPT)[:-9], b"[" * 100_000):
        file.path.write_bytes(content)
        caplog.clear()
        assert not file.refresh()
        assert not file.refresh()
        assert (file.value, len(caplog.records)) == (good, 1)
        assert "stays in force" in caplog.text
        assert file.error
    file.path.unlink()
    caplog.clear()
    assert not file.refresh()
    assert not file.refresh()
    assert len(caplog.records) == 1
    assert file.error == "No such file or directory"
    file.path.write_bytes(document(KEPT))
    assert not file.refresh(), "the same list is no news"
    assert file.error == ""


def test_several_files(tmp_path: Path) -> None:
    """Files add up; each keeps its own last good list, in the order of the files."""
    jobs, targets = tmp_path / "jobs.json", tmp_path / "targets.json"
    place = {"scheme": "https", "target": "api:443", "metrics_path": "/metrics"}
    both = Inventories([jobs, targets])
    assert (both.refresh(), both.value) == (False, None)
    assert both.error.count("No such file or directory") == 2
    targets.write_bytes(document(KEPT | place | {"audience": "https://two"}))
    assert both.refresh()
    jobs.write_bytes(document(KEPT | place, {"state": "kept", "audience": "https://more"}))
    assert both.refresh()
    assert both.value is not None
    assert both.value.audiences == {"https://api", "https://two", "https://more"}
    assert [
        endpoint.audience for endpoint in both.value.endpoints if endpoint.target == "api:443"
    ] == ["https://api", "https://two"]
    targets.write_bytes(b"{")
    jobs.write_bytes(document(KEPT))
    assert both.refresh()
    assert both.value.audiences == {"https://api", "https://two"}
    assert both.error.startswith(f"{targets}: Expecting property name")
    targets.write_bytes(document())
    assert both.refresh()
    assert both.value.audiences == {"https://api"}
    assert both.error == ""


def test_a_file_system_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one reading hangs, others go on with what is known: no request waits for a disk."""
    monkeypatch.setattr(inventory, "_BUSY_SECONDS", 0.01)
    (tmp_path / "inventory.json").write_bytes(document(KEPT))
    asked, over = threading.Event(), threading.Event()
    stat = Path.stat

    def hang(path: Path, **options: Any) -> os.stat_result:
        asked.set()
        over.wait()
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", hang)
    hanging = Inventories([tmp_path / "inventory.json"])
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(hanging.refresh)
        asked.wait()
        assert not hanging.refresh()
        over.set()
        assert first.result()


def test_a_new_file_of_the_same_size_and_time_is_seen(tmp_path: Path) -> None:
    """A rename within one tick of the clock changes the inode, and is read."""
    file = inventory.watch(tmp_path / "inventory.json")
    file.path.write_bytes(document(KEPT))
    file.refresh()
    stat = file.path.stat()
    other = tmp_path / "new"
    other.write_bytes(document(KEPT | {"audience": "https://new"}))
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.rename(file.path)
    assert file.refresh()
    assert file.value is not None
    assert file.value.audiences == {"https://new"}


def test_an_unchanged_file_is_not_read(tmp_path: Path) -> None:
    """Looking at a file that did not change costs no parsing."""
    parsed: list[bytes] = []

    def count(content: bytes) -> int:
        parsed.append(content)
        return len(parsed)

    file = WatchedFile(tmp_path / "file", count, what="file")
    file.path.write_bytes(b"x")
    assert [file.refresh() for _ in range(3)] == [True, False, False]
    assert len(parsed) == 1


def test_what_must_be_there_at_start(tmp_path: Path) -> None:
    """load() ends a start with one line that names the file."""
    with pytest.raises(StartError, match=r"inventory .*/none: No such file or directory"):
        inventory.watch(tmp_path / "none").load()
    with pytest.raises(StartError, match="Is a directory"):
        inventory.watch(tmp_path).load()


def test_a_file_that_is_away_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Moved away and back, or unreadable for want of descriptors, it is good again at once."""
    file = inventory.watch(tmp_path / "inventory.json")
    file.path.write_bytes(document(KEPT))
    assert file.refresh()
    away = tmp_path / "x"
    file.path.rename(away)
    file.refresh()
    assert file.error == "No such file or directory"
    away.rename(file.path)
    file.refresh()
    assert file.error == ""
    assert caplog.text.count("good again") == 0, "at level INFO"
    for failing in "open", "fdopen":
        file.path.write_bytes(document(KEPT | {"audience": f"https://{failing}"}))
        with monkeypatch.context() as patched:
            patched.setattr(os, failing, out_of_descriptors)
            file.refresh()
            assert file.error == "Too many open files"
        assert file.refresh(), "the same version of the file, read now"
        assert file.error == ""


def out_of_descriptors(*_: Any, **__: Any) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_a_bad_file_that_is_moved_stays_bad(tmp_path: Path) -> None:
    """What is wrong with a file goes with the file, not with its name or its being looked at."""
    file = inventory.watch(tmp_path / "inventory.json")
    file.path.write_bytes(b"{")
    for _ in range(2):
        file.refresh()
        assert file.error.startswith("Expecting property name")
        file.path.rename(tmp_path / "x")
        file.refresh()
        (tmp_path / "x").rename(file.path)


def test_what_is_no_file(tmp_path: Path) -> None:
    """A pipe, a device, a folder or a gigabyte is one line, and nothing waits for it."""
    path = tmp_path / "inventory.json"
    file = inventory.watch(path)
    path.write_bytes(document(KEPT))
    assert file.refresh()
    good = file.value

    def gigabyte() -> None:
        with path.open("wb") as sparse:
            sparse.truncate(1 << 30)

    kinds: list[tuple[Callable[[], object], str]] = [
        (lambda: os.mkfifo(path), "not a regular file"),
        (lambda: path.symlink_to("/dev/zero"), "not a regular file"),
        (lambda: path.symlink_to("/dev/tty"), "not a regular file"),
        (path.mkdir, "Is a directory"),
        (lambda: path.symlink_to(path), "Too many levels of symbolic links"),
        (gigabyte, "larger than 256 MiB"),
    ]
    for make, words in kinds:
        path.rmdir() if path.is_dir() else path.unlink()
        make()
        assert not file.refresh()
        assert (file.error, file.value) == (words, good)
    path.unlink()
    path.write_text("x" * 2000)
    small = WatchedFile(path, bytes.decode, what="file", limit=1024)
    small.refresh()
    assert small.error == "larger than 1 KiB"


def test_several_files_as_one(tmp_path: Path) -> None:
    """What is made of several files is made anew when one of them changes, and kept else."""
    one, two = tmp_path / "one", tmp_path / "two"
    made: list[str] = []

    def load() -> str:
        made.append(one.read_text() + two.read_text())
        return made[-1]

    watched = Watched([one, two], load, what="files")
    one.write_text("1")
    assert not watched.refresh()
    assert watched.error == "No such file or directory"
    two.write_text("2")
    assert watched.refresh()
    assert not watched.refresh()
    two.write_text("22")
    assert watched.refresh()
    assert (watched.value, made) == ("122", ["12", "122"])


def test_what_is_made_of_an_inventory_is_made_once() -> None:
    """However many ask while it is being made, as scrapes do when thousands of services change."""
    begun, go_on, made = threading.Event(), threading.Event(), []

    def make(held: inventory.Inventory) -> int:
        begun.set()
        go_on.wait()
        made.append(held)
        return len(made)

    once = inventory.OncePerInventory(make)
    first, second = (inventory.Inventory(frozenset({name}), ()) for name in "ab")
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(once.of, first) for _ in range(8)]
        begun.wait()
        go_on.set()
        assert [answer.result() for answer in answers] == [1] * 8
    assert (once.of(second), made) == (2, [first, second])
