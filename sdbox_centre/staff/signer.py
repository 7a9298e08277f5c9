"""The port to a member of staff's card, and how an act comes to carry their signatures. Pure.

`KeySigner` is the port's double, a card whose key is in memory; staffcard.py has the real one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from sdbox_agent.statements import jws
from sdbox_centre.staff import payload

if TYPE_CHECKING:
    from sdbox_centre.staff.payload import Act


class Signer(Protocol):
    """One member's card, ready to sign."""

    def sign_act(self, act: Act) -> tuple[bytes, bytes]:
        """Protected header and signature over this act, by 9A.

        The bytes that are signed are built here, from the act: there is no way in for a hash.
        Raises Refused, Fault: what a card says.
        """


class KeySigner:
    """A P-256 key in memory with the certificate of a 9A: for tests and the rig."""

    def __init__(self, certificate_der: bytes, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate_der
        self._key = key

    def sign_act(self, act: Act) -> tuple[bytes, bytes]:
        """As `Signer.sign_act`."""
        head = jws.header(payload.TYP, self._certificate)
        message = jws.signing_input(head, payload.encode(act))
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(hashes.SHA256())))
        return head, r.to_bytes(32) + s.to_bytes(32)


def signed(act: Act, *signers: Signer) -> bytes:
    """The act with their signatures, in that order."""
    return jws.assemble(payload.encode(act), [signer.sign_act(act) for signer in signers])


def countersigned(statement: bytes, signer: Signer) -> bytes:
    """A statement with one more signature, over what it says. Raises Refused, DecodeError."""
    parsed = jws.read(statement)
    said = jws.unb64url(parsed.payload)
    parts = [
        (jws.unb64url(one.protected), jws.unb64url(one.signature)) for one in parsed.signatures
    ]
    return jws.assemble(said, [*parts, signer.sign_act(payload.parse(said))])
