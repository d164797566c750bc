"""The emulator: all its servers, started and stopped together."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from emulator.api import Api
from emulator.connect import Proxy
from emulator.credentials import KINDS, Credentials
from emulator.httpd import Server
from emulator.issuer import Issuer
from emulator.keys import write_private
from emulator.metadata import Metadata, environment
from emulator.model import World
from emulator.secret import Secrets
from emulator.services import Services
from emulator.state import State
from emulator.tokens import CLOUD_SCOPES, Tokens

METADATA = "metadata"
_FILE_CHECK = 0.25  # seconds


class Emulator:
    """Google Cloud on 127.0.0.1, in threads of this process; a context manager.

    *world* is a mapping or the path of a YAML file, which is re-read when it changes; *directory*
    holds keys, certificates and credential files; ports of 0 are chosen by the kernel.
    Raises WorldError for a bad world and OSError for a port that is taken.
    """

    def __init__(
        self,
        world: Mapping[str, Any] | Path,
        directory: Path,
        *,
        clock: Callable[[], float] = time.time,
        api_port: int = 0,
        issuer_port: int = 0,
        metadata_port: int = 0,
        proxy_port: int = 0,
    ) -> None:
        self._directory = directory
        self._state = State(world, clock)
        self._ports = (api_port, issuer_port, metadata_port, proxy_port)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop everything; returns when no thread and no socket is left."""
        self._state.closing.set()
        self._stack.close()

    def _start(self, stack: contextlib.ExitStack) -> None:
        state, (api_port, issuer_port, metadata_port, proxy_port) = self._state, self._ports
        keys = self._directory / "keys"
        keys.mkdir(parents=True, exist_ok=True)
        state.tokens = Tokens(state.clock, keys)
        secrets = Secrets()
        issuer, services = Issuer(state, secrets), Services(state)
        api = Api(state, api_port)
        stack.callback(api.close)
        self.api = api.url
        proxy = Proxy(state, self._directory, issuer.handle, api, services.handle)

        def serve(server: Server) -> Server:
            stack.callback(server.close)
            return server

        shared: Any = {"closing": state.closing, "clock": state.clock}

        issuing = serve(Server(issuer.handle, issuer_port, **shared))
        issuer.url = self.issuer = f"http://{issuing.address}"
        refused = state.world.faults.metadata_refused
        handler = Metadata(state).handle
        metadata = serve(Server(handler, metadata_port, listening=not refused, **shared))
        self.metadata_host = metadata.address
        tunnels = serve(Server(proxy.handle, proxy_port, **shared))
        self.proxy_url = f"http://{tunnels.address}"
        self.ca_file = proxy.ca_file
        self._credentials = Credentials(state, secrets, self._directory, self.issuer)
        self._follow(metadata)
        watcher = threading.Thread(target=self._watch, daemon=True)
        watcher.start()
        stack.callback(watcher.join)
        stack.callback(state.closing.set)  # called first

    def _follow(self, metadata: Server) -> None:
        """Do what a new world asks for beyond the answers that are made from it."""

        def follow(world: World) -> None:
            self._state.tokens.account_key(world.settings.identity)
            metadata.listen(on=not world.faults.metadata_refused)

        follow(self._state.world)
        self._state.on_update.append(follow)

    def _watch(self) -> None:
        while not self._state.closing.wait(_FILE_CHECK):
            self._state.refresh()

    @property
    def world(self) -> World:
        """The live world."""
        return self._state.world

    def update(self, world: Mapping[str, Any] | Path) -> None:
        """Swap the world; raises WorldError and changes nothing if it is bad."""
        self._state.update(world)

    def credentials(self, kind: str, *, email: str | None = None) -> Path:
        """Write a credential file (a kind of KINDS), for the world's identity unless *email*."""
        return self._credentials.write(kind, email)

    def env(self, kind: str) -> dict[str, str]:
        """Variables for a child process that has credentials of *kind*, or ``metadata``.

        The metadata server is reachable with any kind, so that code which wrongly falls through to
        it is seen in the counts. Proxy variables come in both cases, as their readers differ.
        """
        local = "127.0.0.1,localhost"
        environ = environment(self.metadata_host) | {
            "HTTPS_PROXY": self.proxy_url,
            "https_proxy": self.proxy_url,
            "NO_PROXY": local,
            "no_proxy": local,
            "REQUESTS_CA_BUNDLE": str(self.ca_file),
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(self.ca_file),
            "CLOUDSDK_CONFIG": str(self._directory / "no-gcloud"),
        }
        if kind != METADATA:
            environ["GOOGLE_APPLICATION_CREDENTIALS"] = str(self.credentials(kind))
        return environ

    def counts(self) -> dict[str, Any]:
        """What was asked so far; counts.SECTIONS says how it is laid out."""
        return self._state.counts.tree()

    def reset_counts(self) -> None:
        """Start counting again."""
        self._state.counts.reset()

    def revoke_access_tokens(self) -> None:
        """Make every access token that was given so far a stale one, which gets 401."""
        self._state.tokens.revoke()

    def last_headers(self, service: str) -> dict[str, str]:
        """Headers of the last request for ``project/region/name``, as sent; names in lower case."""
        return dict(self._state.last_requests[service].headers)

    def app_headers(self, service: str) -> dict[str, str]:
        """Headers of the last request that Cloud Run let through, as the app saw them."""
        return dict(self._state.app_requests[service].headers)

    def last_target(self, service: str) -> str:
        """Path and query, as sent, of the last request for ``project/region/name``."""
        return self._state.last_requests[service].target

    def id_token(
        self,
        audience: str,
        email: str | None = None,
        lifetime: float | None = None,
        key: str | None = None,
        **claims: object,
    ) -> str:
        """Make an ID token by hand; ``key="foreign"`` signs with a key that is not Google's.

        *lifetime* in seconds may be negative; *claims* override, None removes.
        """
        settings = self.world.settings
        return self._state.tokens.id_token(
            audience,
            email or settings.identity,
            settings.token_lifetime if lifetime is None else lifetime,
            foreign=key == "foreign",
            extra=claims,
        )

    def access_token(
        self,
        email: str | None = None,
        lifetime: float = 3600.0,
        scopes: Iterable[str] = CLOUD_SCOPES,
    ) -> str:
        """Make an access token by hand; *lifetime* in seconds may be negative."""
        identity = email or self.world.settings.identity
        return self._state.tokens.access_token(identity, lifetime, scopes)

    def describe(self) -> dict[str, Any]:
        """All addresses and files, with the environment for each kind of credentials."""
        return {
            "api": self.api,
            "issuer": self.issuer,
            "metadata_host": self.metadata_host,
            "proxy_url": self.proxy_url,
            "ca_file": str(self.ca_file),
            "credentials": {kind: str(self.credentials(kind)) for kind in KINDS},
            "env": {kind: self.env(kind) for kind in (*KINDS, METADATA)},
        }

    def write_description(self) -> Path:
        """Write describe() to ``emulator.json``, whole or not at all."""
        path = self._directory / "emulator.json"
        write_private(path, json.dumps(self.describe(), indent=2, sort_keys=True) + "\n")
        return path
