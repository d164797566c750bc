"""Files are replaced whole or not at all, with the rights that the old ones had."""

from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runscrape_generator.errors import WriteError
from runscrape_generator.publish import files, lock
from tests.generator.publishing_kit import state, until, visible

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")


def as_nobody(code: str, folder: Path) -> str:
    """Run code in a child without root's rights (uid 65534), in the folder; gives what it says."""
    drop = (
        "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        if not os.getuid()
        else ""
    )
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            "from runscrape_generator.publish import files, lock\n" + drop + code,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder that every user reaches, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="runscrape-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o700)


def test_new_file_follows_the_umask(tmp_path: Path) -> None:
    """A new file gets 0644 less the umask, and nothing is left beside it."""
    before = os.umask(0o027)
    try:
        files.replace(tmp_path / "out.yml", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.yml").stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["out.yml"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664, 0o444])
def test_mode_is_kept(tmp_path: Path, mode: int) -> None:
    """The new file has the mode of the old one, whatever the umask."""
    path = tmp_path / "out.yml"
    path.write_bytes(b"old")
    path.chmod(mode)
    files.replace(path, b"new")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", mode)


@needs_root
def test_root_keeps_the_owner(tmp_path: Path) -> None:
    """As root, the new file belongs to whom the old one belonged."""
    path = tmp_path / "out.yml"
    path.write_bytes(b"old")
    os.chown(path, 12345, 23456)
    files.replace(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


@needs_root
@pytest.mark.parametrize(
    ("mode", "said"), [(0o644, "done"), (0o640, "cannot be kept"), (0o600, "cannot be kept")]
)
def test_nobody_is_locked_out(open_folder: Path, mode: int, said: str) -> None:
    """Where owner and group cannot be kept, a file that others cannot read stays as it is."""
    open_folder.chmod(0o777)
    path = open_folder / "out.yml"
    path.write_bytes(b"old")
    os.chown(path, 12345, 23456)
    path.chmod(mode)
    code = """
        from pathlib import Path
        try:
            files.replace(Path("out.yml").absolute(), b"new")
            print("done")
        except Exception as error:
            print(error)
    """
    assert said in as_nobody(textwrap.dedent(code), open_folder)
    assert path.read_bytes() == (b"new" if said == "done" else b"old")
    assert visible(open_folder) == ["out.yml"]


def test_extended_attributes_are_kept(tmp_path: Path) -> None:
    """Extended attributes, and so ACLs, go over to the new file."""
    path = tmp_path / "out.yml"
    path.write_bytes(b"old")
    try:
        os.setxattr(path, "user.note", b"keep me")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    files.replace(path, b"new")
    assert os.getxattr(path, "user.note") == b"keep me"


def test_one_attribute_that_may_not_be_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs none of the others: security.… may be root's alone."""
    path = tmp_path / "out.yml"
    path.write_bytes(b"old")
    copy = os.setxattr

    def refuse_some(file: int, name: str, value: bytes) -> None:
        if name == "user.a":
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        copy(file, name, value)

    try:
        for name in ("user.a", "user.b", "user.c"):
            copy(path, name, b"keep me")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    monkeypatch.setattr(os, "setxattr", refuse_some)
    files.replace(path, b"new")
    assert sorted(os.listxattr(path)) == ["user.b", "user.c"]


def test_symbolic_link_stays(tmp_path: Path) -> None:
    """An output that is a symbolic link is written through: link kept, file behind it replaced."""
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "a.yml", tmp_path / "b.yml"
    real.write_bytes(b"old")
    link.symlink_to("real/a.yml")
    files.replace(files.resolve(link), b"new")
    assert (link.is_symlink(), real.read_bytes()) == (True, b"new")


def test_dangling_link_is_filled(tmp_path: Path) -> None:
    """A symbolic link to a file that does not exist yet makes that file."""
    (tmp_path / "b.yml").symlink_to("a.yml")
    files.replace(files.resolve(tmp_path / "b.yml"), b"new")
    assert (tmp_path / "a.yml").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("folder", "it is a folder; name a file in it"),
        ("pipe", "it is no regular file"),
        ("device", "it is no regular file"),
        ("open pipe", "it is no regular file"),
        ("open file", "without --output the result goes to standard output"),
        ("no folder", "No such file or directory (make the folder first)"),
        ("file as folder", "what should be its folder is a file"),
        ("circle", "its symbolic links lead in a circle"),
        ("link to no folder", "/gone/out.yml: No such file or directory (make the folder first)"),
    ],
)
def test_places_that_hold_no_file(tmp_path: Path, kind: str, said: str) -> None:
    """A place that cannot hold the file is refused with its kind and a remedy."""
    path = tmp_path / "out.yml"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/null")
    elif kind == "open pipe":  # as /dev/stdout in a pipeline
        path = Path(f"/proc/self/fd/{os.pipe()[0]}")
    elif kind == "open file":  # as /dev/stdout behind a >
        path = Path(f"/proc/self/fd/{os.open(tmp_path / 'file', os.O_CREAT | os.O_WRONLY)}")
    elif kind == "circle":
        path.symlink_to("out.yml")
    elif kind == "link to no folder":
        path.symlink_to("gone/out.yml")
    else:
        path = path / "below.yml"
        if kind == "file as folder":
            path.parent.write_bytes(b"")
    with pytest.raises(WriteError) as caught:
        files.resolve(path)
    assert str(path) in str(caught.value) or kind == "link to no folder"
    assert said in str(caught.value)


def test_disk_full(tmp_path: Path) -> None:
    """When the new file does not fit, the old one stays and nothing is left beside it."""
    path = tmp_path / "out.yml"
    path.write_bytes(b"old")
    before = state(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(WriteError, match=r"File too large \(raise the limit"):
            files.replace(path, b"x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert state(tmp_path) == before


def test_interrupted_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal while the new file is written takes that file with it."""
    path = tmp_path / "out.yml"
    path.write_bytes(b"old")
    before = state(tmp_path)

    def interrupt(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.replace(path, b"new")
    assert state(tmp_path) == before


def test_read_only_folder(open_folder: Path) -> None:
    """In a folder that this user may not write to, the error says so and the old file stays."""
    path = open_folder / "out.yml"
    path.write_bytes(b"old")
    path.chmod(0o666)
    open_folder.chmod(0o555)
    code = """
        from pathlib import Path
        try:
            files.replace(Path("out.yml").absolute(), b"new")
        except Exception as error:
            print(type(error).__name__, error)
    """
    said = as_nobody(textwrap.dedent(code), open_folder)
    assert said.startswith("WriteError cannot write ")
    assert "Permission denied (let this user write in that folder" in said
    assert path.read_bytes() == b"old"


def test_rename_that_fails(tmp_path: Path) -> None:
    """When the rename fails, the temporary file goes as well."""
    path = tmp_path / "out.yml"
    temporary = files.stage(path, b"new")
    path.mkdir()
    with pytest.raises(WriteError, match="Is a directory"):
        files.commit(temporary, path)
    assert [each.name for each in tmp_path.iterdir()] == ["out.yml"]


def test_single_file_mount_has_its_remedy(tmp_path: Path) -> None:
    """A file that is mounted by itself cannot be renamed over: mount the folder, says the error."""
    said = str(files.failure(tmp_path / "out.yml", OSError(errno.EBUSY, os.strerror(errno.EBUSY))))
    assert "mount its folder instead" in said


def test_temporary_names_match_no_glob(tmp_path: Path) -> None:
    """No temporary name is taken by a glob on *.yml, *.yaml, *.json or *.prom."""
    for name in ("a.yml", "a.yaml", "a.json", "a.prom"):
        temporary = files.stage(tmp_path / name, b"new")
        assert temporary.name.startswith(".")
        assert temporary.suffix == ".runscrape-new"


def test_sweep_takes_only_ours(tmp_path: Path) -> None:
    """What a killed run left is removed; other files, and other outputs' temporaries, stay."""
    path = tmp_path / "a.yml"
    leftover = files.stage(path, b"half")
    kept = [files.stage(tmp_path / "b.yml", b"x"), tmp_path / ".a.yml.swp", tmp_path / ".a.yml.bak"]
    for each in kept[1:]:
        each.write_bytes(b"x")
    files.sweep(path)
    assert not leftover.exists()
    assert all(each.exists() for each in kept)


def test_readers_always_see_a_whole_file(tmp_path: Path) -> None:
    """Somebody who reads while the file is rewritten all the time sees whole files only."""
    path = tmp_path / "out.yml"
    contents = [bytes([letter]) * 50_000 for letter in b"ab"]
    path.write_bytes(contents[0])
    done = threading.Event()

    def rewrite() -> None:
        turn = 0
        while not done.is_set():
            turn += 1
            files.replace(path, contents[turn % 2])

    seen: set[bytes] = set()

    def read() -> bool:
        seen.update(path.read_bytes() for _ in range(1000))
        return len(seen) > 1

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        until(read, why="both contents")
    finally:
        done.set()
        writer.join()
    assert seen == set(contents)


_LOCKING = textwrap.dedent("""
    from pathlib import Path
    try:
        with lock.held(Path("out.yml").absolute()):
            print("held")
    except Exception as error:
        print(type(error).__name__, error)
""")


@needs_root
def test_no_lock_in_a_folder_of_another_user(open_folder: Path) -> None:
    """Where this user may not write, nobody's lock file is blamed for it."""
    open_folder.chmod(0o755)
    said = as_nobody(_LOCKING, open_folder)
    assert said.startswith("WriteError cannot write ")
    assert "let this user write in that folder" in said


@needs_root
def test_lock_of_another_user(open_folder: Path) -> None:
    """A lock file that this user may not open is told as what it is, with what to do."""
    with lock.held(open_folder / "out.yml"):
        pass
    said = as_nobody(_LOCKING, open_folder)
    assert said.startswith("WriteError cannot lock ")
    assert "belongs to another user" in said


def test_whether_a_file_holds_just_this(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is compared part by part, to its end; one that is missing holds nothing."""
    monkeypatch.setattr(files, "_PART", 4)
    path = tmp_path / "file"
    assert not files.holds(path, b"")
    for content in (b"", b"a", b"abcd", b"abcde", b"abcdefgh"):
        path.write_bytes(content)
        assert files.holds(path, content)
        assert not files.holds(path, content + b"x")
        assert not files.holds(path, content[:-1] + b"x")
        assert not files.holds(path, b"x" + content[1:])
