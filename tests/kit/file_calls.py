"""Being told of every call of this process that opens a file or changes a folder.

Not by sys.addaudithook: a hook stays for good, and while there is one, a thread that starts under
coverage may die of it (python/cpython#98257).
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import io
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

_CALLS = (
    (builtins, "open"),
    (io, "open"),
    *((os, name) for name in ("open", "mkdir", "rename", "replace", "link", "chown", "fchown")),
)


@contextlib.contextmanager
def told(see: Callable[[str, tuple[Any, ...]], None], *more: str) -> Iterator[None]:
    """Call ``see`` before each, with its name, such as ``os.open``, and its arguments.

    ``more`` are other functions of ``os`` to be told of.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (*_CALLS, *((os, name) for name in more)):
            full = name if module is not os else f"os.{name}"
            patch.setattr(module, name, _told_first(getattr(module, name), full, see))
        yield


def _told_first(
    call: Callable[..., Any], name: str, see: Callable[[str, tuple[Any, ...]], None]
) -> Callable[..., Any]:
    @functools.wraps(call)
    def made(*arguments: Any, **options: Any) -> Any:
        see(name, arguments)
        return call(*arguments, **options)

    return made
