"""Outgoing HTTP on sockets of our own and h11, because urllib3 cannot be given three things.

One deadline for a whole call. urllib3's timeouts start anew with each address of a host and with
each read, so that a host with many dead addresses, or a peer that sends a byte now and then, takes
as long as it likes. Here each step gets what is left of the deadline; only the resolver cannot be
interrupted.

Strict reading. h11 takes what RFC 9112 allows, in heads, lengths and chunks of bounded size;
http.client, which urllib3 reads with, takes a chunk size of ``-1`` for "all that comes".

Waiting without a thread. The gateway leaves a request that was sent to the server's poller until
its socket can be read; a pool of urllib3 sends it and reads the head of its answer in one call.

Of urllib3 only TLS within the TLS of a proxy is used, and waiting for one socket.
"""

from __future__ import annotations

from runscrape_proxy.http_client.answer import Answer
from runscrape_proxy.http_client.client import Call, Client
from runscrape_proxy.http_client.deadline import Deadline, Socket, shut
from runscrape_proxy.http_client.environment import trust
from runscrape_proxy.http_client.errors import (
    BadAnswer,
    BadProxy,
    Broken,
    CallError,
    CutOff,
    NoAddress,
    NoAnswer,
    NoConnection,
    NoDescriptors,
    ProxyRefused,
    TlsFailed,
    TooManyLookups,
    TooSlow,
)
from runscrape_proxy.http_client.request import Request

__all__ = [
    "Answer",
    "BadAnswer",
    "BadProxy",
    "Broken",
    "Call",
    "CallError",
    "Client",
    "CutOff",
    "Deadline",
    "NoAddress",
    "NoAnswer",
    "NoConnection",
    "NoDescriptors",
    "ProxyRefused",
    "Request",
    "Socket",
    "TlsFailed",
    "TooManyLookups",
    "TooSlow",
    "shut",
    "trust",
]
