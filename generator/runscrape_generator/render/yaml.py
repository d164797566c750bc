r"""YAML out and back: one filter that writes data, one reader that takes it back.

Out: every string is double-quoted, so that nothing in it can be taken for structure, a boolean, a
number or a comment. ``%{`` is written ``\u0025{``: vmagent expands ``%{VAR}`` in the bytes of a
file, before it parses them. ``$`` stays as it is.

Back: as strict as Prometheus (a duplicate key is refused, which PyYAML lets pass) and no stricter,
because a user's own template is read by it too. Both use libyaml where PyYAML was built with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import yaml

from runscrape_generator.errors import ValidationError
from runscrape_generator.text import SURROGATES

_NO_FOLDING = 1 << 30
"""Columns: a value stays on its line, which the indented jobs of a user's template rely on."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Plain words that YAML 1.1 takes for a boolean or null, in any case."""


_Events = Iterator[yaml.Event]


def to_yaml(data: object) -> str:
    """*data* in block style, without a newline at the end.

    Raises ValidationError for what is no string, number, boolean, null, list or mapping, and for
    text that is not Unicode.
    """
    try:
        text = yaml.emit(_document(data), Dumper=_Emitter, allow_unicode=True, width=_NO_FOLDING)
    except UnicodeEncodeError as error:
        require_unicode(str(error.object))
        raise
    return _escaped(str(text).removesuffix("...\n").removesuffix("\n"))


def jobs_to_yaml(entries: list[dict[str, Any]]) -> str:
    """A list of scrape jobs in block style, or a comment that says that there are none."""
    return to_yaml(entries) if entries else "# There are no Cloud Run jobs."


_Emitter = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""PyYAML's representer, which would make nodes of the data first, takes three times as long."""

_BLOCK_MAPPING = yaml.MappingStartEvent(None, None, implicit=True, flow_style=False)
_BLOCK_LIST = yaml.SequenceStartEvent(None, None, implicit=True, flow_style=False)
_FLOW_LIST = yaml.SequenceStartEvent(None, None, implicit=True, flow_style=True)


def _document(data: object) -> _Events:
    yield yaml.StreamStartEvent()
    yield yaml.DocumentStartEvent(explicit=False)
    yield from _events(data)
    yield yaml.DocumentEndEvent(explicit=False)
    yield yaml.StreamEndEvent()


def _events(value: object) -> _Events:
    """Write *value* out, without anchors: what one rule sets stands in each of its jobs."""
    if isinstance(value, dict):
        yield _BLOCK_MAPPING
        for key, item in value.items():
            if type(key) not in (str, int):
                raise _no_form(f"{key!r} cannot be a key")
            yield _key(key)
            yield from _events(item)
        yield yaml.MappingEndEvent()
    elif isinstance(value, list | tuple):
        nested = any(isinstance(item, list | tuple | dict) and item for item in value)
        yield _BLOCK_LIST if nested else _FLOW_LIST
        for item in value:
            yield from _events(item)
        yield yaml.SequenceEndEvent()
    else:
        yield _scalar(value)


@lru_cache(1024)  # jobs have few keys, and the same ones
def _key(key: str | int) -> yaml.Event:
    """A key; those that every reader takes for strings are not quoted."""
    if isinstance(key, int) or (_PLAIN_KEY.fullmatch(key) and key.lower() not in _RESERVED):
        return _unquoted(str(key))
    return _scalar(key)


def _scalar(value: object) -> yaml.Event:
    if isinstance(value, str):
        return yaml.ScalarEvent(None, None, (False, True), value, style='"')
    if value is None or isinstance(value, bool):
        return _unquoted({None: "null", True: "true", False: "false"}[value])
    if isinstance(value, int):
        return _unquoted(str(value))
    if isinstance(value, float):
        return _unquoted(yaml.safe_dump(value).partition("\n")[0])
    raise _no_form(f"{value!r}")


def _unquoted(text: str) -> yaml.Event:
    return yaml.ScalarEvent(None, None, (True, False), text)


def _no_form(what: str) -> ValidationError:
    return ValidationError(f"no form in YAML here: {what}: write it as a string")


def to_json(value: object) -> str:
    """*value* as indented JSON that is the same value to a YAML reader, with a newline."""
    return _escaped(json.dumps(value, ensure_ascii=False, indent=2)) + "\n"


def _escaped(text: str) -> str:
    shown = _NOT_SHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return shown.replace("%{", "\\u0025{")


_NOT_PRINTABLE = r"\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff"
"""What JSON leaves as it is, and YAML takes for a line break or refuses."""
_REORDERS_OR_HIDES = r"\xad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f"
"""What would show whoever reads the file, or its diff, another text than Prometheus reads."""
_NOT_SHOWN = re.compile(f"[{_NOT_PRINTABLE}{_REORDERS_OR_HIDES}]")


def require_unicode(text: str) -> None:
    """Raise ValidationError for half a surrogate pair, which is no character."""
    if found := None if text.isascii() else SURROGATES.search(text):
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


def from_yaml(text: str, *, as_written: bool = False) -> list[Any]:
    """Every YAML document in *text*, as plain data; raises ValidationError with the place.

    ``as_written`` keeps numbers and booleans as text: the secret ``1.50`` is not ``1.5``, nor is
    the parameter ``true`` Python's ``True``.
    """
    require_unicode(text)
    scalars = dict(_SCALARS)
    if as_written:
        del scalars[_INT], scalars[_FLOAT], scalars[_BOOLEAN]
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


@lru_cache(1024)  # almost all are the keys of jobs
def _plain(text: str) -> object:
    """What a reader takes a scalar without quotes for."""
    for tag, pattern in Loader.yaml_implicit_resolvers.get(text[:1], ()):
        if pattern.match(text):
            return _SCALARS.get(tag, str)(text)
    return text


def _no_yaml(error: Exception) -> ValidationError:
    return ValidationError(f"is not YAML: {' '.join(str(error).split())}")


_MOST_VALUES = 10_000_000
"""With aliases written out: comparing two documents looks at each, and takes seconds then."""


class _Document:
    """Makes data of one document's nodes. An anchor's node is made once, however often it is used.

    PyYAML's own constructor is twice as slow, lets duplicate keys pass, and refuses ``=`` and
    dates such as 2024-13-01, which Prometheus takes for text.
    """

    def __init__(self, scalars: Mapping[str, Callable[[str], Any]]) -> None:
        self._scalars = scalars
        self._made: dict[yaml.Node, Any] = {}
        self._sizes: dict[yaml.Node, int] = {}
        self._values = 0
        """How many there are so far, with those of an anchor counted wherever it is used."""
        self._inside: set[yaml.Node] = set()
        """Nodes that are being made: an alias of one of them would never end."""

    def value(self, node: yaml.Node) -> Any:
        """The data of *node*."""
        self._values += 1
        if isinstance(node, yaml.ScalarNode):
            return self._scalars.get(node.tag, str)(node.value)
        if node in self._inside:
            raise _wrong(node, "a value inside of itself")
        if node not in self._made:
            self._inside.add(node)
            before = self._values
            if isinstance(node, yaml.MappingNode):
                self._made[node] = self._mapping(node)
            else:
                self._made[node] = [self.value(each) for each in node.value]
            self._sizes[node] = self._values - before
            self._inside.remove(node)
        else:
            self._values += self._sizes[node]
            if self._values > _MOST_VALUES:
                raise _wrong(node, "anchors inside of anchors that make millions of values")
        return self._made[node]

    def _mapping(self, node: yaml.MappingNode) -> dict[Any, Any]:
        """The mapping's own keys, and those that it merges in and does not have itself."""
        found: dict[Any, Any] = {}
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
        return found

    def _merged(self, source: yaml.Node) -> dict[Any, Any]:
        value = self.value(source)
        if not isinstance(value, dict):
            raise _wrong(source, "a merge of what is no mapping")
        return value


def _wrong(node: yaml.Node, what: str) -> ValidationError:
    line = node.start_mark.line + 1 if node.start_mark else 0
    return ValidationError(f"is not the YAML that Prometheus takes: line {line} holds {what}")
