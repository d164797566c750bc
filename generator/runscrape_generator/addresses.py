"""Addresses: which are this machine's own, and how they are written."""

from __future__ import annotations

import ipaddress
import re


def is_loopback(host: str) -> bool:
    """Whether what is sent to ``host`` (a name, or an address without brackets) stays here."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def in_url(host: str) -> str:
    """Write a host as URLs do: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def without_secrets(text: str) -> str:
    """Leave out of each URL in a text what may be secret: its login, and values of its query."""
    return re.sub(r"(?<=://)[^\s\"]*", _without_values, without_login(text))


def _without_values(found: re.Match[str]) -> str:
    place, mark, query = found[0].partition("?")
    named = (part.partition("=") for part in query.split("&"))
    return place + mark + "&".join(f"{n}=***" if eq else "***" for n, eq, _ in named if mark)


def without_login(url: str) -> str:
    """Leave the user and the password out of a URL, for messages."""
    return re.sub(r"(?<=://)[^/?#]*@", "", url)
