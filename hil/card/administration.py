"""The issuer's commands: 9B mutual authentication, PUT DATA, GENERATE ASYMMETRIC KEY PAIR.

SP 800-73-5 part 2, 3.2.4 and 3.3. Real cards are personalised each in its maker's way, most over
secure messaging: what is here is the standard's own, in clear, as OpenSC's and Yubico's tools
speak it. An empty object is put to remove one, as those tools count on.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hil.card import bits, keys, objects
from hil.card.apdu import Command, Refusal, Reply, Sw
from hil.card.tlv import TlvError, decode, decode_one, decode_set, encode

if TYPE_CHECKING:
    from hil.card.memory import Memory
    from hil.card.status import Status

# SP 800-73-5 part 2, table "Card commands": INS, and the parameters of 3.3.1.
PUT_DATA: Final = 0xDB
GENERATE: Final = 0x47
PUT_DATA_CURRENT: Final = 0x3FFF
# SP 800-73-5 part 1, table 5: the PIV Card Application Administration Key.
ADMINISTRATION_KEY: Final = 0x9B
# SP 800-78-5, table 9: AES by the key's length in bytes.
AES_IDENTIFIERS: Final = {16: 0x08, 24: 0x0A, 32: 0x0C}
BLOCK_BYTES: Final = 16
# SP 800-73-5 part 2, 3.2.4: the dynamic authentication template.
DYNAMIC_AUTHENTICATION: Final = 0x7C
WITNESS: Final = 0x80
CHALLENGE: Final = 0x81
RESPONSE: Final = 0x82
# 3.3.2: control reference template and public key template.
CONTROL_REFERENCE: Final = 0xAC
MECHANISM: Final = 0x80
PUBLIC_KEY: Final = 0x7F49
_MECHANISMS: Final = {bytes([identifier]): name for name, identifier in keys.IDENTIFIERS.items()}
# Part 1, table 3: the data objects of PIV have tags 5FC1xx.
_PIV_OBJECTS: Final = b"\x5f\xc1"


class Administration:
    """These commands, over what the card remembers and what was proved to it."""

    def __init__(self, memory: Memory, status: Status) -> None:
        self._memory = memory
        self._status = status
        self._witness: bytes | None = None

    def authenticate(self, command: Command) -> Reply:
        """Mutual authentication with 9B, in two commands (3.2.4; appendix A.1).

        Raises:
            Refusal: 6A86 no such key, 6A80 not a step of it, 6982 the witness is wrong.
        """
        key = self._memory.admin_key
        if key is None or command.p1 != AES_IDENTIFIERS[len(key)]:
            raise Refusal(Sw.BAD_PARAMETERS)
        witness, self._witness = self._witness, None
        try:
            template = decode_set(decode_one(DYNAMIC_AUTHENTICATION, command.data))
        except TlvError:
            raise Refusal(Sw.BAD_DATA) from None
        # ECB of one random block is the block cipher itself, as the protocol has it.
        cipher = Cipher(algorithms.AES(key), modes.ECB())
        match template:
            case {0x80: b"", **rest} if not rest:
                self._witness = secrets.token_bytes(BLOCK_BYTES)
                answer = encode(WITNESS, cipher.encryptor().update(self._witness))
            case {0x80: shown, 0x81: challenge, **rest} if not any(
                rest.values()
            ) and rest.keys() <= {RESPONSE}:
                if len(challenge) != BLOCK_BYTES:
                    raise Refusal(Sw.BAD_DATA)
                self._status.administrator = False
                if witness is None or not hmac.compare_digest(shown, witness):
                    raise Refusal(Sw.SECURITY_STATUS)
                self._status.administrator = True
                answer = encode(RESPONSE, cipher.encryptor().update(challenge))
            case _:
                raise Refusal(Sw.BAD_DATA)
        return Reply(encode(DYNAMIC_AUTHENTICATION, answer))

    def put_data(self, command: Command) -> Reply:
        """Replace one data object whole (3.3.1). Raises Refusal."""
        self._require()
        if command.p1p2 != PUT_DATA_CURRENT:
            raise Refusal(Sw.BAD_PARAMETERS)
        try:
            tag, content = _object(decode(command.data))
        except TlvError:
            raise Refusal(Sw.BAD_DATA) from None
        without = {held: value for held, value in self._memory.objects.items() if held != tag}
        self._memory.objects = without | ({tag: content} if content else {})
        return Reply()

    def generate(self, command: Command) -> Reply:
        """Make a key pair, in the place of the one there was; its public key (3.3.2).

        Raises:
            Refusal: 6982, 6A86 no such key reference, 6A80 no mechanism of this card's.
        """
        self._require()
        name = keys.REFERENCES.get(command.p2)
        if name is None or command.p1:
            raise Refusal(Sw.BAD_PARAMETERS)
        try:
            template = decode_set(decode_one(CONTROL_REFERENCE, command.data))
        except TlvError:
            raise Refusal(Sw.BAD_DATA) from None
        algorithm = _MECHANISMS.get(template.pop(MECHANISM, b""))
        if algorithm is None or template:
            raise Refusal(Sw.BAD_DATA)
        made = keys.generate(algorithm)
        self._memory.keys = self._memory.keys | {name: made}
        return Reply(encode(PUBLIC_KEY, _public(made.public_key())))

    def _require(self) -> None:
        if not self._status.administrator:
            raise Refusal(Sw.SECURITY_STATUS)


def _object(fields: list[tuple[int, bytes]]) -> tuple[int, bytes]:
    """Tag and content of what is put: 7E and 7F61 bare, the others as 5C and 53."""
    match fields:
        case [(0x7E, content)]:
            objects.pin_usage_policy(content)
            return objects.Tag.DISCOVERY, content
        case [(0x7F61, content)]:
            bits.parse(content)
            return objects.Tag.BIT_GROUP, content
        case [(0x5C, tag), (0x53, content)]:
            if len(tag) != 3 or tag[:2] != _PIV_OBJECTS:
                raise Refusal(Sw.FUNCTION_NOT_SUPPORTED)
            return int.from_bytes(tag, "big"), content
        case _:
            raise TlvError("not what is put")


def _public(key: keys.PublicKey) -> bytes:
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        modulus = numbers.n.to_bytes(key.key_size // 8, "big")
        return encode(0x81, modulus) + encode(0x82, numbers.e.to_bytes(3, "big"))
    return encode(0x86, key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
