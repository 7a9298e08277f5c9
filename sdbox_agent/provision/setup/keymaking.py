"""Keys in files: whoever reads the file is this box. One real end of ports.KeyMaker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_agent.pki.boxcertificate import Purpose


@dataclass(frozen=True, slots=True)
class FileSigner:
    """A P-256 key from a file: a `request.Signer`."""

    private: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def public_key_der(self) -> bytes:
        """SubjectPublicKeyInfo, DER."""
        public = self.private.public_key()
        return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, data: bytes) -> bytes:
        """ECDSA over SHA-256 of `data`: an ECDSA-Sig-Value, DER."""
        return self.private.sign(data, ec.ECDSA(hashes.SHA256()))


@dataclass(frozen=True, slots=True)
class FileKeys:
    """Both keys as PKCS#8, PEM. `new`: where randomness comes from."""

    new: Callable[[], ec.EllipticCurvePrivateKey]

    def name(self, purpose: Purpose) -> str:
        """See `KeyMaker`."""
        return f"{purpose}.key"

    def make(self, purpose: Purpose) -> bytes:  # noqa: ARG002  the port's
        """See `KeyMaker`."""
        return self.new().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def open(self, purpose: Purpose, kept: bytes) -> FileSigner:  # noqa: ARG002  the port's
        """See `KeyMaker`."""
        try:
            key = load_pem_private_key(kept, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise DecodeError("not a private key") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise DecodeError("not a P-256 key")
        return FileSigner(key)
