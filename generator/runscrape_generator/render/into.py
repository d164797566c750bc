"""A block of jobs in a ``prometheus.yml`` that somebody keeps by hand (``--into``).

The block stands between two comment lines in the list ``scrape_configs``. Whatever is outside of
them stays as it is, byte for byte; only where the list is missing or empty, its key is made, or
``[]`` taken away. Where the block belongs is found by YAML's own parser, and what is written is
read back: the user's part has to hold the same data as before, and the block the jobs as meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from runscrape_generator.errors import ConfigError, RefusedError, ValidationError
from runscrape_generator.render.scrape_config import Data
from runscrape_generator.render.yaml import NULL, Loader, from_yaml, jobs_to_yaml

BEGIN = "# BEGIN runscrape: each run writes the lines up to END anew, and no others."
END = "# END runscrape"

_KEY = "scrape_configs"
_BOM = "\ufeff"
_INDENT = "  "
_BLOCK = re.compile(
    r"^(?P<indent>[ \t]*)# BEGIN runscrape\b[^\n]*\n(?P<jobs>(?:[^\n]*\n)*?)"
    r"[ \t]*# END runscrape\b[^\n]*(?:\n|\Z)",
    re.MULTILINE,
)
_MARKER = re.compile(r"^[ \t]*# (?:BEGIN|END) runscrape\b", re.MULTILINE)
_EMPTY = r"(?P<empty>[ \t]*(?:\[[ \t]*\]|null|Null|NULL|~))?"
_KEY_LINE = re.compile(rf"[ \t]*:{_EMPTY}(?P<rest>(?:[ \t]+[&!]\S+)*[ \t]*(?:[ \t]#[^\n]*)?\r?)$")


@dataclass(frozen=True, slots=True)
class UsersConfig:
    """A configuration taken apart: ``before + block + after`` is its text."""

    name: str
    """What messages call it."""
    before: str
    block: str
    after: str
    indent: str

    @property
    def outside(self) -> str:
        """The user's own part."""
        return self.before + self.after

    def data(self) -> Data:
        """What the user's own part holds."""
        return _mapping(self.outside, self.name)

    def jobs(self) -> list[Data]:
        """The user's own jobs."""
        return _jobs(self.data(), self.name)

    def with_block(self, entries: list[Data]) -> str:
        """The whole text with *entries* in the block.

        Raises ConfigError for a job name that the user has as well, RefusedError where the text
        would not read back as it was meant.
        """
        own = {str(job.get("job_name")) for job in self.jobs()}
        for entry in entries:
            if entry["job_name"] in own:
                raise ConfigError(
                    f"{self.name} has a job {entry['job_name']!r} of its own: rename that one, or "
                    "change --job-name or a rule's job"
                )
        text = self.before + self._lines(entries) + self.after
        self._check(text, entries)
        return text

    def _lines(self, entries: list[Data]) -> str:
        """The block's lines, with the file's own line ends."""
        jobs = jobs_to_yaml(entries).split("\n")
        lines = [self.indent + line for line in (BEGIN, *jobs, END)]
        ends = "\r\n" if "\r\n" in self.outside else "\n"
        return "".join(line + ends for line in lines)

    def _check(self, text: str, entries: list[Data]) -> None:
        try:
            documents = from_yaml(text)
        except ValidationError as error:
            raise self._misplaced(str(error)) from error
        whole = documents[0] if len(documents) == 1 else None
        if not isinstance(whole, dict):
            raise self._misplaced("it is no mapping any more")
        outside = self.data()
        found, own = _jobs(whole, self.name), _jobs(outside, self.name)
        names = {entry["job_name"] for entry in entries}
        ours = [job for job in found if job.get("job_name") in names]
        rest = [job for job in found if job.get("job_name") not in names]
        same = {**whole, _KEY: None} == {**outside, _KEY: None}
        if ours != entries or rest != own or not same:
            raise self._misplaced("it does not read back as it was meant")

    def _misplaced(self, what: str) -> RefusedError:
        return RefusedError(
            f"{self.name}: with the block in it, {what}; the lines '# BEGIN runscrape' and '{END}' "
            f"belong under {_KEY}, where an entry would start: move them there, or remove them"
        )


def take_apart(data: bytes, name: str) -> UsersConfig:
    """Find the block, or the place for it.

    Raises RefusedError where nothing can be put into the file without touching the rest of it.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise RefusedError(f"{name}: is not UTF-8 text, so no block can be kept in it") from None
    blocks = list(_BLOCK.finditer(text))
    if len(_MARKER.findall(text)) != 2 * len(blocks) or len(blocks) > 1:
        raise RefusedError(
            f"{name}: the lines '# BEGIN runscrape' and '# END runscrape' have to be there once "
            "each, in this order; remove them and what is between them, and run again"
        )
    if blocks:
        (found,) = blocks
        before, after = text[: found.start()], text[found.end() :]
        indent = _indent_of_list(before + after, found["indent"])
        return UsersConfig(name, before, found[0], after, indent)
    start = len(_BOM) if text.startswith(_BOM) else 0
    before, after, indent = _first(text[start:], name)
    config = UsersConfig(name, text[:start] + before, "", after, indent)
    if _with_list(_mapping(text, name)) != _with_list(config.data()):
        raise _by_hand(
            name,
            "would hold other data with a line more at its end",
            f"add '{_KEY}:' above its last key",
        )
    return config


def _with_list(data: Data) -> Data:
    return {**data, _KEY: data.get(_KEY) or []}


def _indent_of_list(text: str, otherwise: str) -> str:
    """The column of the user's own jobs, which a formatter may have moved."""
    try:
        root = yaml.compose(text, Loader)
    except yaml.YAMLError:
        return otherwise
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if key.value == _KEY and isinstance(value, yaml.SequenceNode) and value.value:
            return _dash(text, key)
    return otherwise


def _dash(text: str, key: yaml.Node) -> str:
    """What stands before the first dash after *key*."""
    found = re.compile(r"^( *)-\s", re.MULTILINE).search(text, key.end_mark.index)
    return found[1] if found else ""


def _first(text: str, name: str) -> tuple[str, str, str]:
    """The text before and after the place for a first block, and the block's indentation."""
    documents, end = _documents(text, name)
    root = documents[0] if documents else None
    if len(documents) > 1:
        raise _documents_by_hand(name, len(documents))
    if root is None or (isinstance(root, yaml.ScalarNode) and not root.value):
        return _new_list(text, end, "")
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise _by_hand(name, "is no mapping with a key on each line", "write it as one")
    column = " " * root.start_mark.column
    for key, value in root.value:
        if key.value == _KEY:
            return _under(text, key, value, name, column)
    if _KEY in _mapping(text, name):
        raise _by_hand(
            name,
            f"takes its {_KEY} from elsewhere by a merge key",
            "write out the list that it takes",
        )
    return _new_list(text, end, column)


def _documents(text: str, name: str) -> tuple[list[yaml.Node], int]:
    """The root of each document, and where the first one's content ends."""
    try:
        nodes = list(yaml.compose_all(text, Loader))
        ends = [e for e in yaml.parse(text, Loader) if isinstance(e, yaml.DocumentEndEvent)]
    except yaml.YAMLError as error:
        raise RefusedError(
            f"{name}: is not YAML, so no block can be kept in it: {' '.join(str(error).split())}"
        ) from error
    end = ends[0].start_mark if ends and ends[0].explicit else None
    return nodes, end.index if end else len(text)


def _new_list(text: str, end: int, column: str) -> tuple[str, str, str]:
    """Where there is no list: a new one behind everything else."""
    ends = "\r\n" if "\r\n" in text else "\n"
    before = text[:end]
    if before and not before.endswith("\n"):
        before += ends
    return f"{before}{column}{_KEY}:{ends}", text[end:], column + _INDENT


def _under(
    text: str, key: yaml.Node, value: yaml.Node, name: str, column: str
) -> tuple[str, str, str]:
    """Directly below the key, before the first job of the user's."""
    start = key.end_mark.index
    line_end = text.find("\n", start)
    line_end = len(text) if line_end < 0 else line_end
    line = _KEY_LINE.match(text[start:line_end])
    if isinstance(value, yaml.SequenceNode) and value.value:
        if value.flow_style:
            raise _by_hand(
                name,
                f"has the jobs of {_KEY} in brackets, and not one to a line",
                "write each on a line of its own, behind a dash",
            )
        if line is None:
            raise _list_by_hand(name, f"has no line that holds '{_KEY}:' alone")
        indent = _dash(text, key)
    else:
        is_empty = isinstance(value, yaml.SequenceNode) or value.tag == NULL
        is_written = value.end_mark.index > value.start_mark.index  # as [], null or ~
        if line is None or not is_empty or is_written != (line["empty"] is not None):
            raise _list_by_hand(name, f"has no list of jobs under {_KEY}, one to a line")
        indent = column + _INDENT
    before = f"{text[:start]}:{line['rest']}" if line["empty"] else text[:line_end]
    newline = text[line_end : line_end + 1]
    if not newline:
        newline = "\r\n" if "\r\n" in text else "\n"
    return before + newline, text[line_end + 1 :], indent


def _by_hand(name: str, why: str, mend: str) -> RefusedError:
    return RefusedError(
        f"{name}: {why}, so a block cannot be put in without touching the rest: {mend}, add these "
        f"lines where an entry of {_KEY} would start: '{BEGIN}', then '{END}', and run again"
    )


def _list_by_hand(name: str, why: str) -> RefusedError:
    return _by_hand(name, why, f"write '{_KEY}:' on a line of its own, and its jobs below")


def _documents_by_hand(name: str, count: int) -> RefusedError:
    why = f"has {count} YAML documents, of which Prometheus reads the first alone"
    return _by_hand(name, why, "take out the others, with the '---' before them")


def _mapping(text: str, name: str) -> Data:
    try:
        documents = from_yaml(text)
    except ValidationError as error:
        raise RefusedError(f"{name}: {error}; mend that first") from error
    if len(documents) > 1:
        raise _documents_by_hand(name, len(documents))
    found = documents[0] if documents else None
    if found is not None and not isinstance(found, dict):
        raise _by_hand(name, "is no mapping with a key on each line", "write it as one")
    return found or {}


def _jobs(data: Data, name: str) -> list[Data]:
    jobs = data.get(_KEY) or []
    if not isinstance(jobs, list) or not all(
        isinstance(job, dict) and "job_name" in job for job in jobs
    ):
        raise RefusedError(
            f"{name}: {_KEY} is no list of jobs, each with its job_name; mend that first"
        )
    return jobs
