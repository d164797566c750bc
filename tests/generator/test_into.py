"""--into: a block of jobs in a file that somebody keeps by hand, and not one byte besides."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from runscrape_generator.config.settings import Settings
from runscrape_generator.errors import ConfigError, RefusedError
from runscrape_generator.publish import users_config
from runscrape_generator.publish.places import Places
from runscrape_generator.render.into import BEGIN, END, take_apart
from runscrape_generator.render.scrape_config import scrape_configs

from .services import assemble, service

STYLES = Path(__file__).parent / "into"
FILES = sorted(path.name for path in STYLES.iterdir())
JOBS = assemble([service("api"), service('odd "name": %{x}')])
ENTRIES = scrape_configs(JOBS, Settings())

LIST = f"scrape_configs:\n{BEGIN}\n{END}\n"

FORMS = {
    "as it is": lambda data: data,
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "BOM": lambda data: b"\xef\xbb\xbf" + data,
    "no newline at the end": lambda data: data.rstrip(b"\n"),
}


NAMES = "is no list of jobs, each with its job_name"
"""Of a job of the user's that the block would take the head of."""

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 20)
)
"""A few lines that would take years to compare."""


def put_into(data: bytes, entries: Any = ENTRIES) -> bytes:
    return take_apart(data, "prometheus.yml").with_block(entries).encode()


def without_block(data: bytes) -> bytes:
    """The lines outside of the block, found without the code under test."""
    kept, inside = [], False
    for line in data.splitlines(keepends=True):
        inside = inside or BEGIN.encode() in line
        if not inside:
            kept.append(line)
        inside = inside and END.encode() not in line
    return b"".join(kept)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", FILES)
def test_not_a_byte_besides(name: str, form: str) -> None:
    """Outside of the block the file is as it was, and holds the same data; the block has our jobs.

    Only a list that is missing, or written as [], is made first.
    """
    data = FORMS[form]((STYLES / name).read_bytes())
    new = put_into(data)
    rest = without_block(new)
    if name == "absent.yml":
        rest = rest[: rest.index(b"scrape_configs:")]
        assert rest.rstrip() == data.rstrip()
    elif name == "brackets.yml":
        assert rest == data.replace(b"scrape_configs: []", b"scrape_configs:")
    else:
        assert rest.rstrip() == data.rstrip()
    assert rest.startswith(data.rstrip(b"\r\n")[:-1]) or name == "brackets.yml"
    before, after = (yaml.load(text, BaseLoader) for text in (data, new))
    jobs, own = after.pop("scrape_configs"), before.pop("scrape_configs", None) or []
    assert after == before
    ours = [job for job in jobs if job["job_name"].startswith("cloudrun/")]
    assert [job for job in jobs if job not in ours] == own
    assert [job["job_name"] for job in ours] == [entry["job_name"] for entry in ENTRIES]
    assert ours[0]["oauth2"] == ENTRIES[0]["oauth2"]
    assert b"\r\n" not in new or b"\n" not in new.replace(b"\r\n", b"")


class BaseLoader(yaml.CSafeLoader):
    """All scalars as text, so that nothing in the users' files is an error."""


BaseLoader.yaml_implicit_resolvers = {
    "<": [each for each in yaml.SafeLoader.yaml_implicit_resolvers["<"] if "merge" in each[0]]
}


@pytest.mark.parametrize("name", FILES)
def test_run_after_run(name: str) -> None:
    """The same jobs change nothing; others change the block alone; none leave a good file."""
    data = (STYLES / name).read_bytes()
    first = put_into(data)
    assert put_into(first) == first
    fewer = put_into(first, ENTRIES[:1])
    assert without_block(fewer) == without_block(first)
    none = put_into(fewer, [])
    assert without_block(none) == without_block(first)
    assert put_into(none) == first


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool not installed")
def test_prometheus_takes_them(tmp_path: Path) -> None:
    """With the block in it, and with an empty one, each file is one that Prometheus takes."""
    paths: list[Path] = []
    for name in FILES:
        for form in ("as it is", "CRLF", "no newline at the end"):
            for entries in (ENTRIES, []):
                paths.append(tmp_path / f"{name}, {form}, {len(entries)} jobs")
                paths[-1].write_bytes(put_into(FORMS[form]((STYLES / name).read_bytes()), entries))
    command = ["promtool", "check", "config", "--syntax-only", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("SUCCESS") == len(paths) == 6 * len(FILES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scrape_configs: [{job_name: a}]\n", "has the jobs of scrape_configs in brackets"),
        ("scrape_configs:\n  [{job_name: a}]\n", "has the jobs of scrape_configs in brackets"),
        ("scrape_configs:\n  []\n", "has no list of jobs under scrape_configs"),
        ("scrape_configs: &none\nx: *none\n", ""),
        ("scrape_configs: {}\n", "has no list of jobs under scrape_configs"),
        ("scrape_configs: 5\n", "has no list of jobs under scrape_configs"),
        ("? scrape_configs\n: - job_name: a\n", "has no line that holds 'scrape_configs:' alone"),
        ("scrape_configs:\r- job_name: a\r", "has no line that holds 'scrape_configs:' alone"),
        ("{global: {}}\n", "is no mapping with a key on each line"),
        ("- job_name: a\n", "is no mapping with a key on each line"),
        ("a: 1\n---\nb: 2\n", "has 2 YAML documents"),
        (f"scrape_configs:\n{BEGIN}\n{END}\n---\n", "has 2 YAML documents"),
        ("x: &x {scrape_configs: []}\n<<: *x\n", "by a merge key"),
        ("last: |+\n  text", "would hold other data"),
        ("scrape_configs:\n\t- job_name: a\n", "is not YAML"),
        ("a: [\n", "is not YAML"),
        ("scrape_configs:\n- job_name: a\n  job_name: b\n", "a second time; mend that first"),
        ("scrape_configs:\n- one\n", "is no list of jobs"),
        (
            f"scrape_configs:\n{BEGIN}\n- job_name: a\n  static_configs:\n{END}\n  - targets: []\n",
            NAMES,
        ),
        ("a: &a [*a]\n", "line 1 holds a value inside of itself; mend that first"),
        (BOMB, "anchors inside of anchors that make millions of values; mend that first"),
        ("a: 1\nscrape_configs:\n- &a\n  job_name: a\n  x: {<<: *a}\n", "inside of itself"),
        (f"scrape_configs:\n{BEGIN}\n- job_name: a\n", "have to be there once each"),
        (f"scrape_configs:\n{END}\n", "have to be there once each"),
        (f"scrape_configs:\n{END}\n{BEGIN}\n", "have to be there once each"),
        (f"scrape_configs:\n{BEGIN}\n{END}\n{BEGIN}\n{END}\n", "have to be there once each"),
        (f"scrape_configs:\n{BEGIN}\n{BEGIN}\n{END}\n", "have to be there once each"),
        (f"global:\n{BEGIN}\n{END}\n", "belong under scrape_configs"),
        (f"scrape_configs: []\n{BEGIN}\n{END}\n", "belong under scrape_configs"),
        (f"note: |\n  {BEGIN}\n  {END}\nscrape_configs: []\n", "belong under scrape_configs"),
        (f"{BEGIN}\n{END}\n", "it is no mapping any more"),
    ],
)
def test_what_cannot_be_done_is_refused(text: str, said: str) -> None:
    """Nothing is guessed: the reason, and the lines to add by hand or what to mend, on one line."""
    with pytest.raises(RefusedError) as caught:
        put_into(text.encode())
    assert said in str(caught.value)
    assert str(caught.value).startswith("prometheus.yml: ")
    assert "\n" not in str(caught.value)
    if "touching the rest" in str(caught.value):
        assert f"'{BEGIN}', then '{END}'" in str(caught.value)


@pytest.mark.parametrize(
    ("refused", "advice", "mended"),
    [
        ("scrape_configs: [{job_name: a}]\n", "behind a dash", f"{LIST}- {{job_name: a}}\n"),
        ("scrape_configs:\n  []\n", "and its jobs below", LIST),
        ("? scrape_configs\n: - job_name: a\n", "and its jobs below", f"{LIST}- job_name: a\n"),
        ("{global: {}}\n", "write it as one", f"global: {{}}\n{LIST}"),
        ("a: 1\n---\nb: 2\n", "take out the others", f"a: 1\n{LIST}"),
        (
            "x: &x {scrape_configs: []}\n<<: *x\n",
            "list that it takes",
            f"x: &x {{}}\n<<: *x\n{LIST}",
        ),
        ("last: |+\n  text", "above its last key", f"{LIST}last: |+\n  text"),
    ],
)
def test_what_a_refusal_advises_works(refused: str, advice: str, mended: str) -> None:
    """With what it says mended, and the two lines added, the file takes the block."""
    with pytest.raises(RefusedError, match=advice):
        put_into(refused.encode())
    jobs = yaml.safe_load(put_into(mended.encode()))["scrape_configs"]
    assert [job["job_name"] for job in jobs[:2]] == [entry["job_name"] for entry in ENTRIES]


@pytest.mark.parametrize("data", [b"\xff\xfes\0c\0", "scrape_configs: é".encode("latin-1")])
def test_not_utf_8(data: bytes) -> None:
    """Prometheus reads UTF-8 alone."""
    with pytest.raises(RefusedError, match="is not UTF-8 text"):
        put_into(data)


@pytest.mark.parametrize("empty", ["null", "~  # none yet", "[ ]", "Null\t# none", ""])
@pytest.mark.parametrize(
    "end", ["", "\n", "\r\n", "\n# the end", "\n...\n", "\nremote_write: []\n"]
)
def test_an_empty_list_in_any_spelling(empty: str, end: str) -> None:
    """Of the user's bytes only the word for nothing goes."""
    before = f"---\nglobal: {{}}\nscrape_configs: {empty}{end}".encode()
    new = put_into(before)
    word, _, comment = empty.partition("#")
    kept = before.replace(f" {word.strip()}".encode(), b"") if word.strip() else before
    assert without_block(new).rstrip() == kept.rstrip()
    assert comment.encode() in new
    assert without_block(put_into(new, [])) == without_block(new)


def test_lines_by_hand() -> None:
    """Whoever adds the two lines where an entry would start has the block just there."""
    text = f"scrape_configs:\n  - job_name: a\n  {BEGIN}\n  {END}\n  - job_name: b\nx: 1\n"
    names = [job["job_name"] for job in yaml.safe_load(put_into(text.encode()))["scrape_configs"]]
    assert names == ["a", *(entry["job_name"] for entry in ENTRIES), "b"]


def test_a_formatter_may_move_the_list() -> None:
    """The block goes to the column of the user's own jobs."""
    text = f"scrape_configs:\n      - job_name: a\n{BEGIN}\n{END}\n"
    assert f"\n      {BEGIN}\n      - job_name: " in put_into(text.encode()).decode()


def test_a_job_name_that_is_taken() -> None:
    """A job of the user's by the name of ours is a mistake of the settings."""
    name = ENTRIES[0]["job_name"]
    with pytest.raises(ConfigError, match=f"has a job '{name}' of its own: rename that one"):
        put_into(f"scrape_configs:\n- job_name: {name}\n".encode())


def test_jobs_by_hand_are_named() -> None:
    """A job of the user's for a service that is in the block is found by target and by audience."""
    path = STYLES / "by-hand.yml"
    jobs = assemble([service("api"), service("shop"), service("cart")])
    found = users_config.warnings(Settings(into=path), Places(path, None), jobs, b"")
    assert list(found) == [
        f"{path}: job {name!r} scrapes demo/us-central1/{name} by hand, as does the block: remove "
        "one of them"
        for name in ("api", "shop")
    ]
