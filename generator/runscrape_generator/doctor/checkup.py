"""Examines targets side by side: a token, a scrape, and whatever else tells causes apart."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from urllib.parse import urlsplit

from runscrape_generator.cloudrun.calls import CallPool
from runscrape_generator.doctor import samples, scrape, token
from runscrape_generator.doctor.answer import MOST_REDIRECTS, MOVED, sent_on
from runscrape_generator.doctor.evidence import (
    Evidence,
    Exchange,
    Probe,
    Samples,
    Stage,
    TokenAnswer,
)
from runscrape_generator.doctor.scrape import Version
from runscrape_generator.doctor.targets import Secret, Target, TokenRequest
from runscrape_generator.text import one_line, printable

TIMEOUTS = 2.0
"""How many scrape timeouts doctor waits for an answer: how long a cold start takes is worth it."""
TOKEN_SECONDS = 10.0
"""For one token request; Prometheus itself would wait for ever."""
PROBE_SECONDS = 5.0
_REFUSED = {401, 403}
_LOST = {*MOVED, 404, 405, 410}
"""Statuses by which an app may say that its metrics are elsewhere."""

PATHS = (
    "/metrics",
    "/",
    "/actuator/prometheus",
    "/q/metrics",
    "/prometheus",
    "/stats/prometheus",
    "/api/metrics",
    "/_metrics",
    "/metrics/prometheus",
)
"""Where apps usually serve metrics: Prometheus' clients, Spring Boot, Quarkus, Envoy."""

Mint = Callable[[str, float], TokenAnswer]
"""``mint(audience, seconds)``: gets a token without the proxy."""


@dataclass(kw_only=True)
class Checkup:
    """Examines targets; safe to use from many threads."""

    version: Version
    """Of the Prometheus whose scrapes are made."""
    mint: Mint | None = None
    """In place of the proxy."""
    probe_paths: bool = False
    _tokens: dict[TokenRequest, TokenAnswer] = field(default_factory=dict, init=False)
    _locks: dict[TokenRequest, threading.Lock] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def examine(self, target: Target) -> Evidence:
        """Look at one target; takes a few scrape timeouts at most."""
        evidence = Evidence(target=target, prometheus_version=self.version)
        if target.problem is not None:
            return evidence
        if target.token is not None:
            evidence = dataclasses.replace(evidence, token=self._token(target.token))
            if evidence.token is None or evidence.token.token is None:
                return evidence
        try:
            return self._scraped(evidence)
        except OSError as error:
            problem = TokenAnswer(description=f"{error.filename}: {error.strerror}")
            return dataclasses.replace(evidence, token=problem)

    def _token(self, wanted: TokenRequest) -> TokenAnswer:
        """Get a token, once for all targets that want the same, as a job of Prometheus' does."""
        with self._lock:
            lock = self._locks.setdefault(wanted, threading.Lock())
        with lock:
            if wanted not in self._tokens:
                self._tokens[wanted] = self._asked(wanted)
            return self._tokens[wanted]

    def _asked(self, wanted: TokenRequest) -> TokenAnswer:
        if self.mint is not None:
            return self.mint(wanted.audience, TOKEN_SECONDS)
        try:
            secret = wanted.secret.read()
        except OSError as error:
            return TokenAnswer(description=f"{error.filename}: {error.strerror}")
        return token.ask(wanted, secret, TOKEN_SECONDS)

    def _scraped(self, evidence: Evidence) -> Evidence:
        target = evidence.target
        bearer = evidence.token.token if evidence.token else None
        first = scrape.scrape(target, bearer, self.version, seconds=target.timeout * TIMEOUTS)
        if target.follow_redirects:
            first, target = self._followed(first, target, bearer)
        if target.gateway and first.answer is not None and first.answer.status in _REFUSED:
            evidence = dataclasses.replace(evidence, token=self._of_gateway(target))
        again = self._again(target, bearer, first)
        found = _read(first, target, self.version)
        lost = _is_lost(first, found)
        return dataclasses.replace(
            evidence,
            target=target,
            scrape=first,
            again=again,
            samples=found,
            samples_again=_read(again, target, self.version) if again else None,
            probes=tuple(self._probes(target, bearer)) if self.probe_paths and lost else (),
        )

    def _followed(
        self, made: Exchange, target: Target, bearer: Secret | None
    ) -> tuple[Exchange, Target]:
        """Follow redirects as the job says, to the same host only: the token goes to no other."""
        for _ in range(MOST_REDIRECTS):
            url = sent_on(made.answer, target.url)
            if urlsplit(url)[:2] != urlsplit(target.url)[:2]:
                break
            target = dataclasses.replace(target, url=url, redirected_from=target.first_url)
            made = scrape.scrape(target, bearer, self.version, seconds=target.timeout * TIMEOUTS)
        return made, target

    def _of_gateway(self, target: Target) -> TokenAnswer | None:
        """Ask for the token that the gateway uses, for whose it is; it is sent nowhere."""
        audience = target.meta.get("__meta_cloudrun_audience", "")
        login = target.credentials
        if not audience or login is None or login.username is None:
            return None
        wanted = TokenRequest(
            url=f"{target.transport.proxy_url.rstrip('/')}/token",
            client_id=login.username.read(),
            secret=login.secret,
            params=(("audience", audience),),
        )
        found = self._token(wanted)
        return found if found.claims is not None else None

    def _again(self, target: Target, bearer: Secret | None, first: Exchange) -> Exchange | None:
        """Scrape again what was well (do counters jump?) or slow (was it a cold start?)."""
        status = first.answer.status if first.answer else 0
        gave_up = target.gateway and status == HTTPStatus.GATEWAY_TIMEOUT
        slow = gave_up or first.seconds > target.timeout
        asked = any(step.stage is Stage.ANSWER for step in first.steps)
        if not asked or (not slow and status != HTTPStatus.OK):
            return None
        patience = target.timeout * _again_share(target, slow=slow)
        return scrape.scrape(target, bearer, self.version, seconds=patience, timeout=patience)

    def _probes(self, target: Target, bearer: Secret | None) -> Iterator[Probe]:
        """Ask the usual paths for metrics."""
        for path in PATHS:
            if path == target.path:
                continue
            url = urlsplit(target.url)._replace(path=path, query="").geturl()
            made = scrape.scrape(target, bearer, self.version, seconds=PROBE_SECONDS, url=url)
            if made.answer is not None:
                found = _read(made, target, self.version)
                metrics = bool(found and found.count and not found.malformed)
                yield Probe(path=path, status=made.answer.status, metrics=metrics)


def _again_share(target: Target, *, slow: bool) -> float:
    """How many scrape timeouts the second scrape may take.

    After a slow one, half: a warm instance answers in that. The gateway is asked anew with more
    time, because it gave up by itself before the scrape timeout.
    """
    if slow and not target.gateway:
        return 0.5
    return TIMEOUTS if slow else 1.0


def _is_lost(made: Exchange, found: Samples | None) -> bool:
    """Whether the metrics may be under another path."""
    if found is not None:
        return bool(found.malformed) or not found.count
    return made.answer is not None and made.answer.status in _LOST


def _read(made: Exchange, target: Target, version: Version) -> Samples | None:
    answer = made.answer
    if answer is None or answer.status != HTTPStatus.OK or made.failure is not None:
        return None
    return samples.read(answer, target, made.began + made.seconds, version)


def examine_all(
    checkup: Checkup, targets: Iterable[Target], threads: int, advance: Callable[[int], None]
) -> tuple[Evidence, ...]:
    """Examine targets on bounded threads, so that slow ones hold up no others; in their order.

    One that takes longer than it possibly should is given up on, and has a timeout as its scrape.
    """
    todo = tuple(targets)
    longest = max((target.timeout for target in todo), default=0.0)
    seconds = TOKEN_SECONDS * 2 + longest * TIMEOUTS * 2 + PROBE_SECONDS * len(PATHS)
    calls: CallPool[int, Evidence] = CallPool(threads, seconds)
    for number, target in enumerate(todo):
        calls.submit(number, partial(_examined, checkup, target))
    found: dict[int, Evidence] = {}
    for number, outcome in calls.outcomes():
        if isinstance(outcome, Evidence):
            found[number] = outcome
        else:
            found[number] = _given_up(todo[number], outcome)
        advance(1)
    return tuple(found[number] for number in range(len(todo)))


def _examined(checkup: Checkup, target: Target, _until: float) -> Evidence:
    return checkup.examine(target)


def _given_up(target: Target, error: Exception) -> Evidence:
    """Say that a target could not be examined; a bug of doctor's, unless it is the time."""
    said = printable(f"{type(error).__name__}: {one_line(error)}")
    made = Exchange(target.url, began=time.time())
    return Evidence(target=target, scrape=made, trouble=said)
