"""runscrape.yaml as plain data with the line of each value, and what is wrong with its YAML.

Stricter than YAML on purpose. Refused are duplicate keys, keys without a value, anchors, aliases
and merge keys, tags, a second document, and plain scalars that readers of YAML 1.1 and 1.2
understand differently (``on``, ``0o17``, ``1_000``, ``12:30``, dates): what an editor shows must be
what we read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from runscrape_generator.config.messages import Place
from runscrape_generator.errors import ConfigError

_MAX_BYTES = 1 << 20
"""PyYAML needs some 20 s for a file of this size; nobody writes one by hand."""
_MAX_DEPTH = 50

_SAME_IN_BOTH = re.compile(
    r"true|True|TRUE|false|False|FALSE|null|Null|NULL|~|"
    r"[-+]?(?:0|[1-9][0-9]{0,17})|[-+]?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,17}"
)
"""Plain scalars that are no text, and mean the same in YAML 1.1 and 1.2."""
_ONLY_IN_1_2 = re.compile(r"0o[0-7]+|[-+]?(?:[0-9]+|[0-9]*\.[0-9]+)[eE][-+]?[0-9]+")
"""Plain scalars that YAML 1.2 takes for numbers and PyYAML (YAML 1.1) for text."""
_TAG = "tag:yaml.org,2002:"
_BUILD: dict[str, Callable[[str], object]] = {
    f"{_TAG}str": str,
    f"{_TAG}int": int,
    f"{_TAG}float": float,
    f"{_TAG}bool": lambda text: text.lower() == "true",
    f"{_TAG}null": lambda _: None,
}
_TAB = "found character '\\t' that cannot start any token"


@dataclass(slots=True)
class YamlDocument:
    """What stands in the file."""

    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Place, int] = field(default_factory=dict)
    """The line of each value, from 1; that of its key where it has one."""
    mistakes: list[tuple[Place, str]] = field(default_factory=list)
    """What is wrong with the YAML, and did not keep the rest from being read."""


class _Refused(Exception):
    """The file cannot be read further: a line (from 1; 0 for the file as such) and why."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


class _Loader(yaml.SafeLoader):
    """PyYAML's composer without anchors, aliases, tags and bottomless nesting."""

    depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _Refused(line, "anchors and aliases are not supported: repeat the value")
        if getattr(event, "tag", None):
            raise _Refused(line, f"tags are not supported: leave {event.tag!r} out")
        if self.depth >= _MAX_DEPTH:
            raise _Refused(line, f"nested more than {_MAX_DEPTH} levels deep")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def read(path: Path) -> YamlDocument:
    """Read the file at *path*, a mapping; raises ConfigError where nothing of it can be read."""
    document = YamlDocument()
    try:
        root = _compose(_decode(path))
    except _Refused as error:
        place = f"{path}:{error.line}" if error.line else str(path)
        raise ConfigError(f"{place}: {error}") from None
    if root is not None:
        document.data = _value(root, (), document)
    return document


def _decode(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise _Refused(0, f"cannot be read: {error.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise _Refused(0, f"is larger than {_MAX_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _Refused(line, "not UTF-8: save the file in that encoding") from None


def _compose(text: str) -> Node | None:
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _Refused(line, f"not YAML: the control character #x{error.character:02x}") from None
    try:
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _Refused(mark.line + 1 if mark else 0, _syntax(error)) from None
    else:
        if isinstance(root, ScalarNode) and root.tag == f"{_TAG}null" and not root.value:
            return None  # "---", and comments
        if root is not None and not isinstance(root, MappingNode):
            raise _Refused(root.start_mark.line + 1, "expected a mapping of settings")
        return root
    finally:
        loader.dispose()


def _syntax(error: yaml.MarkedYAMLError) -> str:
    if error.context and "expected a single document" in error.context:
        return "a second document begins here: keep one"
    if error.problem == _TAB:
        return "not YAML: a tab where only spaces may indent"
    words = (error.context, error.problem)
    return f"not YAML: {', '.join(' '.join(word.split()) for word in words if word)}"


def _value(node: Node, place: Place, document: YamlDocument) -> Any:
    """Give the plain data of *node*, noting the lines and mistakes within."""
    if isinstance(node, MappingNode):
        return _mapping(node, place, document)
    if not isinstance(node, SequenceNode):
        return _scalar(node, place, document)
    for number, item in enumerate(node.value):
        document.lines[(*place, number)] = item.start_mark.line + 1
    return [_value(item, (*place, n), document) for n, item in enumerate(node.value)]


def _mapping(node: MappingNode, place: Place, document: YamlDocument) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = key_node.value if isinstance(key_node, ScalarNode) else "?"
        at = (*place, key)
        first = document.lines.setdefault(at, key_node.start_mark.line + 1)
        if wrong := _wrong_key(key_node):
            document.mistakes.append((at, wrong))
        elif key in data:
            document.lines[at] = key_node.start_mark.line + 1
            document.mistakes.append((at, f"given twice, first on line {first}"))
        else:
            data[key] = _value(value_node, at, document)
    return data


def _wrong_key(node: Node) -> str | None:
    if node.tag == f"{_TAG}merge":
        return "merge keys are not supported: repeat the keys"
    return None if node.tag == f"{_TAG}str" else "a key that is no text: put it in quotes"


def _scalar(node: Node, place: Place, document: YamlDocument) -> object:
    """Give the scalar's data; where readers disagree about it, note that and give its text."""
    text = str(node.value)
    plain = isinstance(node, ScalarNode) and node.style is None
    if plain and _ambiguous(node.tag, text):
        message = f"readers of YAML disagree about {text!r}: {_instead(node.tag)}"
        document.mistakes.append((place, message))
        return text
    if node.tag == f"{_TAG}null":
        document.mistakes.append((place, "has no value: leave it out, or give it one"))
    return _BUILD[node.tag](text)


def _ambiguous(tag: str, text: str) -> bool:
    if tag == f"{_TAG}str":
        return bool(_ONLY_IN_1_2.fullmatch(text))
    return bool(text) and (tag not in _BUILD or not _SAME_IN_BOTH.fullmatch(text))


def _instead(tag: str) -> str:
    if tag == f"{_TAG}bool":
        return "write true or false, or put it in quotes"
    return "put it in quotes, or write a plain decimal number"
