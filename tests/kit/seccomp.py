"""A program without ``sched_setaffinity``, as systemd's and containers' filters leave it.

``python -m tests.kit.seccomp refuse|kill PROGRAM …`` runs the program so that the call is refused
with EPERM, or ends the process that makes it (systemd's SystemCallErrorNumber, set or not).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from typing import Final

NUMBERS: Final = {"x86_64": 203, "aarch64": 122}
"""Of ``sched_setaffinity``, by machine."""

_RESULTS: Final = {"refuse": 0x00050000 | errno.EPERM, "kill": 0x80000000}
_ALLOW: Final = 0x7FFF0000
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2


class _Program(ctypes.Structure):
    """``struct sock_fprog`` of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def forbid(number: int, result: int) -> None:
    """Have the kernel answer a system call with ``result``, for this process from now on."""
    steps = [(_LOAD, 0, 0, 0), (_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, result)]
    code = b"".join(struct.pack("HBBI", *step) for step in [*steps, (_RETURN, 0, 0, _ALLOW)])
    program = _Program(len(steps) + 1, code)
    libc = ctypes.CDLL(None, use_errno=True)
    for request in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*request):
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    forbid(NUMBERS[platform.machine()], _RESULTS[sys.argv[1]])
    os.execvp(sys.argv[2], sys.argv[2:])
