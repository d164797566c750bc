"""Folders are the stages of each program: a folder imports those below it, never above."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

GENERATOR = (
    ("__main__",),
    ("cli",),
    ("iam",),
    ("doctor",),
    ("bootstrap",),
    ("watch",),
    ("run", "pipeline", "summary"),
    ("publish",),
    ("render",),
    ("selection",),
    ("cloudrun",),
    ("config",),
    ("model", "errors", "text", "addresses", "signals", "log", "progress", "regular_file"),
)
"""From top to bottom; what stands on one line may import each other."""

PROXY = (
    ("__main__", "wsgi"),
    ("cli",),
    ("serving",),
    ("proxy",),
    ("web",),
    ("gateway",),
    ("access",),
    ("tokens",),
    ("google",),
    ("http_client", "inventory"),
    ("files", "settings", "model", "errors", "log", "troubles", "clock", "option_types"),
)


def imports(package: Path) -> Iterator[tuple[str, str, str]]:
    """Each import of the package's own modules: the file, its part, the part that it imports."""
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package)
        part = name.parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules = [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module == package.name:
                modules = [f"{package.name}.{each.name}" for each in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            else:
                continue
            for module in modules:
                first, _, rest = module.partition(".")
                if first == package.name and rest:
                    yield str(name), part, rest.partition(".")[0]


@pytest.mark.parametrize(
    ("folder", "order"),
    [("generator/runscrape_generator", GENERATOR), ("proxy/runscrape_proxy", PROXY)],
)
def test_imports_point_downwards(folder: str, order: tuple[tuple[str, ...], ...]) -> None:
    """No part imports one above it, and every part has its place in the order."""
    rank = {part: number for number, parts in enumerate(order) for part in parts}
    package = ROOT / folder
    found = {
        path.name.removesuffix(".py") for path in package.iterdir() if path.suffix in {"", ".py"}
    }
    assert found - {"__init__", "__pycache__"} <= set(rank)
    upwards = [
        f"{file} imports {other}"
        for file, part, other in imports(package)
        if other in rank and rank[other] < rank[part]
    ]
    assert upwards == []


def test_the_programs_share_no_code() -> None:
    """The inventory file is the only thing between the two programs."""
    for one, other in (("generator", "runscrape_proxy"), ("proxy", "runscrape_generator")):
        for path in (ROOT / one).rglob("*.py"):
            assert f"import {other}" not in path.read_text()
            assert f"from {other}" not in path.read_text()


@pytest.mark.parametrize("name", ["cli", "config", "cloudrun", "selection", "render", "publish"])
def test_a_folder_says_what_its_modules_do(name: str) -> None:
    """Each module has its place in the docstring of its folder, which is read first."""
    folder = ROOT / "generator/runscrape_generator" / name
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert {module for module in modules if f"``{module}``" not in text} == set()
