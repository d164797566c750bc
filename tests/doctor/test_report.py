"""What doctor shows: a page for people at each width, one service step by step, JSON."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runscrape_generator.doctor.report.layout import Layout
from tests.doctor.clinic import IDENTITY, Case, Clinic, app, clinic, page

GOLDEN = Path(__file__).parent / "golden"
BROKEN = {
    "api": Case(""),
    "back-office": Case("", {"ingress": "internal"}),
    "cart": Case("", {"invokers": ["somebody@example.com"]}),
    "checkout": Case("", {"invokers": ["somebody@example.com"]}),
    "orders": Case("", {"invokers": ["somebody@example.com"]}),
    "payments-with-a-long-name": Case("", {"invokers": ["somebody@example.com"]}),
    "prices": Case("", app(paths={"/stats": {}})),
    "shop": Case("", {"max_instances": 20, "min_instances": 0}),
    "users": Case("", page(odd="html") | {"max_instances": 3}),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with clinic(tmp_path_factory.mktemp("report"), BROKEN) as running:
        yield running


def shown(site: Clinic, text: str) -> str:
    """Put names in place of what is another one each time."""
    for value, name in (
        (str(site.folder), "/etc/runscrape"),
        (site.proxy.url, "http://127.0.0.1:7777"),
        (f"127.0.0.1:{site.proxy.address[1]}", "127.0.0.1:7777"),
        (site.google.proxy_url.removeprefix("http://"), "127.0.0.1:3128"),
    ):
        text = text.replace(value, name)
    text = re.sub(r"\(\d+ ms\)|\(\d\.\d s\)", "(9 ms)", text)
    text = re.sub(r"valid\s+until [A-Z][a-z]{2} .*? GMT", "valid until then", text, flags=re.DOTALL)
    return re.sub(r"\d+ bytes", "99 bytes", text)


@pytest.mark.parametrize("columns", ["80", "120"])
@pytest.mark.parametrize("name", ["broken", "healthy", "service", "down"])
def test_page(name: str, columns: str, site: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page fits its width, and is the one that was looked at and found good."""
    monkeypatch.setenv("COLUMNS", columns)
    words = {"broken": (), "healthy": ("--include", "api"), "service": ("api",), "down": ("cart",)}[
        name
    ]
    code, text, _ = site.run("doctor", *words)
    assert code == (name in {"broken", "down"})
    text = shown(site, text)
    long = [line for line in text.splitlines() if len(line) > int(columns)]
    assert [line for line in long if " " in line.strip()] == []
    golden = GOLDEN / f"{name}-{columns}.txt"
    assert text == golden.read_text("utf-8")


def test_every_command(site: Clinic) -> None:
    """-v shows the command for each target, not only for the first ones."""
    _, few, _ = site.run("doctor")
    _, every, _ = site.run("doctor", "-v")
    assert few.count("add-iam-policy-binding") == 3
    assert "# and 1 more like it: -v shows all" in few
    assert every.count("add-iam-policy-binding") == 4


def test_no_colour_unless_on_a_terminal(site: Clinic) -> None:
    """What is written to a file has no colours."""
    assert "\x1b" not in site.run("doctor")[1]


def test_no_secret(site: Clinic) -> None:
    """No token and no secret is shown, anywhere, however much is asked for."""
    for words in ((), ("--json",), ("-vv",), ("api",), ("--json", "--mint")):
        _, out, err = site.run("doctor", *words)
        assert "s3cr et" not in out + err
        assert not re.search(r"eyJ[\w-]{10}|Bearer [\w-]{20}|Basic \w{8}", out + err)


def test_json(site: Clinic) -> None:
    """JSON has every target with its steps, and the same commands in one line each."""
    _, out, _ = site.run("doctor", "--json")
    content = json.loads(out)
    assert out.isascii()
    assert content["causes"] == {"ingress": 1, "no-invoker": 4, "not-metrics": 1, "wrong-path": 1}
    assert content["warnings"] == {"many-instances": 2, "scales-to-zero": 1}
    (cart,) = (each for each in content["targets"] if each["service"] == "cart")
    (command,) = cart["cause"]["commands"]
    assert command == (
        "gcloud run services add-iam-policy-binding cart --project demo --region us-central1 "
        f"--member serviceAccount:{IDENTITY} --role roles/run.invoker"
    )
    assert [each["step"] for each in cart["steps"]][:3] == ["proxy", "token", "DNS"]


@given(
    st.lists(st.text("ab '\"$\\`!*~-ü", min_size=1), min_size=1, max_size=8), st.integers(40, 120)
)
def test_a_broken_command_is_one_command(words: list[str], columns: int) -> None:
    """A command that is broken into lines is still the same words to a shell."""
    text = "\n".join(Layout(columns).command(words, 7))
    assert shlex.split(text.replace("\\\n", "")) == words
    assert shlex.split(shlex.join(words)) == words


def test_a_shell_takes_it_so() -> None:
    """A real shell makes the same words of it."""
    words = ["printf", "%s\\n", "a'b", "$(id)", "`id`", "x y", "*", "~", "!", "--long" + "x" * 80]
    text = "\n".join(Layout(60).command(words, 4))
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == words[2:]
