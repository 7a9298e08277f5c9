"""A card at the desk, over one connection: what any holder of it could ask, and what it answers.

Reads objects, asks for tries, and has each key prove that it is the one in its certificate. Knows
no issuer's command and no order of work. Nothing here is believed because the card says so, where
it can be computed instead; the rest is written out in matchbound.py.
"""

from __future__ import annotations

import hashlib
import hmac
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sdbox_agent.card import apdu, occ, pin, piv, spki, verify
from sdbox_agent.errors import DecodeError, Fault, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sdbox_agent.card.channel import Channel
    from sdbox_agent.cardkind import Bit, VerifyForm
    from sdbox_agent.pki.certificate import PublicKey
    from sdbox_agent.pki.holder import CardCertificates

Slot = Literal["9A", "9D", "9E"]

GLOBAL_PIN: Final = 0x00  # SP 800-73pt1-5 table 4b
_TRIES_MASK: Final = 0xFFF0


class DeskCard:
    """One connection to the card on the desk; the card is reset when it is let go."""

    def __init__(self, channel: Channel, rng: Callable[[int], bytes]) -> None:
        self.channel = channel
        self._rng = rng

    def select(self) -> None:
        """Raises Refused("not-a-piv-card")."""
        response = apdu.transmit(self.channel, piv.select())
        if response.sw != apdu.SW_OK:
            raise Refused("not-a-piv-card")
        piv.decode_select(response.data)

    def read(self, tag: int) -> bytes | None:
        """An object as it comes, or None where there is none. Raises Fault."""
        response = apdu.transmit(self.channel, piv.get_data(tag))
        if response.sw == piv.SW_NOT_FOUND:
            return None
        if response.sw != apdu.SW_OK:
            raise Fault("card-not-personalised")
        return response.data

    def certificate(self, slot: Slot) -> bytes | None:
        """DER of the certificate of a key, or None: there is none, or nothing of that form."""
        found = self.read(piv.CERTIFICATE_OBJECTS[slot])
        if found is None:
            return None
        try:
            return piv.decode_certificate(found)
        except DecodeError:
            return None

    def ask(self, reference: int) -> int:
        """The status word of an empty VERIFY: given, tries left, blocked or unknown."""
        return apdu.transmit(self.channel, verify.status(reference)).sw

    def log_out(self, reference: int) -> None:
        """Forget that this was given or matched. Raises Fault for what the card has not."""
        if apdu.transmit(self.channel, verify.reset(reference)).sw != apdu.SW_OK:
            raise Fault("card-not-personalised")

    def give(self, code: bytes) -> int:
        """The status word of a VERIFY with a PIN's field."""
        command = apdu.Command(verify.INS_VERIFY, 0x00, pin.REFERENCE, code, expects=False)
        return apdu.transmit(self.channel, command).sw

    def compare(self, bit: Bit, minutiae: bytes, form: VerifyForm) -> int:
        """The status word of a comparison. Raises Bug for a probe that the BIT forbids."""
        return apdu.transmit(self.channel, occ.compare(bit, minutiae, form)).sw

    # -- the keys --------------------------------------------------------------------------------

    def use(self, slot: Slot, certificate_der: bytes) -> int:
        """Have a key do its work once; the status word, and 9000 only if the work is right.

        A signature is verified, an agreement computed on both sides, RSA's result raised back.
        Raises Refused("card-not-genuine"): the key is not the one in the certificate.
        """
        public = public_key(certificate_der)
        key = spki.of_certificate(certificate_der)
        if isinstance(public, rsa.RSAPublicKey):
            return self._use_rsa(slot, key, public)
        assert isinstance(key, spki.EcKey)
        return self._agree(slot, key, public) if slot == "9D" else self._sign(slot, key, public)

    def keys(self, certificates: CardCertificates) -> frozenset[int]:
        """What 9A and 9D answer to work. Raises as `use`."""
        return frozenset(
            {self.use("9A", certificates.auth), self.use("9D", certificates.key_management)}
        )

    def _sign(self, slot: Slot, key: spki.EcKey, public: ec.EllipticCurvePublicKey) -> int:
        of_256 = key.curve is spki.Curve.P256
        digest = (hashlib.sha256 if of_256 else hashlib.sha384)(self._rng(32)).digest()
        algorithm = Prehashed(hashes.SHA256() if of_256 else hashes.SHA384())
        command = piv.private_operation(piv.KEYS[slot], key, digest)
        response = apdu.transmit(self.channel, command)
        if response.sw == apdu.SW_OK:
            with _blaming_the_card():
                public.verify(piv.decode_authenticate(response.data), digest, ec.ECDSA(algorithm))
        return response.sw

    def _agree(self, slot: Slot, key: spki.EcKey, public: ec.EllipticCurvePublicKey) -> int:
        ours = ec.generate_private_key(public.curve)
        point = ours.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        command = piv.key_agreement(piv.KEYS[slot], key, point)
        response = apdu.transmit(self.channel, command)
        if response.sw == apdu.SW_OK:
            with _blaming_the_card():
                _equal(
                    piv.decode_block(response.data, key.curve.size_bytes),
                    ours.exchange(ec.ECDH(), public),
                )
        return response.sw

    def _use_rsa(self, slot: Slot, key: spki.PublicKey, public: rsa.RSAPublicKey) -> int:
        size, numbers = public.key_size // 8, public.public_numbers()
        block = b"\x00" + self._rng(size - 1)
        response = apdu.transmit(self.channel, piv.private_operation(piv.KEYS[slot], key, block))
        if response.sw == apdu.SW_OK:
            with _blaming_the_card():
                result = int.from_bytes(piv.decode_block(response.data, size))
                _equal(pow(result, numbers.e, numbers.n).to_bytes(size), block)
        return response.sw


def public_key(certificate_der: bytes) -> PublicKey:
    """The key of a certificate. Raises Refused("card-data-invalid") for one PIV does not have."""
    key = x509.load_der_x509_certificate(certificate_der).public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise Refused("card-data-invalid")
    return key


def counted(sw: int) -> int | None:
    """Tries left, where the status word says so."""
    return sw & 0xF if sw & _TRIES_MASK == verify.SW_TRIES else None


def is_held(sw: int) -> bool:
    """Whether the answer to an empty VERIFY means that the card has something there.

    Blocked counts: what is blocked may be unblocked by whoever can.
    """
    return counted(sw) is not None or sw in {apdu.SW_OK, piv.SW_BLOCKED}


def _equal(seen: bytes, wanted: bytes) -> None:
    if not hmac.compare_digest(seen, wanted):
        raise InvalidSignature


@contextmanager
def _blaming_the_card() -> Iterator[None]:
    try:
        yield
    except (InvalidSignature, DecodeError):
        raise Refused("card-not-genuine") from None
