"""runscrape.yaml as a tree of values with their lines; everything that YAML itself can get wrong.

Stricter than YAML on purpose. Refused are duplicate keys, anchors, aliases and merge keys, tags, a
second document, and plain scalars that readers of YAML 1.1 and 1.2 understand differently
(``on``, ``0o17``, ``1_000``, ``12:30``, dates): what an editor shows must be what we read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from runscrape_generator.config.values import Mistakes, Value
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
_BUILD: dict[str, Callable[[str], object]] = {
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:null": lambda _: None,
}
_TAB = "found character '\\t' that cannot start any token"


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


def read(path: Path, mistakes: Mistakes) -> Value:
    """Give the file *path* as a mapping of settings, adding what is wrong with its YAML.

    Raises ConfigError where nothing can be read: no such file, no YAML, no mapping.
    """
    top = Value({}, str(path), base=path.parent)
    try:
        root = _compose(_decode(path))
    except _Refused as error:
        place = f"{path}:{error.line}" if error.line else str(path)
        raise ConfigError(f"{place}: {error}") from None
    return top if root is None else _value(root, top, mistakes)


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


def _value(node: Node, at: Value, mistakes: Mistakes) -> Value:
    """Turn *node* into a value that lies where *at* does."""
    data: Any
    if isinstance(node, MappingNode):
        data = dict(_pairs(node, at, mistakes))
    elif isinstance(node, SequenceNode):
        data = [
            _value(item, _at(at, f"{at.path}[{n}]", item), mistakes)
            for n, item in enumerate(node.value)
        ]
    else:
        data = _scalar(node, at, mistakes)
    return Value(data, at.place, at.path, at.base, at.line)


def _pairs(node: MappingNode, at: Value, mistakes: Mistakes) -> Iterator[tuple[str, Value]]:
    """Yield the keys of a mapping, each once; a value's line is its key's."""
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        key = _key(key_node, at, mistakes)
        if key is None:
            continue
        place = _at(at, f"{at.path}.{key}" if at.path else key, key_node)
        if key in lines:
            mistakes.add(place, f"given twice, first on line {lines[key]}")
            continue
        lines[key] = place.line
        yield key, _value(value_node, place, mistakes)


def _key(node: Node, at: Value, mistakes: Mistakes) -> str | None:
    text = node.value if isinstance(node, ScalarNode) else "?"
    place = _at(at, f"{at.path}.{text}" if at.path else text, node)
    if node.tag == "tag:yaml.org,2002:merge":
        mistakes.add(place, "merge keys are not supported: repeat the keys")
    elif node.tag != "tag:yaml.org,2002:str":
        mistakes.add(place, "a key that is no text: put it in quotes")
    else:
        return str(node.value)
    return None


def _at(parent: Value, path: str, node: Node) -> Value:
    line = node.start_mark.line + 1
    file = parent.place.rsplit(":", 1)[0] if parent.path else parent.place
    return Value(None, f"{file}:{line}", path, parent.base, line)


def _scalar(node: Node, at: Value, mistakes: Mistakes) -> object:
    """Give the scalar's data; where readers disagree about it, note that and give its text."""
    text = str(node.value)
    plain = isinstance(node, ScalarNode) and node.style is None
    if plain and _ambiguous(node.tag, text):
        mistakes.add(at, f"readers of YAML disagree about {text!r}: {_instead(node.tag)}")
        return text
    return _BUILD[node.tag](text)


def _ambiguous(tag: str, text: str) -> bool:
    if tag == "tag:yaml.org,2002:str":
        return bool(_ONLY_IN_1_2.fullmatch(text))
    return bool(text) and (tag not in _BUILD or not _SAME_IN_BOTH.fullmatch(text))


def _instead(tag: str) -> str:
    if tag == "tag:yaml.org,2002:bool":
        return "write true or false, or put it in quotes"
    return "put it in quotes, or write a plain decimal number"
