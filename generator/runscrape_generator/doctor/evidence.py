"""What doctor has seen of one target: values only, from which a cause is decided.

An :class:`Exchange` is one HTTP request, step by step. :class:`Evidence` is everything that is
known of a target: the token request, the scrape, what was sampled, and the Admin API's facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import StrEnum
from types import MappingProxyType

from runscrape_generator.doctor.targets import Secret, Target
from runscrape_generator.model import Service

_EMPTY: Mapping[str, str] = MappingProxyType({})


class Stage(StrEnum):
    """The steps of one HTTP request, in their order."""

    DNS = "DNS"
    CONNECTION = "connection"
    TUNNEL = "tunnel"
    """The CONNECT to an HTTP proxy."""
    TLS = "TLS"
    ANSWER = "answer"
    """From the request sent to the end of the headers."""
    BODY = "body"


class Failed(StrEnum):
    """How a step failed, as far as a cause depends on it."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    NO_ADDRESS = "no address"
    NO_CONNECTION = "no connection"
    CLOSED = "closed"
    UNTRUSTED = "untrusted certificate"
    WRONG_NAME = "certificate for another name"
    OUT_OF_DATE = "certificate that is not valid now"
    TLS = "TLS"
    REFUSED_BY_PROXY = "refused by the HTTP proxy"
    NOT_HTTP = "not HTTP"
    NO_URL = "no URL for HTTP"


@dataclass(slots=True)
class Step:
    """One step that was taken; filled in while it is."""

    stage: Stage
    seconds: float = 0.0
    text: str = ""
    """What it showed, or why it failed."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Where and why a request got no whole answer."""

    stage: Stage
    how: Failed
    reason: str
    """In the words of the system, on one line."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered; ``body`` is without its Content-Encoding."""

    status: int
    headers: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    """Names in lower case; of repeated ones, all values, with commas."""
    body: bytes = b""
    undecodable: str = ""
    """Why its Content-Encoding could not be undone, so that ``body`` still has it; else empty."""

    @property
    def text(self) -> str:
        """The body as text, whatever it is."""
        return self.body.decode("utf-8", "replace")

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters; empty where none was sent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came of it: an answer, or a failure (of the body: both)."""

    url: str
    steps: tuple[Step, ...] = ()
    answer: Answer | None = None
    failure: Failure | None = None
    seconds: float = 0.0
    """From the beginning to the end, or to the failure."""
    began: float = 0.0
    """Seconds since 1970, by this machine's clock."""

    @property
    def clock_offset(self) -> float | None:
        """Google's clock less ours, in seconds; None where no answer of Google's has its Date."""
        headers = self.answer.headers if self.answer else {}
        if headers.get("server", "").lower() != "google frontend":
            return None
        try:
            date = parsedate_to_datetime(headers.get("date", ""))
            return date.timestamp() - (self.began + self.seconds / 2)
        except (ValueError, OverflowError):
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What an ID token says of itself; nothing in here lets anybody use it."""

    issuer: str = ""
    audience: str = ""
    email: str = ""
    """Whose token it is; empty where it says no email."""
    subject: str = ""
    issued_at: float = 0.0
    expires_at: float = 0.0
    """Both in seconds since 1970; 0 where the token does not say."""

    @property
    def identity(self) -> str:
        """The email, else the subject."""
        return self.email or self.subject


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnswer:
    """How the token request went; ``claims`` are there where it gave an ID token."""

    exchanges: tuple[Exchange, ...] = ()
    """The requests made: with the secret in Basic, then (if that failed) in the body."""
    token: Secret | None = None
    claims: Claims | None = None
    """None where there is no token, or one that is no JWT."""
    expires_in: float | None = None
    """Seconds; None where the answer does not say."""
    error: str = ""
    """RFC 6749's error code, or one of :mod:`runscrape_generator.doctor.mint`; else empty."""
    description: str = ""
    """What the proxy, or Google, says about it: one line."""
    unusable: str = ""
    """Why Prometheus could not use the answer although it is a 200; else empty."""
    minted_here: bool = False
    """Whether doctor minted it by itself (``--mint``)."""
    known: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    """Who asked for whom, where doctor minted: ``caller``, ``account``, ``account_project``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the Admin API says now of the service behind a target."""

    service: Service | None = None
    listed: bool = False
    """Whether its region was listed, so that no ``service`` means that it is gone."""
    problem: str = ""
    """Why the Admin API could not be asked; empty where it was."""
    perimeter: bool = False
    """Whether it refused for VPC Service Controls."""
    invokers: frozenset[str] | None = None
    """Who has roles/run.invoker on the service itself; None where nobody could read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What a scrape's body holds, read as Prometheus would."""

    count: int = 0
    """As ``sample_limit`` counts: after ``metric_relabel_configs``, and how often is by version."""
    malformed: str = ""
    """The first line that cannot be read, and why."""
    duplicate: str = ""
    """The first sample that is there twice."""
    skewed: str = ""
    """The first sample whose timestamp Prometheus drops."""
    too_long: str = ""
    """The first label that is over a limit of the job."""
    counters: Mapping[str, float] = field(default_factory=dict)
    """Samples that may only grow, by series."""
    started: float | None = None
    """``process_start_time_seconds``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What another path of the service answered."""

    path: str
    status: int
    metrics: bool
    """Whether that was metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a running Prometheus says of the target."""

    loaded: bool
    """Whether it has the target at all."""
    health: str = ""
    """``up``, ``down`` or ``unknown`` (not scraped yet)."""
    last_error: str = ""
    age: float | None = None
    """Seconds since its last scrape."""
    other_job: str = ""
    """What its job says differently; empty where it is the same, or unknown."""
    other_file: str = ""
    """The configuration file that it reads, where that is another one."""
    refused: bool = False
    """Whether it goes on with an older configuration because it refused the newer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that is known of one target."""

    target: Target
    token: TokenAnswer | None = None
    """None where the target needs none."""
    scrape: Exchange | None = None
    """None where there was no token to scrape with."""
    again: Exchange | None = None
    """A second scrape, right after the first."""
    samples: Samples | None = None
    samples_again: Samples | None = None
    facts: Facts = field(default_factory=Facts)
    probes: tuple[Probe, ...] = ()
    seen: Seen | None = None
    prometheus_version: tuple[int, int] = (2, 42)
    """Of the Prometheus that reads the answer."""
    audiences: frozenset[str] = frozenset()
    """What the inventory would have the proxy mint for."""
    trouble: str = ""
    """Why the target could not be examined; empty where it was."""

    @property
    def service(self) -> Service | None:
        """The service as it is now, else as the inventory has it."""
        return self.facts.service or self.target.service

    @property
    def status(self) -> int:
        """The scrape's status; 0 where nothing was answered."""
        answer = self.scrape.answer if self.scrape else None
        return answer.status if answer else 0

    @property
    def clock_offset(self) -> float | None:
        """Google's clock less ours in seconds, by the scrape; None where that does not tell."""
        return self.scrape.clock_offset if self.scrape else None

    @property
    def google_now(self) -> float:
        """Google's time when it was asked, as far as its answer tells; else our own."""
        made = self.scrape
        if made is None:
            first = self.token.exchanges[:1] if self.token else ()
            return first[0].began if first else 0.0
        return made.began + made.seconds / 2 + (made.clock_offset or 0.0)
