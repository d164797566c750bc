"""Running proxies, shared where a test only asks."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from runscrape_proxy import log as logs
from tests.kit.measuring import unmeasured
from tests.proxy.harness import Proxy, fake, running
from tests.proxy.raw_server import RawServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["unmeasured"]


class StartProxy(Protocol):
    """Starts a proxy that ends with the test; with the fake Google unless told otherwise."""

    def __call__(
        self,
        *arguments: str | Path,
        command: Sequence[str] = ...,
        env: Mapping[str, str] | None = ...,
        **options: Any,
    ) -> Proxy: ...


@pytest.fixture
def start_proxy(tmp_path: Path) -> Iterator[StartProxy]:
    with ExitStack() as stack:

        def start(
            *arguments: str | Path,
            command: Sequence[str] = fake(),
            env: Mapping[str, str] | None = None,
            **options: Any,
        ) -> Proxy:
            return stack.enter_context(running(tmp_path, command, *arguments, env=env, **options))

        yield start


@pytest.fixture
def root_logger() -> Iterator[None]:
    """The root logger, put back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:], logger.level = handlers, level
    logging.captureWarnings(capture=False)
    logging.getLogger(logs.NAME).setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy on loopback without secret or inventory, for all that only ask."""
    directory = tmp_path_factory.mktemp("proxy")
    with running(directory, fake(), "--mint-timeout", "1s") as started:
        yield started


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy that wants one of two secrets, for all that only ask."""
    directory = tmp_path_factory.mktemp("guarded")
    secrets = directory / "secrets"
    secrets.write_text("s3cr et+/%\r\nthe new one\n\n")
    with running(directory, fake(), "--client-secret-file", secrets) as started:
        yield started


class Serve(Protocol):
    """Starts a server that answers with these bytes, and ends with the test."""

    def __call__(self, answer: bytes, pause: float = ...) -> RawServer: ...


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda answer, pause=0.0: stack.enter_context(RawServer(answer, pause))
