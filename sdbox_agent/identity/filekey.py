"""[door] A statement key in a file: whoever reads the file is this box."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from typing_extensions import override

from sdbox_agent.errors import DecodeError
from sdbox_agent.identity.port import StatementKey
from sdbox_agent.pki.certificate import spki
from sdbox_agent.state import trusted
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileKey(StatementKey):
    """PKCS#8, PEM."""

    private: ec.EllipticCurvePrivateKey = field(repr=False)
    pem: bytes = field(repr=False)

    @property
    @override
    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self.private.public_key()

    @property
    @override
    def public_key_der(self) -> bytes:
        return spki(self.public_key)

    @property
    @override
    def copyable(self) -> bool:
        return True

    @override
    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))


def load(path: Path) -> FileKey:
    """Read one. Raises FileRefused("config-invalid"), FileNotFoundError, OSError."""
    try:
        return parse(trusted.read(path, private=True))
    except DecodeError as error:
        raise FileRefused("config-invalid", str(path), 0, str(error)) from None


def parse(pem: bytes) -> FileKey:
    """What such a file holds. Raises DecodeError."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise DecodeError("not a private key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise DecodeError("not a P-256 key")
    return FileKey(key, pem)
