"""What a card's keys are given to work on, whichever way the card is reached.

There is no way in for a hash from outside: what is signed begins as a statement, and every byte
that goes under the signature is built here. Knows no card and no command.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent.card import spki
from sdbox_agent.card.token import Signature
from sdbox_agent.errors import DecodeError
from sdbox_agent.statements import fields, header

if TYPE_CHECKING:
    from collections.abc import Callable

_WRAPPINGS: Final = {("ecdh", spki.EcKey), ("rsa-oaep-sha256", spki.RsaKey)}


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A statement on its way to the card: the card sees its digest."""

    payload: bytes
    protected: bytes
    digest: bytes

    def signed(self, sign: Callable[[bytes], bytes]) -> Signature:
        """With what `sign` makes of the digest."""
        return Signature(self.payload, self.protected, sign(self.digest))


def unsigned(statement: fields.Statement, key: spki.PublicKey, certificate_der: bytes) -> Unsigned:
    """The bytes for this key. Raises DecodeError for what is no statement: the caller's bug."""
    typ, payload = fields.typ_of(statement), fields.encode(statement)
    fields.parse(typ, payload)  # whatever it is called: only a statement's bytes are signed
    return built(typ, payload, key, certificate_der)


def built(typ: str, payload: bytes, key: spki.PublicKey, certificate_der: bytes) -> Unsigned:
    """What this key signs for a payload of that type. On a box, `unsigned` alone calls this."""
    wide = isinstance(key, spki.EcKey) and key.curve is spki.Curve.P384
    alg: header.Algorithm = "ES384" if wide else "ES256"
    if isinstance(key, spki.RsaKey):
        alg = "PS256"
    protected = header.protected(typ, alg, certificate_der)
    message = header.signing_input(protected, payload)
    digest = (hashlib.sha384 if wide else hashlib.sha256)(message).digest()
    return Unsigned(payload, protected, digest)


def check_wrapped(algorithm: str, blob: bytes, key: spki.PublicKey) -> None:
    """Raise DecodeError unless `key` may be used on this; a card may be less careful (fault 40)."""
    if (algorithm, type(key)) not in _WRAPPINGS:
        raise DecodeError("algorithm is not the key's")
    if isinstance(key, spki.EcKey):
        spki.check_point(key.curve, blob)
    elif len(blob) != key.size_bytes or int.from_bytes(blob) >= key.modulus:
        raise DecodeError("block")  # RFC 8017 section 7.1.2 step 1b, section 5.1.2
