"""promtool is asked as Prometheus will read the file, and its no is final."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from runscrape_generator.config.settings import Format, Settings
from runscrape_generator.errors import ConfigError, ValidationError
from runscrape_generator.publish import promtool
from tests.generator.publishing_kit import state

GOOD = b"scrape_configs:\n- job_name: a\n  static_configs: [{targets: ['x:1']}]\n"
RULES = b"rule_files: [rules/*.yml]\n"
BAD_RULES = "groups: [{name: g, rules: [{record: a, expr: 'sum('}]}]\n"


def program(folder: Path, script: str) -> str:
    """Write a promtool of our own making."""
    path = folder / "promtool"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def find(**settings: object) -> str | None:
    found = promtool.find(Settings(**settings))  # type: ignore[arg-type]
    return found.program if found else None


def test_good_and_bad() -> None:
    """A good file passes; a bad one is refused in promtool's own words."""
    checker = promtool.find(Settings())
    assert checker is not None
    checker.check(GOOD)
    with pytest.raises(
        ValidationError, match=r"promtool refused.*field nonsense not found"
    ) as caught:
        checker.check(GOOD + b"nonsense: 1\n")
    assert f"parsing YAML file {Path.cwd()}/prometheus.yml:" in str(caught.value)


def test_scrape_configs_file_is_a_configuration() -> None:
    """A file for scrape_config_files is checked whole even by a promtool that knows none."""
    checker = promtool.find(Settings(format=Format.SCRAPE_CONFIGS))
    assert checker is not None
    checker.check(GOOD)
    with pytest.raises(ValidationError):
        checker.check(GOOD.replace(b"targets", b"target"))


@pytest.mark.parametrize("kind", ["in place", "link", "dry run"])
def test_relative_paths(tmp_path: Path, kind: str) -> None:
    """Relative paths are looked up beside the output, wherever the bytes are checked."""
    folder = tmp_path / "etc"
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "bad.yml").write_text(BAD_RULES)
    output, temporary = folder / "prometheus.yml", folder / ".new"
    if kind == "link":
        output.symlink_to(tmp_path / "elsewhere.yml")
        temporary = tmp_path / ".new"
    checker = promtool.Promtool("promtool", output)

    def check(data: bytes) -> None:
        if kind == "dry run":
            checker.check(data)
        else:
            temporary.write_bytes(data)
            checker.check_file(temporary)
            temporary.unlink()

    check(GOOD)
    before = state(folder)
    with pytest.raises(ValidationError, match="parse error"):
        check(RULES + GOOD)
    temporary.unlink(missing_ok=True)
    assert state(folder) == before


def test_no_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no temporary folder (a read-only container), the error says what to set."""
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    with pytest.raises(ValidationError, match="set TMPDIR"):
        promtool.Promtool("promtool", None).check(GOOD)


def test_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With auto a missing promtool is no error; one that the user names is."""
    with pytest.raises(ConfigError, match="there is no such program"):
        find(promtool=str(tmp_path / "promtool"))
    (tmp_path / "promtool").write_text("no program")
    with pytest.raises(ConfigError, match="or it may not be run"):
        find(promtool=str(tmp_path / "promtool"))
    (tmp_path / "promtool").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find() is None
    program(tmp_path, "true")
    assert find() == str(tmp_path / "promtool")


def test_not_asked() -> None:
    """None is asked with none, and none about formats that promtool cannot read."""
    assert find(promtool="none") is None
    assert find(format=Format.VMAGENT) is None
    assert find(format=Format.OPERATOR, promtool="promtool") is None


def test_older_than_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With auto a promtool older than --prometheus-version is not asked; by name it is."""
    path = program(tmp_path, "echo 'promtool, version 2.42.0+ds (branch: x)'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert find(prometheus_version="2.42") == path
    assert find(prometheus_version="3.0") is None
    assert find(prometheus_version="3.0", promtool=path) == path
    program(tmp_path, "echo 'promtool, version 3.10.1'")
    assert find(prometheus_version="3.9") == path


def test_the_one_that_has_told_the_version_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What promtool itself has told cannot be newer than it."""
    path = program(tmp_path, f"/bin/touch {tmp_path}/asked")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    found = promtool.find(Settings(prometheus_version="3.9"), has_told=True)
    assert (found and found.program) == path
    assert not (tmp_path / "asked").exists()


def test_crash(tmp_path: Path) -> None:
    """A promtool that dies of a signal is no yes."""
    path = program(tmp_path, "kill -SEGV $$")
    with pytest.raises(ValidationError, match="died of signal 11"):
        promtool.Promtool(path, None).check(GOOD)


def test_cannot_run(tmp_path: Path) -> None:
    """A promtool that is no program for this machine is no yes."""
    path = Path(program(tmp_path, ""))
    path.write_bytes(b"\x7fELF nonsense")
    with pytest.raises(ValidationError, match="cannot be run: Exec format error"):
        promtool.Promtool(str(path), None).check(GOOD)


def test_much_to_say(tmp_path: Path) -> None:
    """Of a complaint about each job the first ones are told, and what to do."""
    path = program(tmp_path, "for i in $(seq 9999); do echo line $i: no field; done; exit 1")
    with pytest.raises(ValidationError, match=r"changed: line 1: no field .*… \(.*promtool none"):
        promtool.Promtool(path, None).check(GOOD)


def test_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A promtool that hangs is ended after a while, and is no yes."""
    path, begun = program(tmp_path, "exec sleep 300"), time.monotonic()
    monkeypatch.setattr(promtool, "TIMEOUT", 0.2)
    with pytest.raises(ValidationError, match=r"took more than 0\.2 s"):
        promtool.Promtool(path, None).check(GOOD)
    assert time.monotonic() - begun < 60


def test_files_of_another_machine(tmp_path: Path) -> None:
    """What is refused for a missing file passes as syntax alone, and the remedy names that."""
    output = tmp_path / "prometheus.yml"
    data = GOOD + b"  tls_config: {cert_file: /there/cert.pem, key_file: /there/key.pem}\n"
    with pytest.raises(ValidationError, match="--promtool syntax leaves out"):
        promtool.Promtool("promtool", output).check(data)
    syntax = promtool.find(Settings(promtool="syntax", output=output))
    assert syntax is not None
    syntax.check(data)
    with pytest.raises(ValidationError, match="field nonsense not found") as caught:
        syntax.check(data + b"nonsense: 1\n")
    assert "--promtool syntax" not in str(caught.value)


def test_syntax_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for the check of the syntax has to have a promtool."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="--promtool syntax: promtool is not installed"):
        find(promtool="syntax")
