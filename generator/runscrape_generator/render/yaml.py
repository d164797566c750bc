r"""YAML out and back: one filter that writes data, one reader that takes it back.

Out: every string is double-quoted, so that nothing in it can be taken for structure, a boolean, a
number or a comment. ``%{`` is written ``\u0025{``: vmagent expands ``%{VAR}`` in the bytes of a
file, before it parses them. ``$`` stays as it is.

Back: as strict as Prometheus (a duplicate key is refused, which PyYAML lets pass) and no stricter,
because a user's own template is read by it too. It uses libyaml where PyYAML was built with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import yaml

from runscrape_generator.errors import ValidationError

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Plain words that YAML 1.1 takes for a boolean or null, in any case."""
_LONGEST_KEY = 128
"""Characters; a longer key gets a line of its own, as YAML wants from 1,024 on."""

_SURROGATES = re.compile("[\ud800-\udfff]")

_quoted = json.JSONEncoder(ensure_ascii=False).encode
"""A string of JSON is one of YAML, once what is not printable there is escaped."""


def to_yaml(data: object) -> str:
    """*data* in block style, without a newline at the end.

    Raises ValidationError for what is no string, number, boolean, null, list or mapping, and for
    text that is not Unicode. PyYAML's dumper would write the same, at seven times the cost: that
    was half of a run.
    """
    text = _escaped(_written(data, "\n"))
    require_unicode(text)
    return text


def _written(value: object, line: str) -> str:
    """*value* in block style; ``line`` begins each line after the first: its end, and the indent.

    Data that is used twice is written in full twice: a rule's settings go into many jobs.
    """
    if isinstance(value, dict):
        return line.join(_pair(*each, line) for each in value.items()) or "{}"
    if not isinstance(value, list | tuple):
        return _scalar(value)
    if _has_lines(value):
        return line.join(f"- {_written(item, line + '  ')}" for item in value)
    return f"[{', '.join(_written(item, line) for item in value)}]"


def _has_lines(value: object) -> bool:
    """Whether it takes lines of its own: lists of scalars do not, nor what is empty."""
    if isinstance(value, list | tuple):
        return any(isinstance(item, list | tuple | dict) and item for item in value)
    return isinstance(value, dict) and bool(value)


def _pair(key: object, value: object, line: str) -> str:
    if type(key) not in (str, int):
        raise _no_form(f"{key!r} cannot be a key")
    name = _key(key)
    if len(name) > _LONGEST_KEY:
        name = f"? {name}{line}"
    if not _has_lines(value):
        return f"{name}: {_written(value, line)}"
    inner = line + "  " if isinstance(value, dict) else line
    return f"{name}:{inner}{_written(value, inner)}"


@lru_cache(1024)  # jobs have few keys, and the same ones
def _key(key: str | int) -> str:
    """A key; those that every reader takes for strings are not quoted."""
    if isinstance(key, int) or (_PLAIN_KEY.fullmatch(key) and key.lower() not in _RESERVED):
        return str(key)
    return _quoted(key)


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(yaml.safe_dump(value)).partition("\n")[0]
    raise _no_form(f"{value!r}")


def _no_form(what: str) -> ValidationError:
    return ValidationError(f"no form in YAML here: {what}: write it as a string")


def to_json(value: object) -> str:
    """*value* as indented JSON that is the same value to a YAML reader, with a newline."""
    return _escaped(json.dumps(value, ensure_ascii=False, indent=2)) + "\n"


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES).replace("%{", "\\u0025{")


_NOT_PRINTABLE = (*range(0x7F, 0xA0), 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF)
_ESCAPES = {code: f"\\u{code:04x}" for code in _NOT_PRINTABLE}
"""What JSON leaves as it is, and YAML takes for a line break or refuses."""


def require_unicode(text: str) -> None:
    """Raise ValidationError for half a surrogate pair, which is no character."""
    if found := None if text.isascii() else _SURROGATES.search(text):
        line = text[max(0, found.start() - 40) : found.start() + 10]
        raise ValidationError(f"not Unicode text, half a surrogate pair in {line!a}")


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Composes nodes, with the few tags that our own output has; all else stays text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own name)


NULL, _MERGE = "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"
_BOOLEAN, _INT = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
for _tag, _pattern, _first in (
    (NULL, r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    (_MERGE, r"<<", ["<"]),
    (_BOOLEAN, r"(?:true|false)", ["t", "f"]),
    (_INT, r"(?:0|-?[1-9][0-9]*)", list("-0123456789")),
    (_FLOAT, r"(?:-?[0-9]+\.[0-9]+(?:e[-+][0-9]+)?|-?\.inf|\.nan)", list("-.0123456789")),
):
    Loader.add_implicit_resolver(_tag, re.compile(f"{_pattern}$"), _first)

_SCALARS: dict[str, Callable[[str], Any]] = {
    NULL: lambda _: None,
    _BOOLEAN: lambda text: text.lower() == "true",
    _INT: int,
    _FLOAT: lambda text: float(text.replace(".inf", "inf").replace(".nan", "nan")),
}


def from_yaml(text: str, *, numbers_as_text: bool = False) -> list[Any]:
    """Every YAML document in *text*, as plain data; raises ValidationError with the place.

    ``numbers_as_text`` keeps numbers as they are written: the secret ``1.50`` is not ``1.5``.
    """
    require_unicode(text)
    scalars = dict(_SCALARS)
    if numbers_as_text:
        del scalars[_INT], scalars[_FLOAT]
    try:
        return [_Document(scalars).value(node) for node in yaml.compose_all(text, Loader)]
    except (yaml.YAMLError, RecursionError) as error:
        raise _no_yaml(error) from error
    except ValueError as error:  # "!!int x"
        raise ValidationError(f"is not the YAML that Prometheus takes: {error}") from error


def reads_as(text: str, documents: Iterable[object]) -> bool:
    """Whether *text* holds these YAML documents and nothing else, their keys in this order.

    For what :func:`to_yaml` wrote: an alias or a tag is none of it. Reads one value after the
    other, so that no second copy of them all is held. Raises ValidationError as :func:`from_yaml`.
    """
    require_unicode(text)
    try:
        loader = Loader(text)
        loader.get_event()  # the start of the stream
        for document in documents:
            if not isinstance(loader.get_event(), yaml.DocumentStartEvent):
                return False
            if not _reads_as(loader.get_event, document):
                return False
            loader.get_event()  # the end of the document
        return isinstance(loader.get_event(), yaml.StreamEndEvent)
    except yaml.YAMLError as error:
        raise _no_yaml(error) from error


def _reads_as(get_event: Callable[[], yaml.Event], value: object) -> bool:
    event = get_event()
    if isinstance(event, yaml.ScalarEvent):
        read = event.value if event.style else _plain(event.value)
        return event.tag is None and bool(read == value)
    if isinstance(event, yaml.MappingStartEvent) and isinstance(value, dict):
        for key, item in value.items():
            if not (_reads_as(get_event, key) and _reads_as(get_event, item)):
                return False
        return isinstance(get_event(), yaml.MappingEndEvent)
    if isinstance(event, yaml.SequenceStartEvent) and isinstance(value, list | tuple):
        same = all(_reads_as(get_event, item) for item in value)
        return same and isinstance(get_event(), yaml.SequenceEndEvent)
    return False


def _plain(text: str) -> object:
    """What a reader takes a scalar without quotes for."""
    for tag, pattern in Loader.yaml_implicit_resolvers.get(text[:1], ()):
        if pattern.match(text):
            return _SCALARS.get(tag, str)(text)
    return text


def _no_yaml(error: Exception) -> ValidationError:
    return ValidationError(f"is not YAML: {' '.join(str(error).split())}")


class _Document:
    """Makes data of one document's nodes. An anchor's node is made once, however often it is used.

    PyYAML's own constructor is twice as slow, lets duplicate keys pass, and refuses ``=`` and
    dates such as 2024-13-01, which Prometheus takes for text.
    """

    def __init__(self, scalars: Mapping[str, Callable[[str], Any]]) -> None:
        self._scalars = scalars
        self._made: dict[yaml.Node, Any] = {}

    def value(self, node: yaml.Node) -> Any:
        """The data of *node*."""
        if isinstance(node, yaml.ScalarNode):
            return self._scalars.get(node.tag, str)(node.value)
        if node not in self._made:
            if isinstance(node, yaml.MappingNode):
                self._fill(self._made.setdefault(node, {}), node)
            else:
                self._made.setdefault(node, []).extend(map(self.value, node.value))
        return self._made[node]

    def _fill(self, found: dict[Any, Any], node: yaml.MappingNode) -> None:
        """The mapping's own keys, and those that it merges in and does not have itself."""
        merged: dict[Any, Any] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for source in reversed(sources):
                    merged |= self._merged(source)
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise _wrong(key, "a key that is itself a list or a mapping")
            name = self.value(key)
            if name in found:
                raise _wrong(key, f"the key {name!r} a second time")
            is_text = name == "job_name" and isinstance(value, yaml.ScalarNode)
            found[name] = value.value if is_text else self.value(value)  # 8080 is a name, too
        for name, value in merged.items():
            found.setdefault(name, value)

    def _merged(self, source: yaml.Node) -> dict[Any, Any]:
        value = self.value(source)
        if not isinstance(value, dict):
            raise _wrong(source, "a merge of what is no mapping")
        return value


def _wrong(node: yaml.Node, what: str) -> ValidationError:
    line = node.start_mark.line + 1 if node.start_mark else 0
    return ValidationError(f"is not the YAML that Prometheus takes: line {line} holds {what}")
