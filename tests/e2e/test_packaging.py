"""What users install: the wheel and the sdist, away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    "runscrape_generator": ROOT / "generator" / "runscrape_generator",
    "runscrape_generator/templates": ROOT / "templates",
    "runscrape_proxy": ROOT / "proxy" / "runscrape_proxy",
}
UV = Path(sys.executable).parent / "uv"
COMMANDS = ["runscrape", "runscrape-proxy"]
SHIPPED = {".py", ".j2", ".json", ".yaml", ".html", ".css", ".typed"}


def tracked(*paths: str) -> set[str]:
    """Files that git knows below the paths; every file there where git is not used."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *paths],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        return {
            str(file.relative_to(ROOT))
            for path in paths
            for file in (ROOT / path).rglob("*")
            if file.is_file() and "__pycache__" not in file.parts
        }
    names = listed.stdout.decode().split("\0")
    return {name for name in names if name and (ROOT / name).exists()}


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both distributions, the wheel built from the sdist as an installer would.

    By the hooks that every build tool calls (PEP 517), in this environment: an environment for each
    of the two takes longer than all else.
    """
    out = tmp_path_factory.mktemp("dist")
    build("build_sdist", ROOT, out)
    (sdist,) = out.glob("*.tar.gz")
    (place := out / "unpacked").mkdir()
    subprocess.run(["tar", "--extract", "--file", sdist, "--directory", place], check=True)
    (unpacked,) = place.iterdir()
    build("build_wheel", unpacked, out)
    return out


def build(hook: str, source: Path, out: Path) -> None:
    """Call a hook of the build backend, where the source is."""
    backend = tomllib.loads((source / "pyproject.toml").read_text())["build-system"]
    code = f"from {backend['build-backend']} import {hook}; {hook}({str(out)!r})"
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]


def test_the_wheel_holds_exactly_the_packages_and_templates(dist: Path) -> None:
    """Every module, template and schema is in the wheel, and nothing else."""
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = set()
    for package, folder in SOURCES.items():
        for file in tracked(str(folder.relative_to(ROOT))):
            path = ROOT / file
            if path.suffix in SHIPPED:
                expected.add(f"{package}/{path.relative_to(folder)}")
            else:
                pytest.fail(f"{file} is in a package and is of no kind that the wheel ships")
    assert names == expected
    tops = {name.split("/", maxsplit=1)[0] for name in names}
    assert tops == {"runscrape_generator", "runscrape_proxy"}
    assert {"runscrape_generator/py.typed", "runscrape_proxy/py.typed"} <= names


def test_the_sdist_holds_what_it_takes_to_test_it(dist: Path) -> None:
    """Sources, templates, tests, examples, Makefile and change log are in the sdist."""
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = tracked("generator", "proxy", "templates", "tests", "examples")
    wanted |= {"pyproject.toml", "README.md", "CHANGELOG.md", "Makefile", "MANIFEST.in"}
    assert wanted - names == set()
    assert not {name for name in names if "__pycache__" in name or ".venv" in name}


@pytest.fixture(scope="session")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in an environment of its own; its dependencies are those of this one."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, symlinks=True)
    (wheel,) = dist.glob("*.whl")
    pip = [str(UV), "pip", "install", "--python", str(home), "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-cache", str(wheel)], check=True)
    site = next((home / "lib").glob("python*")) / "site-packages"
    ours = Path(os.__file__).parent if sys.prefix == sys.base_prefix else Path(sys.prefix)
    dependencies = next(ours.glob("lib/python*/site-packages"))
    # As a path, not through its .pth files: the editable install of this checkout stays out.
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    return home


@pytest.mark.parametrize("command", COMMANDS)
def test_the_wheel_works_outside_the_checkout(
    command: str, installed: Path, tmp_path: Path
) -> None:
    """A console script of the installed wheel shows its help."""
    done = subprocess.run(
        [installed / "bin" / command, "--help"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert command in done.stdout
    assert done.stderr == ""


def test_the_templates_load_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """Templates and version are found in the installed package, not in the checkout."""
    script = (
        "from importlib.resources import files; import runscrape_generator as g, jinja2\n"
        "from jinja2 import PackageLoader\n"
        "names = PackageLoader('runscrape_generator.templates', '').list_templates()\n"
        "print(g.__file__)\n"
        "print(sum(n.endswith('.j2') for n in names))\n"
        "from runscrape_generator.cli.main import main as runscrape\n"
        "from runscrape_proxy.cli import main as proxy\n"
        "for command in (runscrape, proxy):\n"
        "    code = command(['--version']); assert code == 0, code"
    )
    done = subprocess.run(
        [installed / "bin" / "python", "-u", "-c", script],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    place, count, *said = done.stdout.splitlines()
    assert place.startswith(str(installed))
    assert int(count) == len([name for name in tracked("templates") if name.endswith(".j2")])
    assert said == [f"{command} {version('runscrape')}" for command in COMMANDS]
