"""Keys in files: whoever reads the file is this box. One real end of ports.KeyMaker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sdbox_agent.identity import filekey

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric import ec

    from sdbox_agent.identity.filekey import FileKey
    from sdbox_agent.pki.boxcertificate import Purpose


@dataclass(frozen=True, slots=True)
class FileKeys:
    """Both keys as PKCS#8, PEM. `new`: where randomness comes from."""

    new: Callable[[], ec.EllipticCurvePrivateKey]

    @property
    def purposes(self) -> tuple[Purpose, ...]:
        """See `KeyMaker`."""
        return "tls", "statement"

    def name(self, purpose: Purpose) -> str:
        """See `KeyMaker`."""
        return f"{purpose}.key"

    def make(self, purpose: Purpose) -> bytes:  # noqa: ARG002  the port's
        """See `KeyMaker`."""
        return self.new().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def open(self, purpose: Purpose, kept: bytes) -> FileKey:  # noqa: ARG002  the port's
        """See `KeyMaker`."""
        return filekey.parse(kept)
