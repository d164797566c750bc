"""What is to be published, as a function of what is there: a whole file, or a block in one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from runscrape_generator.errors import RefusedError
from runscrape_generator.publish import file_kinds, files
from runscrape_generator.publish.file_kinds import FileKind
from runscrape_generator.publish.places import refusal
from runscrape_generator.render.into import take_apart
from runscrape_generator.render.scrape_config import Data


@dataclass(frozen=True, slots=True)
class Document:
    """A file to publish (symbolic links resolved)."""

    path: Path
    mode: int = field(default=files.NEW_FILE, kw_only=True)
    """Who may read it, if it is new."""

    def is_published(self) -> bool:
        """Whether the file is known to be as it should, without its content; WriteError."""
        return False

    def content(self, old: bytes | None) -> bytes:
        """What the file is to hold, where it holds *old* (None: there is none); RefusedError."""
        raise NotImplementedError

    def is_foreign(self, old: bytes) -> bool:  # noqa: ARG002 (of whole files)
        """Whether what is there would be lost, and was not written by runscrape."""
        return False

    def ours(self, content: bytes) -> bytes:
        """The part of the content that a reload is about."""
        return content

    def put_back(self, previous: bytes, current: bytes) -> bytes:  # noqa: ARG002 (of blocks)
        """What the file is to hold when *previous* is to be in force again."""
        return previous


@dataclass(frozen=True, slots=True)
class WholeFile(Document):
    """A file that runscrape writes from its first byte to its last."""

    data: bytes
    kind: FileKind
    option: str = "--output"
    force: bool = False
    """Replace a file that is not ours, too."""

    def is_published(self) -> bool:
        """Whether the data is there."""
        return files.holds(self.path, self.data)

    def content(self, old: bytes | None) -> bytes:
        """The data, unless a file of somebody else's would be lost."""
        if old is not None and not self.force and self.is_foreign(old):
            raise RefusedError(refusal(self.path, self.kind, self.option))
        return self.data

    def is_foreign(self, old: bytes) -> bool:
        """As the content tells; what is as it should be is not lost."""
        return old != self.data and not file_kinds.is_ours(old, self.kind)


@dataclass(frozen=True, slots=True)
class Block(Document):
    """Jobs between two comment lines of a configuration that somebody keeps by hand.

    Nothing of what is there is lost, and what is around the block has to be read to compare.
    """

    entries: list[Data]

    def content(self, old: bytes | None) -> bytes:
        """The same file with these jobs in its block; RefusedError, ConfigError.

        A file that is gone is not made anew: somebody may be about to save it.
        """
        if old is None:
            raise RefusedError(f"--into: {self.path} is gone; nothing was changed, try again")
        return take_apart(old, str(self.path)).with_block(self.entries).encode()

    def ours(self, content: bytes) -> bytes:
        """The block: what the user edits, the user has Prometheus reload."""
        return take_apart(content, str(self.path)).block.encode()

    def put_back(self, previous: bytes, current: bytes) -> bytes:
        """The block as it was, in the file as it is: it may have been edited meanwhile."""
        now = take_apart(current, str(self.path))
        block = take_apart(previous, str(self.path)).block
        return (now.before + block + now.after).encode()
