"""Putting the result in its place: compared, validated, replaced whole, reloaded, or put back.

The inventory goes first, then the output: if we are killed in between, the proxy may already mint
for services that are not scraped yet, which costs nothing, while the other way round Prometheus
would ask for tokens that the proxy refuses. The next run sees that the output differs, and heals.

All that is remembered of both files (copies, the hash of what Prometheus confirmed, temporary
files) lies beside the inventory.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runscrape_generator.errors import ReloadError, RunscrapeError, WriteError
from runscrape_generator.publish import files, journal
from runscrape_generator.publish.documents import Document
from runscrape_generator.publish.journal import Journal
from runscrape_generator.publish.reload import Outcome, Reloading, ReloadResult

log = logging.getLogger(__name__)

_TRIES = 5
"""How often a file may change between our reading and our replacing it, until we give up."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a call to :func:`publish` did."""

    written: tuple[Path, ...] = ()
    """The files that changed; empty where all were as they should be."""
    reload: Outcome | None = None
    """None where no reload was asked for or needed."""


class _EditedError(Exception):
    """Somebody has changed the file since it was read."""


@dataclass(slots=True)
class _Change:
    """A file that is not as it should be."""

    document: Document
    journal: Journal
    old: bytes | None
    new: bytes
    staged: Path | None = None
    kept: Path | None = None
    replaced: bool = False
    """Whether :attr:`kept` was made, and the file may have been replaced."""


@dataclass(slots=True)
class _Attempt:
    """What one attempt to publish finds and changes."""

    documents: Sequence[Document]
    folder: Path
    changes: list[_Change] = field(default_factory=list)
    saved: list[Path] = field(default_factory=list)
    """The new names of files that were not ours."""

    def journal(self, document: Document) -> Journal:
        return Journal(document.path, self.folder)

    def compare(self) -> None:
        """Find what is to change; raises what the documents refuse."""
        self.changes = [change for each in self.documents if (change := self._compare(each))]

    def _compare(self, document: Document) -> _Change | None:
        if document.is_published():
            return None
        old = files.read(document.path)
        new = document.content(old)
        return _Change(document, self.journal(document), old, new) if new != old else None

    def write(self, check: Callable[[Path], None] | None, output: Document | None) -> None:
        """Stage all, check, then rename one after the other; on any failure nothing has changed."""
        try:
            for change in self.changes:
                change.staged = files.stage(
                    change.document.path, change.new, folder=self.folder, mode=change.document.mode
                )
                if check is not None and change.document is output:
                    check(change.staged)
            for change in self.changes:
                self._replace(change)
        except BaseException:
            self._undo()
            raise
        for change in self.changes:
            files.sweep(change.document.path, self.folder)

    def _replace(self, change: _Change) -> None:
        path = change.document.path
        if change.old is not None and change.document.is_foreign(change.old):
            self.saved += filter(None, [change.journal.save()])
        change.kept = change.journal.keep()
        change.replaced = True
        if files.read(path) != change.old:
            raise _EditedError(path)
        assert change.staged is not None  # noqa: S101 (for the type checker)
        files.commit(change.staged, path)
        files.sync_folder(path)

    def _undo(self) -> None:
        for change in reversed(self.changes):
            if change.replaced:
                with contextlib.suppress(WriteError):  # the first failure is the one to tell
                    change.journal.undo(change.kept)
        for leftover in filter(None, [*(change.staged for change in self.changes), *self.saved]):
            files.discard(leftover)

    def put_back(self, answer: ReloadResult, reloading: Reloading) -> ReloadError:
        """Put the files back as they were, reload again, and say what came of it."""
        changed = {change.document.path: change for change in self.changes}
        done = [
            _put_back(document, self.journal(document), changed.get(document.path))
            for document in reversed(self.documents)
        ]
        for saved in self.saved:
            files.discard(saved)
        if not any(done):
            return ReloadError(
                f"Prometheus refused the reload: {answer.reason}. "
                "Nothing was changed by this run, so there is nothing to put back"
            )
        again = reloading.call()
        first = bool(self.changes) and all(change.old is None for change in self.changes)
        what, it = (
            ("What this run made was removed", "")
            if first
            else ("The previous file was put back", " it")
        )
        after = (
            f"and Prometheus reloaded{it}"
            if again.outcome is Outcome.DONE
            else f"but reloading{it} did not work either: {again.reason}"
        )
        return ReloadError(f"Prometheus refused the reload: {answer.reason}. {what}, {after}")

    @property
    def written(self) -> tuple[Path, ...]:
        return tuple(change.document.path for change in self.changes)


def publish(
    inventory: Document | None,
    output: Document | None,
    *,
    check: Callable[[Path], None] | None = None,
    reloading: Reloading | None = None,
) -> Published:
    """Publish both files, or leave both as they are; call it under the lock of both.

    ``check`` is called with a temporary file, before that becomes the output. ``reloading`` is
    about the output alone. A file that somebody changes meanwhile is read again. Raises what
    ``check`` and the documents raise, WriteError, ReloadError.
    """
    documents = [document for document in (inventory, output) if document is not None]
    if not documents:
        return Published()
    folder = documents[0].path.parent
    for document in documents:
        files.sweep(document.path, folder)
    for _ in range(_TRIES):
        attempt = _Attempt(documents, folder)
        attempt.compare()
        try:
            attempt.write(check, output)
        except _EditedError as error:
            log.info(f"{error} was changed by somebody else meanwhile: once more")
        else:
            return _reload(attempt, output, reloading)
    raise WriteError(
        f"{documents[-1].path} was changed by somebody else each time that it was to be replaced; "
        "nothing was changed, try again"
    )


def _reload(attempt: _Attempt, output: Document | None, reloading: Reloading | None) -> Published:
    """Have Prometheus reload, where it is not known to run just this output."""
    if output is None or reloading is None:
        return _done(attempt, None)
    known = attempt.journal(output)
    part = output.ours(files.read(output.path) or b"")
    mark = journal.fingerprint(part, *reloading.about)
    if output.path not in attempt.written and known.confirmed(mark):
        return _done(attempt, None)
    answer = reloading.call()
    if answer.outcome is Outcome.REFUSED:
        raise attempt.put_back(answer, reloading)
    published = _done(attempt, answer.outcome)
    if answer.outcome is Outcome.DONE:
        _confirm(known, mark)
    else:
        log.warning(
            f"{answer.reason}; {output.path} is in place, Prometheus reads it when it starts, "
            "and the next run asks again"
        )
    return published


def _done(attempt: _Attempt, reload: Outcome | None) -> Published:
    """Let go of what was there before, unless Prometheus may still refuse what replaced it."""
    if reload is not Outcome.UNKNOWN:
        for document in attempt.documents:
            attempt.journal(document).forget()
    for saved in attempt.saved:
        log.warning(f"what was there before was not written by runscrape: kept as {saved}")
    return Published(attempt.written, reload)


def _confirm(known: Journal, mark: str) -> None:
    """Note the reload. Failing costs one more reload in the next run, so it is only a warning."""
    try:
        known.confirm(mark)
    except RunscrapeError as error:
        log.warning(f"the reload was done, but could not be noted: {error}")


def _put_back(document: Document, known: Journal, change: _Change | None) -> bool:
    """Put back what was kept; a file that did not exist before this run goes.

    False where nothing was kept and nothing was changed. Raises WriteError.
    """
    previous = known.previous
    if not previous.exists():
        if change is None or change.old is not None:
            return False
        known.undo(None)
        files.sync_folder(document.path)
        return True
    old, current = previous.read_bytes(), files.read(document.path)
    wanted = old if current is None else document.put_back(old, current)
    if wanted == old:
        known.undo(previous)
    else:
        files.commit(files.stage(document.path, wanted, folder=known.folder), document.path)
        known.forget()
    files.sync_folder(document.path)
    return True
