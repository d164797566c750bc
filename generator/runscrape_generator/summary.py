"""What one run came to: the numbers, the exit code, and the one line that cron mails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runscrape_generator.model import Decision, Scope, ScopeFailure
from runscrape_generator.publish.reload import Outcome
from runscrape_generator.text import plural

PARTLY_LISTED = 3
"""Exit code: published, with some scopes from the inventory, or missing."""

_NAMED_REASONS = 5
_NAMED_AUDIENCES = 3
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A run that did not fail."""

    services: int
    jobs: int
    """Or targets, as ``noun`` says."""
    added: int
    """Jobs or targets that the inventory did not have."""
    removed: int
    """Jobs or targets that only the inventory has."""
    skipped: int
    noun: str = "job"
    """What is counted: ``job``, or ``target`` where a list of those was made."""
    stale: tuple[Scope, ...] = ()
    """The scopes that the inventory stood in for."""
    missing: tuple[ScopeFailure, ...] = ()
    """What could not be listed, and the inventory does not know."""
    output: Path | None = None
    """None: standard output."""
    written: bool = False
    """Whether the output changed (with ``dry_run``: would change)."""
    inventory_written: bool = False
    reload: Outcome | None = None
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """0, or 3 where not all could be listed."""
        return PARTLY_LISTED if self.stale or self.missing else 0

    @property
    def reloaded(self) -> bool:
        """Whether Prometheus runs the output now because of this run."""
        return self.reload is Outcome.DONE

    @property
    def eventful(self) -> bool:
        """Whether there is anything to tell: a change, a reload, a scope that failed."""
        done = self.written or self.inventory_written or self.reload
        return bool(done or self.stale or self.missing)

    def line(self) -> str:
        """``128 services, 120 jobs (+2), 8 skipped, written to prometheus.yml, …``."""
        return ", ".join([*self._counts(), *self._deeds()])

    def _counts(self) -> Iterable[str]:
        yield plural(self.services, "service")
        added = f"+{self.added}" if self.added else ""
        removed = f"{_MINUS}{self.removed}" if self.removed else ""
        changed = " ".join(filter(None, (added, removed)))
        yield plural(self.jobs, self.noun) + (f" ({changed})" if changed else "")
        yield f"{self.skipped} skipped"
        if self.stale:
            yield f"{plural(len(self.stale), 'scope')} from the inventory"
        if self.missing:
            yield f"{len(self.missing)} not listed"

    def _deeds(self) -> Iterable[str]:
        if self.dry_run:
            changes = "would change" if self.written else "would not change"
            yield f"{self.output or 'standard output'} {changes}"
        elif self.output is None:
            yield "written to standard output"
        elif self.written:
            yield f"written to {self.output}"
        else:
            yield "nothing changed" if not self.inventory_written else f"{self.output} unchanged"
        if self.inventory_written and not self.written:
            yield "inventory would change" if self.dry_run else "inventory updated"
        if self.reload is not None:
            known = "" if self.written else " (it was not known to have read this)"
            yield f"Prometheus reloaded{known}" if self.reloaded else "Prometheus not reached"


def why_none(decisions: Iterable[Decision]) -> str:
    """Say why there is not one job: the reasons counted, the most frequent first."""
    reasons = Counter(decision.reason for decision in decisions if not decision.kept)
    if not reasons:
        return "0 jobs: no services were found in the projects and regions listed"
    some = [f"{count} × {reason}" for reason, count in reasons.most_common(_NAMED_REASONS)]  # noqa: RUF001 - a times sign
    more = "; …" if len(reasons) > _NAMED_REASONS else ""
    return f"0 jobs: {reasons.total()} skipped: {'; '.join(some)}{more} (runscrape explain has all)"


def no_one_token(decisions: Iterable[Decision]) -> str:
    """Say that no one oauth2 job can scrape all targets of a file; empty where one can.

    Prometheus has one token for each job. Sent to a target that it is not made for, it is refused,
    or used by that target on another; so public targets count as well.
    """
    kept = (endpoint for decision in decisions for endpoint in decision.endpoints)
    audiences = Counter(endpoint.audience or "public" for endpoint in kept)
    if len(audiences) <= 1:
        return ""
    some = [f"{name} ({count})" for name, count in audiences.most_common(_NAMED_AUDIENCES)]
    more = ", …" if len(audiences) > _NAMED_AUDIENCES else ""
    return (
        f"no one token fits all targets: {len(audiences)} audiences: {', '.join(some)}{more}; an "
        "oauth2 job has to keep its own by __meta_cloudrun_audience "
        "(fewer audiences: --audience custom; no oauth2: --mode gateway)"
    )
