"""Key material: Google's signing key, a foreign one, service-account keys.

RSA keys are slow to make (2048 bits: 50 to 200 ms each), so they are shared by all emulators of one
process, and kept in a directory where one is given, so that tokens outlive a restart.
"""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

_PEM = serialization.Encoding.PEM
_CLOSED = serialization.NoEncryption()


class Keys:
    """A store of RSA keys by name (``google``, ``foreign``, or a service account's email)."""

    def __init__(self) -> None:
        self._made: dict[str, rsa.RSAPrivateKey] = {}
        self._lock = threading.Lock()

    def rsa(self, name: str, directory: Path | None = None) -> rsa.RSAPrivateKey:
        """Get the 2048-bit key *name*: from memory, from *directory*, or a new one."""
        with self._lock:
            if name not in self._made:
                self._made[name] = _stored(name, directory)
            return self._made[name]


SHARED = Keys()
"""The keys of this process."""


def key_id(key: rsa.RSAPrivateKey) -> str:
    """40 hex digits, as Google's ``kid`` and ``private_key_id`` have."""
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()[:40]


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    """The private key as PKCS #8 PEM."""
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, _CLOSED).decode()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.touch(mode=0o600)
    temporary.write_text(text)
    temporary.replace(path)


def _stored(name: str, directory: Path | None) -> rsa.RSAPrivateKey:
    path = directory / f"{name}.pem" if directory else None
    if path and path.exists():
        loaded = serialization.load_pem_private_key(path.read_bytes(), None)
        assert isinstance(loaded, rsa.RSAPrivateKey)
        return loaded
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if path:
        write_private(path, pem(key))
    return key
