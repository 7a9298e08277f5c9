"""The commands that only a card's issuer may give, as one maker's card takes them.

They differ by maker, so they stand behind a port (`Issuer`); a maker's card gets a class of its own
beside `PivIssuer`, which speaks what the standards have (SP 800-73pt2-5 section 3.3, ISO/IEC
7816-4:2020 section 11.5.8 for storing a finger) and what the rig's virtual card takes. Not here:
replacing the management key (9B). No standard has a command for it, so whoever holds the key that a
card came with can write to it for ever: such keys are one a card, and stay at the desk.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sdbox_agent.card import apdu, pin, piv, spki, tlv
from sdbox_agent.errors import DecodeError, Fault
from sdbox_centre import cardobjects

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_agent.card.channel import Channel
    from sdbox_agent.cardkind import Algorithm
    from sdbox_agent.pki.certificate import PublicKey
    from sdbox_centre.deskcard import Slot

# SP 800-73pt2-5 section 3, table 2
INS_CHANGE_REFERENCE: Final = 0x24
INS_RESET_RETRY: Final = 0x2C
INS_GENERATE: Final = 0x47
INS_PUT_DATA: Final = 0xDB
# pt1 table 4b: key references; the PIN's is pin.REFERENCE
PUK: Final = 0x81
MANAGEMENT: Final = 0x9B
# SP 800-78-5 table 6-2
AES_256: Final = 0x0C
# pt2 section 3.2.4: dynamic authentication template
_TEMPLATE: Final = 0x7C
_WITNESS: Final = 0x80
_CHALLENGE: Final = 0x81
_RESPONSE: Final = 0x82
# pt2 section 3.3.2: a public key as GENERATE answers it
_PUBLIC_KEY: Final = 0x7F49
_POINT: Final = 0x86
_MODULUS: Final = 0x81
_EXPONENT: Final = 0x82

_BLOCK_BYTES: Final = 16  # FIPS 197
_NO_OLD_VALUE: Final = 0x01  # ISO/IEC 7816-4:2020 section 11.5.8: P1
_CURVES: Final = {
    "P-256": (ec.SECP256R1(), spki.Curve.P256),
    "P-384": (ec.SECP384R1(), spki.Curve.P384),
}
_EXPONENT_LEAST: Final = 65537  # SP 800-78-5 section 3.1


class Issuer(Protocol):
    """What personalisation asks of a maker's card. A "no" is Fault("card-not-personalised")."""

    def authenticate(self, management_key: bytes) -> None:
        """Prove each to the other that both have the key; opens the rest until a reset."""

    def generate(self, slot: Slot, algorithm: Algorithm) -> PublicKey:
        """A new key pair at this reference, and its public half. The old one is gone."""

    def put(self, tag: int, content: bytes) -> None:
        """Write a data object, whole or not at all."""

    def store_finger(self, reference: int, minutiae: bytes) -> None:
        """The reference data of a finger: 3N bytes, compact card format. Its tries are whole."""

    def change(self, reference: int, old: bytes, new: bytes) -> int:
        """Change PIN or PUK; the status word, whatever it is."""

    def reset_pin(self, puk: bytes, new: bytes) -> int:
        """Set the PIN by the PUK; the status word, whatever it is."""


class PivIssuer:
    """The standards' commands, with an AES-256 management key."""

    def __init__(self, channel: Channel, rng: Callable[[int], bytes]) -> None:
        self._channel = channel
        self._rng = rng

    def authenticate(self, management_key: bytes) -> None:
        """Mutual authentication (pt2 section 3.2.4 and appendix A.1). Raises Fault."""
        aes = Cipher(algorithms.AES256(management_key), modes.ECB())  # noqa: S305 - one random block
        witness = self._authenticate(tlv.encode(_WITNESS, b""), _WITNESS)
        decryptor = aes.decryptor()
        plain = decryptor.update(witness) + decryptor.finalize()
        challenge = self._rng(_BLOCK_BYTES)
        ours = tlv.encode(_WITNESS, plain) + tlv.encode(_CHALLENGE, challenge)
        theirs = self._authenticate(ours, _RESPONSE)
        encryptor = aes.encryptor()
        wanted = encryptor.update(challenge) + encryptor.finalize()
        if not hmac.compare_digest(theirs, wanted):
            raise Fault("card-not-personalised")

    def _authenticate(self, content: bytes, answer: int) -> bytes:
        data = tlv.encode(_TEMPLATE, content)
        reply = self._done(apdu.Command(piv.INS_GENERAL_AUTHENTICATE, AES_256, MANAGEMENT, data))
        value = tlv.one(tlv.one(reply, _TEMPLATE), answer)
        if len(value) != _BLOCK_BYTES:
            raise DecodeError("management key: block size")
        return value

    def generate(self, slot: Slot, algorithm: Algorithm) -> PublicKey:
        """GENERATE ASYMMETRIC KEY PAIR (pt2 section 3.3.2). Raises Fault, DecodeError."""
        wanted = tlv.encode(0xAC, tlv.encode(0x80, bytes([piv.ALGORITHMS[algorithm]])))
        return decode_public_key(
            self._done(apdu.Command(INS_GENERATE, 0x00, piv.KEYS[slot], wanted)), algorithm
        )

    def put(self, tag: int, content: bytes) -> None:
        """PUT DATA (pt2 section 3.3.1). Raises Fault."""
        name = b"" if tag in cardobjects.BARE else tlv.encode(0x5C, tag.to_bytes(3))
        data = name + cardobjects.wrapped(tag, content)
        self._done(apdu.Command(INS_PUT_DATA, 0x3F, 0xFF, data, expects=False))

    def store_finger(self, reference: int, minutiae: bytes) -> None:
        """CHANGE REFERENCE DATA without an old value. Raises Fault."""
        self._done(
            apdu.Command(INS_CHANGE_REFERENCE, _NO_OLD_VALUE, reference, minutiae, expects=False)
        )

    def change(self, reference: int, old: bytes, new: bytes) -> int:
        """CHANGE REFERENCE DATA (pt2 section 3.2.2)."""
        command = apdu.Command(INS_CHANGE_REFERENCE, 0x00, reference, old + new, expects=False)
        return apdu.transmit(self._channel, command).sw

    def reset_pin(self, puk: bytes, new: bytes) -> int:
        """RESET RETRY COUNTER (pt2 section 3.2.3)."""
        command = apdu.Command(INS_RESET_RETRY, 0x00, pin.REFERENCE, puk + new, expects=False)
        return apdu.transmit(self._channel, command).sw

    def _done(self, command: apdu.Command) -> bytes:
        response = apdu.transmit(self._channel, command)
        if response.sw != apdu.SW_OK:
            raise Fault("card-not-personalised")
        return response.data


def decode_public_key(data: bytes, algorithm: Algorithm) -> PublicKey:
    """The key in GENERATE's answer, of the algorithm asked for. Raises DecodeError."""
    inner = tlv.one(data, _PUBLIC_KEY)
    if algorithm in _CURVES:
        curve, known = _CURVES[algorithm]
        point = tlv.one(inner, _POINT)
        spki.check_point(known, point)
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
    modulus, exponent = (int.from_bytes(each) for each in tlv.sequence(inner, _MODULUS, _EXPONENT))
    bits = int(algorithm.removeprefix("RSA-"))
    if modulus.bit_length() != bits or not modulus & 1:
        raise DecodeError("RSA modulus")
    if not (_EXPONENT_LEAST <= exponent < 1 << 32 and exponent & 1):
        raise DecodeError("RSA exponent")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()
