"""A bare PIV client for the virtual card's own tests, and certificates for it to hold."""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.x509.oid import NameOID

from hil.card.card import PivCard
from hil.card.keys import IDENTIFIERS

Transmit = Callable[[bytes], bytes]

SELECT_PIV = bytes.fromhex("00A4040009A0000003080000100000")
PIN_FIELD = b"123456\xff\xff"


def verify(field: bytes = PIN_FIELD) -> bytes:
    return bytes([0x00, 0x20, 0x00, 0x80, len(field)]) + field


def sw_of(reply: bytes) -> int:
    return int.from_bytes(reply[-2:], "big")


def exchange(transmit: Transmit, command: bytes) -> tuple[bytes, int]:
    """One command, with every GET RESPONSE its answer asks for."""
    reply = transmit(command)
    data = reply[:-2]
    while reply[-2] == 0x61:
        reply = transmit(bytes([0x00, 0xC0, 0x00, 0x00, reply[-1]]))
        data += reply[:-2]
    return data, sw_of(reply)


def get_data(transmit: Transmit, tag: int) -> tuple[bytes, int]:
    name = tag.to_bytes((tag.bit_length() + 7) // 8, "big")
    body = bytes([0x5C, len(name)]) + name
    return exchange(transmit, bytes([0x00, 0xCB, 0x3F, 0xFF, len(body)]) + body + b"\x00")


def lengths(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    if size < 0x100:
        return bytes([0x81, size])
    return bytes([0x82, size >> 8, size & 0xFF])


def template(tag: int, value: bytes) -> bytes:
    inner = b"\x82\x00" + bytes([tag]) + lengths(len(value)) + value
    return b"\x7c" + lengths(len(inner)) + inner


def authenticate(
    transmit: Transmit, algorithm: str, key: int, body: bytes, chunk: int = 255
) -> tuple[bytes, int]:
    """GENERAL AUTHENTICATE, chained; the value of the response tag (82), and the status word."""
    p1 = IDENTIFIERS[algorithm]
    pieces = [body[i : i + chunk] for i in range(0, len(body), chunk)]
    for piece in pieces[:-1]:
        reply = transmit(bytes([0x10, 0x87, p1, key, len(piece)]) + piece)
        if reply != b"\x90\x00":
            return b"", sw_of(reply)
    last = pieces[-1]
    data, sw = exchange(transmit, bytes([0x00, 0x87, p1, key, len(last)]) + last + b"\x00")
    if sw != 0x9000:
        return b"", sw
    inner = value_of(0x7C, data)
    return value_of(0x82, inner), sw


def value_of(tag: int, data: bytes) -> bytes:
    """The value of a data object with a tag of one byte that is all of `data`."""
    assert data[0] == tag
    first = data[1]
    count = first & 0x7F if first & 0x80 else 0
    size = int.from_bytes(data[2 : 2 + count], "big") if count else first
    assert len(data) == 2 + count + size
    return data[2 + count :]


def self_made(card: PivCard) -> dict:
    """A certificate for each key of the card, all by one throw-away issuer."""
    issuer_key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test-issuer")])
    now = datetime.now(tz=UTC)
    made = {}
    for name, key in card.public_keys().items():
        agreement = name == "9D" and isinstance(key, ec.EllipticCurvePublicKey)
        usage = x509.KeyUsage(
            digital_signature=name != "9D",
            content_commitment=name == "9C",
            key_encipherment=name == "9D" and not agreement,
            data_encipherment=False,
            key_agreement=agreement,
            key_cert_sign=False,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test-holder-01 {name}")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(usage, critical=True)
            .sign(issuer_key, hashes.SHA256())
        )
        made[name] = certificate.public_bytes(serialization.Encoding.DER)
    return made


def three_n(seed: int, count: int = 40) -> bytes:
    """The compact minutiae of a made-up finger, in ascending order of Y and X."""
    grown = random.Random(seed)
    places = sorted((grown.randrange(256), grown.randrange(256)) for _ in range(count))
    return b"".join(
        bytes([x, y, grown.choice([0x40, 0x80]) | grown.randrange(64)]) for y, x in places
    )


def command(ins: int, p1: int, p2: int, data: bytes = b"", le: bytes = b"") -> bytes:
    """A short command APDU."""
    return bytes([0x00, ins, p1, p2]) + (bytes([len(data)]) + data if data else b"") + le


def chained(transmit: Transmit, whole: bytes, data: bytes, chunk: int = 255) -> tuple[bytes, int]:
    """One command with `data`, in as many pieces as it takes; `whole` is CLA INS P1 P2."""
    pieces = [data[i : i + chunk] for i in range(0, len(data), chunk)]
    for piece in pieces[:-1]:
        reply = transmit(bytes([0x10]) + whole[1:] + bytes([len(piece)]) + piece)
        if reply != b"\x90\x00":
            return b"", sw_of(reply)
    return exchange(transmit, whole + bytes([len(pieces[-1])]) + pieces[-1])


@dataclass
class Issuer:
    """What personalises a card, over plain APDUs; each method gives the status word."""

    transmit: Transmit
    key: bytes

    def witness(self) -> bytes:
        data, sw = exchange(self.transmit, bytes.fromhex("00870C9B047C02800000"))
        assert sw == 0x9000
        return value_of(0x80, value_of(0x7C, data))

    def authenticate(self, key: bytes | None = None) -> int:
        """Both steps; the card's own answer is checked too."""
        cipher = Cipher(algorithms.AES(key or self.key), modes.ECB())
        shown = cipher.decryptor().update(self.witness())
        challenge = os.urandom(16)
        body = b"\x7c\x24\x80\x10" + shown + b"\x81\x10" + challenge
        data, sw = exchange(self.transmit, command(0x87, 0x0C, 0x9B, body, b"\x00"))
        if sw == 0x9000:
            expected = cipher.encryptor().update(challenge)
            assert value_of(0x82, value_of(0x7C, data)) == expected
        return sw

    def generate(self, name: str, algorithm: str) -> tuple[bytes, int]:
        body = bytes([0xAC, 3, 0x80, 1, IDENTIFIERS[algorithm]])
        return exchange(self.transmit, command(0x47, 0, int(name, 16), body, b"\x00"))

    def put(self, tag: int, content: bytes) -> int:
        """7E and 7F61 bare."""
        name = tag.to_bytes((tag.bit_length() + 7) // 8, "big")
        if len(name) < 3:
            data = name + lengths(len(content)) + content
        else:
            data = b"\x5c\x03" + name + b"\x53" + lengths(len(content)) + content
        return chained(self.transmit, b"\x00\xdb\x3f\xff", data)[1]

    def store(self, key: int, reference: bytes) -> int:
        return chained(self.transmit, bytes([0x00, 0x24, 0x01, key]), reference)[1]
