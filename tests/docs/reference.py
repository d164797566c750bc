"""The reference in each manual, made from the code: ``python -m tests.docs.reference`` writes it.

Options, variables and defaults come from the two command lines, exit codes from the tree of
errors, metrics from the registries that serve them.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
from prometheus_client.parser import text_string_to_metric_families

from runscrape_generator import errors, signals
from runscrape_generator.cli import bootstrap as bootstrap_cli
from runscrape_generator.cli.commands import group
from runscrape_generator.config.settings import OPTIONS, Option
from runscrape_generator.doctor.causes import CAUSES
from runscrape_generator.model import Scope
from runscrape_generator.publish import metrics
from runscrape_proxy.cli import command as proxy_command
from runscrape_proxy.clock import GoogleClock
from runscrape_proxy.gateway.metrics import GatewayMetrics
from runscrape_proxy.gateway.slots import Slots
from runscrape_proxy.inventory import Inventories
from runscrape_proxy.model import AudienceStatus
from runscrape_proxy.web.metrics import Metrics
from tests.proxy.test_app import Holder

ROOT = Path(__file__).parents[2]
README, GENERATOR, PROXY = (ROOT / folder / "README.md" for folder in (".", "generator", "proxy"))
"""The front door, and the manual of each program."""
BEGIN, END = "<!-- reference: begin -->\n", "<!-- reference: end -->\n"
STATUS = AudienceStatus("https://one.a.run.app", 1.0, "", None)
MEANINGS = {
    0: ("Published, or nothing changed", "new, or untouched (same bytes, same mtime, no reload)"),
    3: ("Published, with some scopes from the inventory, or missing some never listed", "new"),
    1: ("A bug: please report it", "untouched"),
    8: (None, "as before: put back, and reloaded again"),
    130: ("SIGINT", "untouched, or whole"),
    143: ("SIGTERM", "untouched, or whole"),
}


def generator_reference() -> str:
    """Give the reference of ``runscrape`` as Markdown."""
    return _joined(
        "### `runscrape`: options\n",
        _generator_options(),
        "### `runscrape bootstrap`: more options\n",
        _rows(_click_rows(bootstrap_cli.own_parameters(), None)),
        "### `runscrape doctor`: causes\n",
        _causes(),
        "### `runscrape`: exit codes\n",
        _exit_codes(),
        "### `runscrape`: metrics (`--metrics-file`)\n",
        _metrics(_generator_exposition()),
    )


def proxy_reference() -> str:
    """Give the reference of ``runscrape-proxy`` as Markdown."""
    return _joined(
        "### `runscrape-proxy`: options\n",
        _rows(_click_rows(proxy_command.params, "RUNSCRAPE_PROXY_")),
        "### `runscrape-proxy`: metrics (`GET /metrics`)\n",
        _metrics(_proxy_exposition()),
    )


REFERENCES: dict[Path, Callable[[], str]] = {
    GENERATOR: generator_reference,
    PROXY: proxy_reference,
}


def _joined(*parts: str) -> str:
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _proxy_exposition() -> str:
    clock = GoogleClock(wall=lambda: 0.0)
    clock.note(0.0)
    metrics = Metrics(Holder(STATUS), Inventories(()), clock)
    GatewayMetrics(metrics.registry, Slots(1, per_host=1))
    return metrics.exposition().decode()


def _generator_options() -> str:
    rows: list[tuple[str, ...]] = [
        (_flag(option), _variable(option), _default(option), _commands(option), option.help)
        for option in OPTIONS
    ]
    rows += _other_flags()
    return _table(("option", "variable", "default", "commands", "what it does"), rows)


def _other_flags() -> list[tuple[str, ...]]:
    """Give the flags that are no settings: --config, -v and the like, with their commands."""
    known = {option.key for option in OPTIONS}
    known |= {str(parameter.name) for parameter in bootstrap_cli.own_parameters()}
    found: dict[str, tuple[str, str, list[str]]] = {}
    for name, command in group().commands.items():
        for parameter in _parameters(command):
            if isinstance(parameter, click.Option) and parameter.name not in known:
                flag = f"`{', '.join(reversed(parameter.opts))}`"
                variable = "`RUNSCRAPE_CONFIG`" if parameter.name == "config" else ""
                found.setdefault(flag, (variable, parameter.help or "", []))[2].append(name)
    everywhere = len(group().commands)
    return [
        (flag, variable, "", "all" if len(names) == everywhere else ", ".join(names), text)
        for flag, (variable, text, names) in found.items()
    ]


def _parameters(command: click.Command) -> list[click.Parameter]:
    """Give what a command takes, but for --help."""
    found = command.get_params(click.Context(command))
    return [each for each in found if "--help" not in each.opts]


def _flag(option: Option) -> str:
    commands = group().commands.values()
    flags = {flag for one in commands for each in _parameters(one) for flag in each.opts}
    return f"`{option.flag}`" if option.flag in flags else f"`{option.key}:` (no flag)"


def _variable(option: Option) -> str:
    return "" if option.file_only else f"`{option.variable}`"


def _default(option: Option) -> str:
    value = option.default
    if value in (None, (), {}):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _commands(option: Option) -> str:
    names = tuple(group().commands)
    return "all" if set(option.commands) >= set(names) else ", ".join(option.commands)


def _click_rows(
    parameters: Iterable[click.Parameter], prefix: str | None
) -> Iterator[tuple[str, ...]]:
    for parameter in parameters:
        if not isinstance(parameter, click.Option) or parameter.name in ("help", "version"):
            continue
        flag = f"`{', '.join(reversed(parameter.opts))}`"
        variable = f"`{prefix}{str(parameter.name).upper()}`" if prefix else ""
        shown = _shown(parameter.default)
        text = re.sub(r"\s+\[default: .*\]$", "", parameter.help or "")
        yield (flag, variable, shown, text) if prefix else (flag, shown, text)


def _shown(default: object) -> str:
    if default is None or isinstance(default, bool) or callable(default):
        return ""
    value = ", ".join(map(str, default)) if isinstance(default, (list, tuple)) else str(default)
    return f"`{value}`" if value and "UNSET" not in value.upper() else ""


def _rows(rows: Iterable[tuple[str, ...]]) -> str:
    rows = list(rows)
    with_variable = len(rows[0]) == 4
    heads = ("option", "variable", "default", "what it does")
    return _table(heads if with_variable else (heads[0], *heads[2:]), rows)


def _exit_codes() -> str:
    codes: dict[int, tuple[str, str]] = {
        code: (meaning or "", files) for code, (meaning, files) in MEANINGS.items()
    }
    for kind in errors.RunscrapeError.__subclasses__():
        text = " ".join((kind.__doc__ or "").split()).rstrip(".").replace("``", "`")
        files = codes.get(kind.exit_code, ("", "untouched"))[1]
        codes[kind.exit_code] = (text, files)
    assert {signals.Interrupted.exit_code, signals.Terminated.exit_code} <= codes.keys()
    rows = [(str(code), *codes[code]) for code in sorted(codes)]
    return _table(("exit", "meaning", "files"), rows)


def _generator_exposition() -> str:
    measured = metrics.Measured(
        jobs=1,
        services={"kept": 1, "skipped": 0},
        scopes={Scope("p", "r"): False},
        missing=(("p", "q"),),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runscrape.prom"
        metrics.write(path, ended=1.0, seconds=1.0, changed=1.0, measured=measured)
        return path.read_text("utf-8")


def _causes() -> str:
    """Give every cause that doctor knows, in its order; placeholders as a reader takes them."""
    rows = [
        (
            f"`{cause.name}`" + (" (warning)" if cause.warning else ""),
            cause.title,
            re.sub(r" \(\{\w+\}\)|\{working_path\}", "", cause.remedy).format_map(_Named()),
            cause.source,
        )
        for cause in CAUSES
    ]
    return _table(("cause", "what is wrong", "what to do", "source"), rows)


class _Named(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return f"*{name.replace('_', ' ')}*"


def _metrics(exposition: str) -> str:
    rows = []
    for family in text_string_to_metric_families(exposition):
        if not family.name.startswith("runscrape_"):
            continue
        names = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        labels = f"{{{','.join(names)}}}" if names else ""
        suffix = "_total" if family.type == "counter" else ""
        rows.append((f"`{family.name}{suffix}{labels}`", family.type, family.documentation))
    return _table(("metric", "type", "meaning"), rows)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |\n"
        for line in lines
    )


def current(manual: Path) -> str:
    """Give the text of a manual with the reference as the code has it now."""
    before, rest = manual.read_text("utf-8").split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}{REFERENCES[manual]()}{END}{after}"


def prose(path: Path) -> str:
    """Give the text of a document without the reference that is made from the code."""
    return re.sub(f"{BEGIN}.*{END}", "", path.read_text("utf-8"), flags=re.DOTALL)


if __name__ == "__main__":
    for path in REFERENCES:
        path.write_text(current(path), "utf-8")
        sys.stdout.write(f"{path.relative_to(ROOT)}: the reference is current\n")
