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


def without_login(url: str) -> str:
    """Leave the user and the password out of a URL, for messages."""
    return re.sub(r"(?<=://)[^/?#]*@", "", url)
