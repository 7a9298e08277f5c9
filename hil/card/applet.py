"""The PIV Card Application on the contact interface (SP 800-73-5 part 2, section 3).

Knows SELECT, GET DATA, VERIFY and GENERAL AUTHENTICATE, and holds what lasts from power-on to
power-off: selected or not, PIN given or not. Does not know chaining, GET RESPONSE or Le: the chip
does. Not here: PUT DATA and GENERATE (keys are made when the card is), CHANGE REFERENCE DATA, RESET
RETRY COUNTER, on-card comparison, secure messaging.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hil.card import keys, objects
from hil.card.apdu import Command, Refusal, Reply, Sw
from hil.card.tlv import TlvError, decode_one, decode_set, encode

if TYPE_CHECKING:
    from hil.card.memory import Memory

# SP 800-73-5 part 2, section 3, "Card commands": INS.
SELECT: Final = 0xA4
GET_DATA: Final = 0xCB
VERIFY: Final = 0x20
GENERAL_AUTHENTICATE: Final = 0x87
# Its parameters.
SELECT_BY_NAME: Final = 0x0400  # 3.1.1
GET_DATA_CURRENT: Final = 0x3FFF  # 3.1.2
VERIFY_RESET: Final = 0xFF  # 3.2.1
# SP 800-73-5 part 1, tables 4 and 5: key references.
PIV_PIN: Final = 0x80
KEY_REFERENCES: Final[dict[int, keys.KeyName]] = {int(name, 16): name for name in keys.KEY_NAMES}
# SP 800-73-5 part 2, 3.2.4: the dynamic authentication template.
DYNAMIC_AUTHENTICATION: Final = 0x7C
CHALLENGE: Final = 0x81
RESPONSE: Final = 0x82
EXPONENTIATION: Final = 0x85

_LABEL: Final = b"SDBOX TEST CARD"


class PivApplet:
    """One power-on of the application over what the card remembers."""

    # The commands that may come in pieces (table "Card commands"; VERIFY only where there is OCC).
    chainable: frozenset[int] = frozenset({GENERAL_AUTHENTICATE})

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._selected = False
        self._pin_given = False
        self._pin_fresh = False

    def handle(self, command: Command) -> Reply:
        """Carry out one whole command.

        Raises:
            Refusal: the status word with which the card says no.
        """
        if command.ins == SELECT:
            return self._select(command)
        if not self._selected:
            raise Refusal(Sw.INSTRUCTION_NOT_SUPPORTED)
        handlers = {
            GET_DATA: self._get_data,
            VERIFY: self._verify,
            GENERAL_AUTHENTICATE: self._general_authenticate,
        }
        handler = handlers.get(command.ins)
        if handler is None:
            raise Refusal(Sw.INSTRUCTION_NOT_SUPPORTED)
        return handler(command)

    def _select(self, command: Command) -> Reply:
        """3.1.1: another name changes nothing; the same again keeps the security status."""
        if command.p1p2 != SELECT_BY_NAME:
            raise Refusal(Sw.BAD_PARAMETERS)
        if command.data not in (objects.AID, objects.AID_TRUNCATED):
            raise Refusal(Sw.NOT_FOUND)
        self._selected = True
        authority = encode(0x79, encode(0x4F, objects.PIV_RID))
        properties = encode(0x4F, objects.AID) + authority + encode(0x50, _LABEL)
        return Reply(encode(0x61, properties))

    def _get_data(self, command: Command) -> Reply:
        if command.p1p2 != GET_DATA_CURRENT:
            raise Refusal(Sw.BAD_PARAMETERS)
        try:
            wanted = decode_one(0x5C, command.data)
        except TlvError:
            raise Refusal(Sw.BAD_DATA) from None
        tag = int.from_bytes(wanted, "big")
        content = self._memory.objects.get(tag)
        if content is None:
            raise Refusal(Sw.NOT_FOUND)
        if tag in objects.PIN_TO_READ and not self._pin_given:
            raise Refusal(Sw.SECURITY_STATUS)
        return Reply(objects.on_wire(tag, content))

    def _verify(self, command: Command) -> Reply:
        if command.p1 not in (0x00, VERIFY_RESET):
            raise Refusal(Sw.BAD_PARAMETERS)
        if command.p2 != PIV_PIN:
            raise Refusal(Sw.REFERENCE_NOT_FOUND)
        if command.p1 == VERIFY_RESET:
            if command.data:
                raise Refusal(Sw.BAD_DATA)
            self._pin_given = self._pin_fresh = False
            return Reply()
        if not command.data:
            if self._pin_given:
                return Reply()
            raise Refusal(Sw.TRIES_LEFT | self._memory.pin.tries_left)
        try:
            self._memory.pin.check(command.data)
        except Refusal as refusal:
            if refusal.sw & 0xFFF0 == Sw.TRIES_LEFT:
                self._pin_given = self._pin_fresh = False
            raise
        self._pin_given = self._pin_fresh = True
        return Reply()

    def _general_authenticate(self, command: Command) -> Reply:
        name = KEY_REFERENCES.get(command.p2)
        key = self._memory.keys.get(name) if name else None
        if name is None or key is None:
            raise Refusal(Sw.BAD_PARAMETERS)
        if command.p1 != keys.IDENTIFIERS[keys.algorithm_of(key)]:
            raise Refusal(Sw.BAD_PARAMETERS)
        self._authorise(name)
        try:
            result = _operate(name, key, command.data)
        except (TlvError, keys.KeyInputError):
            raise Refusal(Sw.BAD_DATA) from None
        return Reply(encode(DYNAMIC_AUTHENTICATION, encode(RESPONSE, result)))

    def _authorise(self, name: keys.KeyName) -> None:
        """SP 800-73-5 part 1, table 5: 9E always, 9C "PIN always", 9A and 9D "PIN"."""
        if name == "9E":
            return
        if name == "9C":
            if not self._pin_fresh:
                raise Refusal(Sw.SECURITY_STATUS)
            self._pin_fresh = False
            return
        if self._memory.pin_policy == "once" and not self._pin_given:
            raise Refusal(Sw.SECURITY_STATUS)


def _operate(name: keys.KeyName, key: keys.PrivateKey, data: bytes) -> bytes:
    """The operation the template asks for: 81 to sign or decrypt, 85 (9D alone) to agree."""
    template = decode_set(decode_one(DYNAMIC_AUTHENTICATION, data))
    if template.pop(RESPONSE, None) != b"":
        raise keys.KeyInputError("the response is not asked for")
    match list(template.items()), key:
        case [(tag, block)], rsa.RSAPrivateKey() if tag == CHALLENGE:
            return keys.exponentiate(key, block)
        # An elliptic-curve key management key establishes keys; the others sign (3.2.4).
        case [(tag, point)], ec.EllipticCurvePrivateKey() if tag == EXPONENTIATION and name == "9D":
            return keys.agree(key, point)
        case [(tag, digest)], ec.EllipticCurvePrivateKey() if tag == CHALLENGE and name != "9D":
            return keys.sign(key, digest)
        case _:
            raise keys.KeyInputError("an operation this key does not have")
