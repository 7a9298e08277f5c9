"""A card as one holds it: made, personalised, put into a reader, kept.

What it remembers survives removal; each power-on gives a fresh chip. Keys are random on each run,
unless the caller brings some it made before (RSA is slow).
"""

from __future__ import annotations

import copy
import secrets
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID, uuid4

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from typing_extensions import override

from hil.card import bits, keys, objects
from hil.card.administration import AES_IDENTIFIERS
from hil.card.apdu import Command, Refusal, Reply, Sw
from hil.card.applet import SELECT, PivApplet
from hil.card.chip import Chip
from hil.card.fascn import Fascn
from hil.card.finger import Finger
from hil.card.memory import TRIES, Memory, PinPolicy, VerifyForm
from hil.card.pin import Pin, Puk
from hil.card.references import FINGERS
from hil.card.tlv import decode_set

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

DEFAULT_ALGORITHMS: Final[dict[keys.KeyName, keys.Algorithm]] = {
    "9A": "P-256",
    "9D": "P-256",
    "9E": "P-256",
}
# Four years, as an enrolment.
DEFAULT_LIFE: Final = timedelta(days=4 * 365)


def answer_to_reset(historical: bytes) -> bytes:
    """An ATR offering T=1 alone (ISO/IEC 7816-3:2006, 8.2), with its check byte."""
    body = bytes([0x80 | len(historical), 0x81, 0x31, 0xFE, 0x45]) + historical
    check = 0
    for byte in body:
        check ^= byte
    return b"\x3b" + body + bytes([check])


class Card(Protocol):
    """What a reader needs of a card."""

    @property
    def atr(self) -> bytes:
        """Answer to reset."""

    def power_on(self) -> Chip:
        """A chip with nothing left over from before."""


class PivCard:
    """A PIV card of a test holder."""

    def __init__(self, memory: Memory, atr: bytes) -> None:
        self._memory = memory
        self.atr = atr

    @classmethod
    def create(
        cls,
        *,
        algorithms: Mapping[keys.KeyName, keys.Algorithm] | None = None,
        ready_keys: Mapping[keys.KeyName, keys.PrivateKey] | None = None,
        pin_policy: PinPolicy = "never",
        pin: str = "123456",
        pin_tries: int = TRIES,
        puk: str = "12345678",
        puk_tries: int = TRIES,
        guid: UUID | None = None,
        expires: date | None = None,
        fascn: Fascn | None = None,
        fingers: Mapping[str, tuple[int, bytes]] | None = None,
        match_tries: int = TRIES,
        verify: VerifyForm = "raw",
        match_bound: bool = False,
        admin_key: bytes | None = None,
        factory: bool = False,
    ) -> PivCard:
        """A new card with keys and without certificates.

        Args:
            algorithms: which keys there are, and of what kind (9A, 9D and 9E, all P-256; a factory
                card has none).
            ready_keys: keys made before, for their references; the others are made now.
            pin_policy: for 9A and 9D; 9C always asks for the PIN, 9E never. A card that compares
                fingers asks for PIN or finger, whatever this says.
            pin: 6 to 8 decimal digits.
            pin_tries: wrong PINs in a row until it is blocked, 1 to 10.
            puk: eight bytes, as characters.
            puk_tries: as for the PIN.
            guid: the card's number in the CHUID; random if absent.
            expires: the CHUID's expiration date; in four years if absent.
            fascn: the CHUID's FASC-N; that of a card no agency issued if absent.
            fingers: by key reference ("96", "97"), the finger's position (ISO/IEC 19794-2: 1 right
                thumb .. 10 left little) and its reference, 3N bytes in the compact card format.
            match_tries: fingers that do not match, in a row, until that reference is blocked.
            verify: the form in which a probe is taken.
            match_bound: PIN and PUK are blocked, so that a finger alone opens the card.
            admin_key: 9B, an AES key of 16, 24 or 32 bytes; without one nothing can be put.
            factory: as the maker delivers it: no keys, no fingers, a 9B key (random if not given).

        Raises:
            ValueError: an argument no card could be made with.
        """
        if admin_key is not None and len(admin_key) not in AES_IDENTIFIERS:
            raise ValueError("an AES key has 16, 24 or 32 bytes")
        ready = dict(ready_keys or {})
        wanted = {**(algorithms or ({} if factory else DEFAULT_ALGORITHMS))}
        wanted |= {name: keys.algorithm_of(key) for name, key in ready.items()}
        held = {name: ready.get(name) or keys.generate(kind) for name, kind in wanted.items()}
        expires = expires or datetime.now(tz=UTC).date() + DEFAULT_LIFE
        memory = Memory(
            Pin(pin, pin_tries),
            Puk(puk, puk_tries),
            pin_policy,
            held,
            _contents(guid or uuid4(), expires, fascn or Fascn()),
            admin_key or (secrets.token_bytes(32) if factory else None),
            match_tries=match_tries,
            verify_form=verify,
        )
        if fingers:
            _hold(memory, fingers)
        card = cls(memory, _atr(pin_policy, verify, compares=bool(fingers)))
        if match_bound:
            card.block_pin()
            card.block_puk()
        return card

    @override
    def __repr__(self) -> str:
        kinds = " ".join(f"{n}:{keys.algorithm_of(k)}" for n, k in self._memory.keys.items())
        held = "".join(f", finger {key:02X}" for key in self._memory.fingers)
        return f"PivCard({self.guid}, {kinds}, pin {self._memory.pin_policy}{held})"

    def public_keys(self) -> dict[keys.KeyName, keys.PublicKey]:
        """What the caller issues certificates for."""
        return {name: key.public_key() for name, key in self._memory.keys.items()}

    def install(
        self,
        certificates: Mapping[keys.KeyName, bytes],
        *,
        compressed: Collection[keys.KeyName] = (),
    ) -> None:
        """Put DER certificates on the card, gzipped (71 01) for the references in `compressed`.

        Raises:
            ValueError: a certificate is not for the key at its reference.
        """
        for name, der in certificates.items():
            if _spki(x509.load_der_x509_certificate(der).public_key()) != _spki(
                self._memory.keys[name].public_key()
            ):
                raise ValueError(f"the certificate is not for this card's key {name}")
            tag = objects.CERTIFICATE_TAGS[name]
            content = objects.certificate(der, compressed=name in compressed)
            self._memory.objects[tag] = content

    @property
    def guid(self) -> UUID:
        """The card's number, as its CHUID has it now."""
        chuid = decode_set(self._memory.objects[objects.Tag.CHUID])
        return UUID(bytes=chuid[objects.CHUID_GUID])

    def clone(self) -> PivCard:
        """A forger's copy: everything that can be read, over keys of its own.

        It takes the same fingers, as if the forger had them too: only its keys give it away.
        """
        fresh = {n: keys.generate(keys.algorithm_of(k)) for n, k in self._memory.keys.items()}
        return self._with_keys(fresh)

    def crossed(self, name: keys.KeyName, uses: keys.KeyName) -> PivCard:
        """This card personalised wrongly: the reference `name` works with the key of `uses`."""
        return self._with_keys(self._memory.keys | {name: self._memory.keys[uses]})

    def _with_keys(self, held: dict[keys.KeyName, keys.PrivateKey]) -> PivCard:
        memory = copy.deepcopy(replace(self._memory, keys={}))
        memory.keys = held
        return PivCard(memory, self.atr)

    @property
    def puk(self) -> str:
        """The PUK it was given when it was made, or by its holder since."""
        return self._memory.puk.text

    @property
    def admin_key(self) -> bytes | None:
        """9B."""
        return self._memory.admin_key

    @property
    def pin_tries_left(self) -> int:
        """The PIN's retry counter."""
        return self._memory.pin.tries_left

    @property
    def puk_tries_left(self) -> int:
        """The PUK's retry counter."""
        return self._memory.puk.tries_left

    def match_tries_left(self, key: str) -> int:
        """The retry counter of a finger, "96" or "97". Raises KeyError: the card has none there."""
        return self._memory.fingers[int(key, 16)].retries.left

    def block_pin(self) -> None:
        """As after too many wrong PINs."""
        self._memory.pin.block()

    def block_puk(self) -> None:
        """As after too many wrong PUKs."""
        self._memory.puk.block()

    def block_fingers(self) -> None:
        """As after too many fingers that did not match."""
        for finger in self._memory.fingers.values():
            finger.retries.block()

    def power_on(self) -> Chip:
        """A chip with the application not selected and the PIN not given."""
        return Chip(PivApplet(self._memory))


class OtherCard:
    """A card without PIV on it: every name is unknown to it (6A82), and every other command."""

    atr: bytes = answer_to_reset(b"\x80TEST")
    chainable: frozenset[int] = frozenset()

    def power_on(self) -> Chip:
        """A chip that knows no application."""
        return Chip(self)

    def handle(self, command: Command) -> Reply:
        """Refuse."""
        selecting = command.ins == SELECT
        raise Refusal(Sw.NOT_FOUND if selecting else Sw.INSTRUCTION_NOT_SUPPORTED)


def _atr(pin_policy: PinPolicy, verify: VerifyForm, *, compares: bool) -> bytes:
    """ISO/IEC 7816-4, 12.1.1: category 80, then compact-TLV F9 with the PIV AID's first nine bytes.

    Kinds of card are told apart by one element more, 51 (12.1.1.8: card issuer's data): 01 asks for
    its PIN once a session, 02 takes a probe as ISO/IEC 7816-11 writes it.
    """
    kind = b""
    if verify == "7f2e":
        kind = b"\x51\x02"
    elif pin_policy == "once" and not compares:
        kind = b"\x51\x01"
    return answer_to_reset(b"\x80\xf9" + objects.AID_TRUNCATED + kind)


def _contents(guid: UUID, expires: date, fascn: Fascn) -> dict[int, bytes]:
    return {
        objects.Tag.CHUID: objects.chuid(guid, expires, fascn),
        objects.Tag.CAPABILITIES: objects.capabilities(),
        objects.Tag.DISCOVERY: objects.discovery(),
        objects.Tag.KEY_HISTORY: objects.key_history(),
        objects.Tag.FINGERPRINTS: objects.fingerprints(),
        objects.Tag.PRINTED: objects.printed(expires),
    }


def _hold(memory: Memory, fingers: Mapping[str, tuple[int, bytes]]) -> None:
    """As the issuer's commands would leave it."""
    for name, (_, reference) in fingers.items():
        key = int(name, 16)
        bit = bits.Bit(key, bits.MINIMUM, bits.MAXIMUM)
        if key not in FINGERS or not bit.takes(reference):
            raise ValueError("a finger is held at 96 or 97, as 12 to 60 minutiae of 3 bytes")
        memory.fingers[key] = Finger(reference, memory.match_tries)
    positions = {int(name, 16): position for name, (position, _) in fingers.items()}
    memory.objects[objects.Tag.BIT_GROUP] = bits.group(positions)
    memory.objects[objects.Tag.DISCOVERY] = objects.discovery(compares=True)


def _spki(key: object) -> bytes:
    if not isinstance(key, keys.PublicKey):
        raise ValueError("a key PIV does not use")  # noqa: TRY004 - a bad certificate, not a bad call
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
