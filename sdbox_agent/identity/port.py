"""The statement key as the rest of the agent sees it: it signs, and says what it is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec


class StatementKey(Protocol):
    """A P-256 key that is not to leave this box."""

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Its public half."""

    @property
    def public_key_der(self) -> bytes:
        """The same, as SubjectPublicKeyInfo."""

    @property
    def copyable(self) -> bool:
        """Could whoever has this box's disk be this box?"""

    def sign(self, message: bytes) -> bytes:
        """ECDSA over SHA-256 of `message`: an ECDSA-Sig-Value, DER (RFC 3279 section 2.2.3).

        Raises Fault if the key is where it can't be reached now.
        """
