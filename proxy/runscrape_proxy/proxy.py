"""One proxy, put together: credentials, tokens, policy, app, and the threads that watch files."""

from __future__ import annotations

import logging
import queue
import re
import threading
from typing import TYPE_CHECKING

from runscrape_proxy.access.audiences import Audiences
from runscrape_proxy.access.callers import Clients, Secrets, watch_secrets
from runscrape_proxy.access.origin import Origins, host_of, is_address
from runscrape_proxy.access.policy import Policy
from runscrape_proxy.clock import GoogleClock
from runscrape_proxy.errors import StartError
from runscrape_proxy.files import warn_of_readers
from runscrape_proxy.gateway.app import Gateway, Middleware
from runscrape_proxy.gateway.app_credentials import AppCredentials
from runscrape_proxy.gateway.client import ServiceClient
from runscrape_proxy.gateway.metrics import GatewayMetrics
from runscrape_proxy.gateway.slots import Slots
from runscrape_proxy.google.credentials import Credentials
from runscrape_proxy.inventory import Inventories
from runscrape_proxy.tokens.keeper import MintResult, Tokens
from runscrape_proxy.troubles import Troubles
from runscrape_proxy.web.app import create_app
from runscrape_proxy.web.metrics import Metrics

if TYPE_CHECKING:
    from runscrape_proxy.files import WatchedFile
    from runscrape_proxy.model import Minter
    from runscrape_proxy.settings import Settings

log = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
"""How often files are looked at."""


class TokenProxy:
    """Built before the fork of the server's worker, started after it.

    Raises StartError (in one line) for an unreadable secret file. A missing or bad inventory does
    not keep it from starting: the container that writes it may come up later, and until then
    nothing is minted for it and /-/ready is red.
    """

    def __init__(self, settings: Settings, minter: Minter) -> None:
        self._prewarm = settings.prewarm
        self._credentials = minter if isinstance(minter, Credentials) else None
        self.clock = self._credentials.clock if self._credentials else GoogleClock()
        self._mint_troubles = Troubles()
        self._secrets = _secrets(settings)
        self._inventory = Inventories(settings.inventory) if settings.inventory else None
        self._applied: object = None
        """The inventory that the tokens were last brought in line with."""
        self._audiences = Audiences(settings.allow_audience, self._inventory)
        self.tokens = Tokens(
            minter,
            mint_timeout=settings.mint_timeout,
            mint_concurrency=settings.mint_concurrency,
            max_waiting=settings.max_waiting,
            is_listed=lambda audience: audience in self._audiences.listed,
            on_mint=self._minted,
        )
        self.metrics = Metrics(self.tokens, self._inventory, self.clock)
        self.policy = Policy(
            origin=Origins(names=_names(settings), open_allowed=self._secrets is not None),
            clients=Clients(settings.client_id, self._secrets),
            audiences=self._audiences,
        )
        self.app = create_app(
            tokens=self.tokens,
            policy=self.policy,
            metrics=self.metrics,
            minter=minter,
            clock=self.clock,
            prewarming=self._is_prewarming,
        )
        self._scraper: ServiceClient | None = None
        """What the gateway asks services with."""
        self.app.wsgi_app = Middleware(  # type: ignore[method-assign]  # Flask's own way to wrap
            self.app.wsgi_app, policy=self.policy, gateway=self._gateway(settings)
        )
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        if self._inventory is not None:
            self._inventory.refresh()

    def start(self) -> None:
        """Start the threads, in the process that serves."""
        self.tokens.start()
        self._apply_inventory()
        thread = threading.Thread(target=self._watch, name="files", daemon=True)
        thread.start()
        self._thread = thread  # only now: close() joins it, which fails for one that never began
        if self._credentials is not None and self._credentials.path is None:
            find_out = self._credentials.find_out
            threading.Thread(
                target=find_out, args=(self._closed,), name="metadata", daemon=True
            ).start()

    def reload(self) -> None:
        """Look at every file now. Safe in a signal handler."""
        self._wake.put(None)

    def close(self) -> None:
        """End the threads."""
        self._closed.set()
        self._wake.put(None)
        if self._thread is not None:
            self._thread.join(CHECK_SECONDS)
        self.tokens.close()

    def _watch(self) -> None:
        while True:
            try:
                self._wake.get(timeout=CHECK_SECONDS)
                asked = True
            except queue.Empty:
                asked = False
            if self._closed.is_set():
                return
            if asked:
                log.info("files are read again")
            try:
                self._look(asked=asked)
            except Exception:
                # Without this thread a rotated secret would never be seen.
                log.exception("watching the files failed in a way that it must not")

    def _look(self, *, asked: bool) -> None:
        """Look at the files and at the clock; ``asked`` by SIGHUP."""
        if self._secrets is not None:
            self._secrets.refresh()
        self._apply_credentials(again=asked)
        if asked:
            self._reload_scraper()
        self._apply_inventory()
        self.clock.check()

    def _apply_credentials(self, *, again: bool) -> None:
        if self._credentials is None:
            return
        before = self._credentials.identity
        if self._credentials.refresh(again=again):
            changed = self._credentials.identity != before
            self.tokens.credentials_replaced(other_identity=changed)

    def _reload_scraper(self) -> None:
        if self._scraper is None:
            return
        try:
            self._scraper.reload()
        except (StartError, OSError) as error:
            log.error("%s; what was read before stays in force", error)  # noqa: TRY400  one line

    def _apply_inventory(self) -> None:
        if self._inventory is None:
            return
        self._inventory.refresh()
        # A request for an unknown audience may have read it before us.
        if (held := self._inventory.value) is self._applied:
            return
        log.info("inventory: %d audiences", len(self._audiences.listed))
        self.tokens.retain(self._audiences.allows)
        if self._prewarm:
            self.tokens.prewarm(sorted(self._audiences.listed))
        self._applied = held

    def _gateway(self, settings: Settings) -> Gateway | None:
        if not settings.gateway or self._inventory is None:
            return None
        folder = settings.gateway_credentials
        if folder is not None and not folder.is_dir():
            log.warning(
                "--gateway-credentials %s: no such folder, apps with app_credentials go unscraped",
                folder,
            )
        slots = Slots(settings.gateway_concurrency, settings.gateway_per_host)
        self._scraper = client = ServiceClient(
            ca_file=settings.ca_file,
            connections=settings.gateway_connections,
            lookups=slots.half,
            max_body=settings.gateway_max_body,
        )
        return Gateway(
            policy=self.policy,
            inventory=self._inventory,
            tokens=self.tokens,
            client=client,
            credentials=AppCredentials(folder),
            slots=slots,
            metrics=GatewayMetrics(self.metrics.registry, slots),
        )

    def _is_prewarming(self) -> bool:
        """Whether audiences of the inventory are still to be queued for --prewarm."""
        held = self._inventory.value if self._inventory else None
        return self._prewarm and held is not self._applied

    def _minted(self, result: MintResult) -> None:
        self.metrics.mint(ok=result.ok, seconds=result.seconds)
        fields = {"audience": result.audience, "seconds": f"{result.seconds:.3f}"}
        if result.ok:
            self._mint_troubles.is_over(result.audience)
            log.info("minted", extra={"fields": fields})
        else:
            new = self._mint_troubles.is_new(result.audience, result.error)
            level = logging.WARNING if new else logging.DEBUG
            log.log(level, "not minted: %s", result.error, extra={"fields": fields})


def _secrets(settings: Settings) -> WatchedFile[Secrets] | None:
    path = settings.client_secret_file
    if path is None:
        return None
    secrets = watch_secrets(path)
    secrets.load()
    warn_of_readers(path, mode=0o640)
    return secrets


def _names(settings: Settings) -> frozenset[str]:
    """The host names by which we are reached: those that were allowed, and of the listeners."""
    allowed = map(_allowed_name, settings.allowed_host)
    listening = [host_of(each) for each in settings.listen if not each.startswith("unix:")]
    return frozenset(filter(None, [*allowed, *listening]))


def _allowed_name(given: str) -> str:
    """The host that --allowed-host names, as in a URL or by itself. Raises StartError."""
    host = given if is_address(given) else host_of(given)
    if not is_address(host) and not re.fullmatch(r"[a-z0-9_.-]+", host):
        raise StartError(f"--allowed-host {given}: not the name of a host, such as proxy.internal")
    return host
