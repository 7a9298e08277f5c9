"""The PIV Card Application on the contact interface (SP 800-73-5 part 2, section 3).

Knows SELECT, GET DATA and GENERAL AUTHENTICATE, and who may use which key; hands what concerns PIN
and fingers to `references`, and what the issuer does to `administration`. Does not know chaining,
GET RESPONSE or Le: the chip does. Not here: secure messaging, the global PIN, the pairing code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hil.card import administration, keys, objects, references
from hil.card.apdu import Command, Refusal, Reply, Sw
from hil.card.status import Status
from hil.card.tlv import TlvError, decode_one, decode_set, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.card.memory import Memory

# SP 800-73-5 part 2, section 3, "Card commands": INS.
SELECT: Final = 0xA4
GET_DATA: Final = 0xCB
VERIFY: Final = references.VERIFY
GENERAL_AUTHENTICATE: Final = 0x87
# Its parameters.
SELECT_BY_NAME: Final = 0x0400  # 3.1.1
GET_DATA_CURRENT: Final = 0x3FFF  # 3.1.2
# SP 800-73-5 part 2, 3.2.4: the dynamic authentication template.
DYNAMIC_AUTHENTICATION: Final = 0x7C
CHALLENGE: Final = 0x81
RESPONSE: Final = 0x82
EXPONENTIATION: Final = 0x85

_LABEL: Final = b"SDBOX TEST CARD"


class PivApplet:
    """One power-on of the application over what the card remembers."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._status = Status()
        self._administration = administration.Administration(memory, self._status)
        verifying = references.References(memory, self._status)
        self._handlers: dict[int, Callable[[Command], Reply]] = {
            GET_DATA: self._get_data,
            GENERAL_AUTHENTICATE: self._general_authenticate,
            references.VERIFY: verifying.verify,
            references.CHANGE_REFERENCE_DATA: verifying.change,
            references.RESET_RETRY_COUNTER: verifying.reset,
            administration.PUT_DATA: self._administration.put_data,
            administration.GENERATE: self._administration.generate,
        }
        if memory.verify_form == "7f2e":
            self._handlers[references.VERIFY_OBJECT] = verifying.verify

    @property
    def chainable(self) -> frozenset[int]:
        """The commands that may come in pieces (part 2, table "Card commands", and its notes)."""
        always = {GENERAL_AUTHENTICATE, administration.PUT_DATA, administration.GENERATE}
        always.add(references.CHANGE_REFERENCE_DATA)
        if self._memory.compares:
            always |= {references.VERIFY, references.VERIFY_OBJECT}
        return frozenset(always)

    def handle(self, command: Command) -> Reply:
        """Carry out one whole command.

        Raises:
            Refusal: the status word with which the card says no.
        """
        if command.ins == SELECT:
            return self._select(command)
        handler = self._handlers.get(command.ins) if self._status.selected else None
        if handler is None:
            raise Refusal(Sw.INSTRUCTION_NOT_SUPPORTED)
        return handler(command)

    def _select(self, command: Command) -> Reply:
        """3.1.1: another name changes nothing; the same again keeps the security status.

        The name may be cut down to the provider's part (ISO/IEC 7816-4, 7.1.1: right truncation),
        as card platforms allow and Yubico's tools do; PIV itself asks for two forms of it.
        """
        if command.p1p2 != SELECT_BY_NAME:
            raise Refusal(Sw.BAD_PARAMETERS)
        name = command.data
        if len(name) < len(objects.PIV_RID) or not objects.AID.startswith(name):
            raise Refusal(Sw.NOT_FOUND)
        self._status.selected = True
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
        pin_given = references.PIV_PIN in self._status.proved
        if tag in objects.PIN_TO_READ and not pin_given:
            raise Refusal(Sw.SECURITY_STATUS)
        if tag in objects.PIN_OR_FINGER_TO_READ and not self._status.proved:
            raise Refusal(Sw.SECURITY_STATUS)
        return Reply(objects.on_wire(tag, content))

    def _general_authenticate(self, command: Command) -> Reply:
        if command.p2 == administration.ADMINISTRATION_KEY:
            return self._administration.authenticate(command)
        name = keys.REFERENCES.get(command.p2)
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
        """Part 1, table 5: 9E always; 9C "PIN always or OCC always"; 9A and 9D "PIN or OCC"."""
        if name == "9E":
            return
        if name == "9C":
            if not self._status.fresh:
                raise Refusal(Sw.SECURITY_STATUS)
            self._status.fresh = False
            return
        bound = self._memory.pin_policy == "once" or self._memory.compares
        if bound and not self._status.proved:
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
