"""What can go wrong with a call to another machine.

The texts are the system's own words, or ours; none quotes a URL, which may hold a password.
"""

from __future__ import annotations

from runscrape_proxy.errors import ProxyError


class CallError(ProxyError):
    """A call to another machine failed; the text says how."""


class TooSlow(CallError):
    """The deadline came first."""


class CutOff(CallError):
    """The call was given up before its deadline, in favour of others."""


class NoDescriptors(CallError):
    """There is no file descriptor left here for a connection."""


class TooManyLookups(CallError):
    """As many names as may be are being looked up already: the resolver does not answer."""


class NoAddress(CallError):
    """The name of the host has no address here."""


class NoConnection(CallError):
    """None of the host's addresses took a connection."""


class BadProxy(CallError):
    """The environment names a proxy that cannot be used."""


class ProxyRefused(CallError):
    """The proxy on the way did not let us through."""


class TlsFailed(CallError):
    """No TLS with the host: most often a certificate that is not trusted here."""


class NoAnswer(CallError):
    """The host closed the connection without an answer."""


class BadAnswer(CallError):
    """What the host answered is not HTTP as RFC 9112 has it."""


class Broken(CallError):
    """The connection ended in the middle of the body."""
