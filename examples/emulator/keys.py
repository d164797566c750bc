"""Key material: Google's signing key, a foreign one, service-account keys, a TLS authority.

RSA keys are slow to make (2048 bits: 50 to 200 ms each), so they are shared by all emulators of one
process, and kept in a directory where one is given, so that tokens outlive a restart.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

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


class Authority:
    """A TLS certificate authority of our own; its leaves cover whatever names they are asked to."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Emulator Root CA")])
        builder = _builder(self._name, self._name, self._key.public_key())
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        self._certificate = (
            builder.add_extension(constraints, critical=True)
            .add_extension(_usage(ca=True), critical=True)
            .add_extension(self._own_id(), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        """The root certificate."""
        return self._certificate.public_bytes(_PEM).decode()

    def leaf(self, names: Iterable[str]) -> str:
        """Make a server certificate for the DNS *names* (wildcards too); its PEM with the key."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "emulator")])
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in sorted(names)])
        builder = _builder(subject, self._name, self._leaf_key.public_key())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            builder.add_extension(alternatives, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(_PEM).decode() + pem(self._leaf_key)

    def _own_id(self) -> x509.SubjectKeyIdentifier:
        return x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - dt.timedelta(days=1),
        not_valid_after=now + dt.timedelta(days=365),
    )
