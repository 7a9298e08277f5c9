"""A card as one holds it: made, personalised, put into a reader, kept.

What it remembers survives removal; each power-on gives a fresh chip. Keys are random on each run,
unless the caller brings some it made before (RSA is slow).
"""

from __future__ import annotations

import copy
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID, uuid4

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from typing_extensions import override

from hil.card import keys, objects
from hil.card.apdu import Command, Refusal, Reply, Sw
from hil.card.applet import SELECT, PivApplet
from hil.card.chip import Chip
from hil.card.fascn import Fascn
from hil.card.memory import Memory, PinPolicy
from hil.card.pin import Pin

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

    # ISO/IEC 7816-4, 12.1.1: category 80, then compact-TLV F9 with the PIV AID's first nine bytes.
    atr: bytes = answer_to_reset(b"\x80\xf9" + objects.AID_TRUNCATED)

    def __init__(self, memory: Memory, guid: UUID) -> None:
        self._memory = memory
        self.guid = guid

    @classmethod
    def create(
        cls,
        *,
        algorithms: Mapping[keys.KeyName, keys.Algorithm] | None = None,
        ready_keys: Mapping[keys.KeyName, keys.PrivateKey] | None = None,
        pin_policy: PinPolicy = "never",
        pin: str = "123456",
        pin_tries: int = 5,
        guid: UUID | None = None,
        expires: date | None = None,
        fascn: Fascn | None = None,
    ) -> PivCard:
        """A new card with keys and without certificates.

        Args:
            algorithms: which keys there are, and of what kind (9A, 9D and 9E, all P-256).
            ready_keys: keys made before, for their references; the others are made now.
            pin_policy: for 9A and 9D; 9C always asks for the PIN, 9E never.
            pin: 6 to 8 decimal digits.
            pin_tries: wrong PINs in a row until it is blocked, 1 to 10.
            guid: the card's number in the CHUID; random if absent.
            expires: the CHUID's expiration date; in four years if absent.
            fascn: the CHUID's FASC-N; that of a card no agency issued if absent.
        """
        ready = dict(ready_keys or {})
        wanted = {**(algorithms or DEFAULT_ALGORITHMS)}
        wanted |= {name: keys.algorithm_of(key) for name, key in ready.items()}
        guid = guid or uuid4()
        expires = expires or datetime.now(tz=UTC).date() + DEFAULT_LIFE
        held = {name: ready.get(name) or keys.generate(kind) for name, kind in wanted.items()}
        contents: dict[int, bytes] = {
            objects.Tag.CHUID: objects.chuid(guid, expires, fascn or Fascn()),
            objects.Tag.CAPABILITIES: objects.capabilities(),
            objects.Tag.DISCOVERY: objects.discovery(),
            objects.Tag.KEY_HISTORY: objects.key_history(),
            objects.Tag.FINGERPRINTS: objects.fingerprints(),
            objects.Tag.PRINTED: objects.printed(expires),
        }
        return cls(Memory(Pin(pin, pin_tries), pin_policy, held, contents), guid)

    @override
    def __repr__(self) -> str:
        kinds = " ".join(f"{n}:{keys.algorithm_of(k)}" for n, k in self._memory.keys.items())
        return f"PivCard({self.guid}, {kinds}, pin {self._memory.pin_policy})"

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

    def clone(self) -> PivCard:
        """A forger's copy: everything that can be read, over keys of its own."""
        fresh = {n: keys.generate(keys.algorithm_of(k)) for n, k in self._memory.keys.items()}
        return self._with_keys(fresh)

    def crossed(self, name: keys.KeyName, uses: keys.KeyName) -> PivCard:
        """This card personalised wrongly: the reference `name` works with the key of `uses`."""
        return self._with_keys(self._memory.keys | {name: self._memory.keys[uses]})

    def _with_keys(self, held: dict[keys.KeyName, keys.PrivateKey]) -> PivCard:
        old = self._memory
        memory = Memory(copy.copy(old.pin), old.pin_policy, held, dict(old.objects))
        return PivCard(memory, self.guid)

    @property
    def pin_tries_left(self) -> int:
        """The PIN's retry counter."""
        return self._memory.pin.tries_left

    def block_pin(self) -> None:
        """As after too many wrong PINs."""
        self._memory.pin.block()

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


def _spki(key: object) -> bytes:
    if not isinstance(key, keys.PublicKey):
        raise ValueError("a key PIV does not use")  # noqa: TRY004 - a bad certificate, not a bad call
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
