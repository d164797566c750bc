"""Outgoing HTTP: one deadline for all that a call does, and answers read strictly.

The timeout of a socket starts anew with each address of a host and with each read, so that a host
with many dead addresses, or a peer that sends a byte now and then, takes as long as it likes. Here
each step gets what is left of the deadline. Only the resolver itself cannot be interrupted.

Answers are read by h11, which takes what RFC 9112 allows and no more, in heads, lengths and chunks
of bounded size: http.client and urllib3 take a chunk size of ``-1`` for "all that comes".
"""

from __future__ import annotations

from runscrape_proxy.http_client.answer import Answer
from runscrape_proxy.http_client.client import Asked, Client
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
    TooSlow,
)
from runscrape_proxy.http_client.request import Request

__all__ = [
    "Answer",
    "Asked",
    "BadAnswer",
    "BadProxy",
    "Broken",
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
    "TooSlow",
    "shut",
    "trust",
]
