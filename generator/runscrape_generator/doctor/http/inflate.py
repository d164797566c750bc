"""Bodies as they were before their Content-Encoding."""

from __future__ import annotations

import zlib

from runscrape_generator.doctor.evidence import Answer

MAX_SIZE = 256 * 1024 * 1024
"""Bytes that a compressed body may grow to."""
_GZIP = 31
"""zlib's ``wbits`` for the gzip format with the largest window."""


def inflated(answer: Answer, body: bytes) -> bytes:
    """Undo gzip, the only encoding that Prometheus asks for; a body that is none stays as it is."""
    if answer.headers.get("content-encoding", "").strip().lower() != "gzip":
        return body
    try:
        return zlib.decompressobj(_GZIP).decompress(body, MAX_SIZE)
    except zlib.error:
        return body
