"""The commands about PIN, PUK and fingers: VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER.

SP 800-73-5 part 2, 3.2.1 to 3.2.3. Knows the formats and the order in which things are looked at;
does not know how a finger is compared, nor what a PIN opens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hil.card import bits, objects
from hil.card.apdu import Command, Refusal, Reply, Sw
from hil.card.finger import Finger
from hil.card.pin import PIN_FIELD_BYTES
from hil.card.tlv import TlvError

if TYPE_CHECKING:
    from hil.card.memory import Memory
    from hil.card.pin import Pin
    from hil.card.status import Status

# SP 800-73-5 part 2, table "Card commands"; 21 is ISO/IEC 7816-4's VERIFY with a data object.
VERIFY: Final = 0x20
VERIFY_OBJECT: Final = 0x21
CHANGE_REFERENCE_DATA: Final = 0x24
RESET_RETRY_COUNTER: Final = 0x2C
# Their parameters.
RESET_STATUS: Final = 0xFF  # 3.2.1: P1
# SP 800-73-5 part 1, table 4.
PIV_PIN: Final = 0x80
PUK: Final = 0x81
FINGERS: Final = frozenset({0x96, 0x97})


class References:
    """These commands, over what the card remembers and what was proved to it."""

    def __init__(self, memory: Memory, status: Status) -> None:
        self._memory = memory
        self._status = status

    def verify(self, command: Command) -> Reply:
        """VERIFY in either form (3.2.1). Raises Refusal."""
        if command.p1 not in (0x00, RESET_STATUS):
            raise Refusal(Sw.BAD_PARAMETERS)
        if command.ins == VERIFY_OBJECT and command.p2 not in FINGERS:
            raise Refusal(Sw.REFERENCE_NOT_FOUND)
        held, bit = self._held(command.p2)
        if command.p1 == RESET_STATUS:
            if command.data:
                raise Refusal(Sw.BAD_DATA)
            self._status.forget(command.p2)
            return Reply()
        if not command.data:
            if command.p2 in self._status.proved:
                return Reply()
            raise held.retries.state()
        held.retries.require()
        given = command.data if bit is None else self._probe(command, bit)
        self._compare(held, command.p2, given)
        self._status.prove(command.p2)
        return Reply()

    def _compare(self, held: Pin | Finger, key: int, given: bytes) -> None:
        """A miss takes away what was proved before; bytes that are no such thing do not."""
        try:
            held.check(given)
        except Refusal as refusal:
            if refusal.sw & 0xFFF0 == Sw.TRIES_LEFT:
                self._status.forget(key)
            raise

    def _held(self, key: int) -> tuple[Pin | Finger, bits.Bit | None]:
        """What the reference stands for, as Discovery object and BIT group allow; 6A88."""
        if key == PIV_PIN:
            return self._memory.pin, None
        finger = self._memory.fingers.get(key) if self._memory.compares else None
        bit = self._bits().get(key)
        if finger is None or bit is None:
            raise Refusal(Sw.REFERENCE_NOT_FOUND)
        return finger, bit

    def _bits(self) -> dict[int, bits.Bit]:
        content = self._memory.objects.get(objects.Tag.BIT_GROUP)
        return bits.parse(content) if content else {}

    def _probe(self, command: Command, bit: bits.Bit) -> bytes:
        """The 3N bytes, in the one form this card takes."""
        wrapped = command.ins == VERIFY_OBJECT
        if wrapped != (self._memory.verify_form == "7f2e"):
            raise Refusal(Sw.BAD_DATA)
        try:
            probe = bits.probe_of(command.data) if wrapped else command.data
        except TlvError:
            raise Refusal(Sw.BAD_DATA) from None
        if not bit.takes(probe):
            raise Refusal(Sw.BAD_DATA)
        return probe

    def change(self, command: Command) -> Reply:
        """CHANGE REFERENCE DATA (3.2.2): PIN or PUK by the old one, a finger by the issuer.

        Raises:
            Refusal: see the clause; 6982 for a finger, if the issuer was not proved by 9B.
        """
        memory = self._memory
        match command.p1, command.p2:
            case 0x00, 0x80:
                new = self._halves(memory.pin, memory.pin, PIV_PIN, command.data)
                memory.pin = memory.pin.replaced(new)
                self._status.prove(PIV_PIN)
            case 0x00, 0x81:
                new = self._halves(memory.puk, memory.puk, PUK, command.data)
                memory.puk = memory.puk.replaced(new)
            case 0x01, key if key in FINGERS:
                self._store(key, command.data)
            case ((0x00 | 0x01), _):
                raise Refusal(Sw.REFERENCE_NOT_FOUND)
            case _:
                raise Refusal(Sw.BAD_PARAMETERS)
        return Reply()

    def reset(self, command: Command) -> Reply:
        """RESET RETRY COUNTER (3.2.3): another PIN by the PUK. Raises Refusal."""
        if command.p1:
            raise Refusal(Sw.BAD_PARAMETERS)
        if command.p2 != PIV_PIN:
            raise Refusal(Sw.REFERENCE_NOT_FOUND)
        memory = self._memory
        memory.pin = memory.pin.replaced(
            self._halves(memory.puk, memory.pin, PIV_PIN, command.data)
        )
        return Reply()

    def _halves(self, opener: Pin, target: Pin, key: int, data: bytes) -> bytes:
        """The new field behind the opener's, if that is right and both are well-formed.

        A miss costs the opener a try, and the `key` its status (3.2.2, 3.2.3).
        """
        opener.retries.require()
        given, new = data[:PIN_FIELD_BYTES], data[PIN_FIELD_BYTES:]
        if not opener.well_formed(given) or not target.well_formed(new):
            raise Refusal(Sw.BAD_DATA)
        self._compare(opener, key, given)
        return new

    def _store(self, key: int, reference: bytes) -> None:
        """A finger's 3N bytes, with all its tries (3.2.3, footnote), once the issuer is there."""
        if not self._status.administrator:
            raise Refusal(Sw.SECURITY_STATUS)
        bit = self._bits().get(key) or bits.Bit(key, bits.MINIMUM, bits.MAXIMUM)
        if not bit.takes(reference):
            raise Refusal(Sw.BAD_DATA)
        memory = self._memory
        memory.fingers = memory.fingers | {key: Finger(reference, memory.match_tries)}
        self._status.forget(key)
