"""The Dockerfile: linted, and its steps run in a clean environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
LOCK = ROOT / "requirements.lock"
HADOLINT = Path(sys.executable).parent / "hadolint"
UV = Path(sys.executable).parent / "uv"


def instructions() -> list[tuple[str, str]]:
    """Give keyword and rest of each, continuation lines joined and comments left out."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(*line.split(None, 1),) for line in text.splitlines() if line]  # type: ignore[misc]


def stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for keyword, rest in instructions():
        if keyword == "FROM":
            found.append([])
        if found:
            found[-1].append((keyword, rest))
    return found


def test_hadolint(tmp_path: Path) -> None:
    """Hadolint has nothing to say, and would have of a bad one."""
    assert lint(DOCKERFILE) == (0, "")
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python\nRUN cd /x\n")
    assert lint(bad)[0] == 1


def lint(path: Path) -> tuple[int, str]:
    done = subprocess.run(
        [HADOLINT, "--no-color", path], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_shape() -> None:
    """Two stages on one base that can be pinned by digest, non-root, labelled, with a health check
    in Python and both commands on the path.
    """
    build, final = stages()
    assert build[0][1].startswith("${PYTHON_IMAGE}")
    assert final[0][1] == "${PYTHON_IMAGE}"
    keywords = dict(final)
    assert keywords["USER"] == "65532:65532"
    assert "org.opencontainers.image.version" in keywords["LABEL"]
    assert keywords["HEALTHCHECK"].count("python") == 1
    assert "curl" not in DOCKERFILE.read_text()
    assert "/opt/runscrape/bin" in keywords["ENV"]
    assert "# syntax=" not in DOCKERFILE.read_text()  # which would be fetched from a registry
    # The only thing that the build leaves behind is the environment.
    copied = [rest for keyword, rest in final if keyword == "COPY"]
    assert copied == ["--from=build /opt/runscrape /opt/runscrape"]


def test_version() -> None:
    """The image says the version that it is built of."""
    found = re.search(r"^ARG VERSION=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert found is not None
    assert found[1] == version("runscrape")
    assert f"runscrape:{found[1]} ." in DOCKERFILE.read_text()


def test_context(tmp_path: Path) -> None:
    """What the build copies is let through by .dockerignore, and nothing else is."""
    build, _ = stages()
    copied = {word for keyword, rest in build if keyword == "COPY" for word in rest.split()[:-1]}
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    let = {line[1:] for line in ignore if line.startswith("!")}
    assert "*" in ignore
    assert copied == let
    assert tmp_path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the build stage's steps, with its folders below a scratch one."""
    directory = tmp_path_factory.mktemp("image")
    build, _ = stages()
    source, environment = directory / "src", directory / "opt/runscrape"
    source.mkdir()
    clean = {
        name: value
        for name, value in os.environ.items()
        if name in {"LANG", "TMPDIR", "HOME", "PATH"} or name.startswith("PIP_")
    }
    put_in_place(environment)
    for keyword, rest in build:
        if keyword == "COPY":
            *names, target = rest.split()
            for name in names:
                copy(ROOT / name, (source / target / name) if target == "./" else source / target)
        if keyword == "RUN":
            script = rest.replace("/opt/runscrape", str(environment))
            # In an image a cache is a burden and bytecode a help; here it is the other way round.
            script = script.replace("--no-cache-dir", "--no-compile")
            script = script.replace("python -m", f"{sys.executable} -m")
            subprocess.run(["sh", "-ec", script], cwd=source, env=clean, check=True, timeout=180)
    return environment


def put_in_place(environment: Path) -> None:
    """Have uv install the locked files first, by their hashes too: pip then finds all in its place.

    To install them takes pip four seconds of CPU; so it does where uv does not reach the registry.
    """
    options = ["--quiet", "--only-binary=:all:", "--require-hashes", "--requirement", str(LOCK)]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    subprocess.run([UV, "pip", "install", "--python", environment, *options], check=False)


def copy(origin: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if origin.is_dir():
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(origin, target, ignore=ignored)
    else:
        shutil.copyfile(origin, target)


@pytest.mark.parametrize("command", ["runscrape", "runscrape-proxy"])
def test_steps(installed: Path, command: str) -> None:
    """The steps give an environment in which both commands answer, with an empty environment."""
    done = subprocess.run(
        [installed / "bin" / command, "--help"], env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_templates_are_in_it(installed: Path) -> None:
    """The templates that bootstrap needs came along."""
    assert list(installed.rglob("templates/bootstrap/compose/compose.yaml.j2"))


def test_hashes(installed: Path) -> None:
    """What is in the image is what the lock file says, to the version; and the steps insist."""
    runs = [rest for keyword, rest in stages()[0] if keyword == "RUN"]
    for step in re.findall(r"\binstall [^&]*", " ".join(runs)):
        assert "--require-hashes" in step or {"--no-deps", "--no-index"} <= set(step.split())
    have = {
        f"{each.name.lower().replace('_', '-')}=={each.version}"
        for each in distributions(path=[str(next(installed.glob("lib/python3*/site-packages")))])
    }
    lock = set(re.findall(r"^([a-z0-9._-]+==\S+)", LOCK.read_text(), re.MULTILINE))
    assert have - lock == {f"runscrape=={version('runscrape')}"}


def test_no_second_pip_is_left(tmp_path: Path) -> None:
    """The final stage removes the interpreter's ensurepip, which holds a pip to install."""
    (step,) = (rest for keyword, rest in stages()[1] if keyword == "RUN")
    fake = tmp_path / "ensurepip"
    fake.mkdir()
    (fake / "__init__.py").write_text("")
    _, remove = step.split("&&")
    script = remove.replace("python -c", f"{sys.executable} -c")
    environment = {"PYTHONPATH": str(tmp_path)}  # before the interpreter's own
    subprocess.run(["sh", "-ec", script], env=environment, check=True)
    assert not fake.exists()


def test_no_build_tools_are_left(installed: Path) -> None:
    """The environment has no pip, setuptools or wheel."""
    packages = {path.name for path in installed.rglob("site-packages/*")}
    assert not packages & {"pip", "setuptools", "wheel"}
    assert not list((installed / "bin").glob("pip*"))
