"""What a box asks a certificate for: one of its two keys, wherever that key lies.

The key itself is never seen here: a `Signer` signs, and says which public key is its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.pki import csr

if TYPE_CHECKING:
    from sdbox_agent.pki.boxcertificate import Purpose


class Signer(Protocol):
    """A P-256 key: in a file, in memory, in a TPM."""

    @property
    def public_key_der(self) -> bytes:
        """SubjectPublicKeyInfo, DER."""

    def sign(self, message: bytes) -> bytes:
        """ECDSA over SHA-256 of `message`: an ECDSA-Sig-Value, DER. Raises Fault."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it is sent, and what its answer must be for."""

    purpose: Purpose
    csr_der: bytes = field(repr=False)
    request: csr.Request


def ask(box: str, purpose: Purpose, key: Signer) -> Asked:
    """A request for this box's certificate on this key.

    Raises Fault: "config-invalid" for a name that no certificate can bear, "box-key-failed" if
    what the key signed does not verify under what it says is its public half.
    """
    try:
        information = csr.information(box, key.public_key_der)
    except DecodeError:
        raise Fault("config-invalid") from None
    csr_der = csr.whole(information, key.sign(information))
    try:
        return Asked(purpose, csr_der, csr.parse(csr_der))
    except DecodeError:
        raise Fault("box-key-failed") from None
