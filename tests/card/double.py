"""A PIV application in a few lines, for ScriptedCard: real keys, no connection.

Just what the pure tests need. The judge of the client is the virtual card of the rig, which shares
nothing with this.
"""

from __future__ import annotations

import datetime
import functools
import gzip
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

if TYPE_CHECKING:
    from sdbox_agent.errors import SdboxError

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
OK = b"\x90\x00"


def length(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    return b"\x81" + bytes([size]) if size < 0x100 else b"\x82" + size.to_bytes(2)


def tlv(tag: str, value: bytes) -> bytes:
    return bytes.fromhex(tag) + length(len(value)) + value


@functools.cache
def key(kind: str, name: str) -> Key:
    """One key a kind and name for the whole run: RSA is slow to make."""
    match kind:
        case "P-256":
            return ec.generate_private_key(ec.SECP256R1())
        case "P-384":
            return ec.generate_private_key(ec.SECP384R1())
        case _:
            return rsa.generate_private_key(65537, int(kind.removeprefix("RSA-")))


def certificate(holder: Key) -> bytes:
    return certificate_of(holder.public_key())


def certificate_of(public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test-holder-01")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1460))
        .sign(key("P-256", "issuer"), hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.DER)


class PivDouble:
    """Answers frames; `objects` and `refuse` may be changed by a test."""

    atr = bytes.fromhex("3B8B8131FE4580F9A000000308000010000000")

    def __init__(self, **kinds: str) -> None:
        chosen = {"9A": "P-256", "9D": "P-256", "9E": "P-256"} | kinds
        self.keys = {name: key(kind, name) for name, kind in chosen.items()}
        self.certificates = {name: certificate(k) for name, k in self.keys.items()}
        self.objects = {
            "7E": bytes.fromhex("7E124F0BA0000003080000100001005F2F024000"),
            "5FC102": chuid(),
            "5FC105": certificate_object(self.certificates["9A"]),
            "5FC10B": certificate_object(self.certificates["9D"], compressed=True),
            "5FC101": certificate_object(self.certificates["9E"]),
        }
        self.select = bytes.fromhex("61114F0600001000010079074F05A000000308") + OK
        self.refuse: dict[int, int] = {}  # key reference -> status word
        self.left = {0x80: 3}  # reference -> tries
        self.tries = 5  # after a success
        self.given: set[int] = set()  # references given or matched since reset
        self.pin = b"123456\xff\xff"
        self.fingers: dict[int, bytes] = {}  # a probe matches what is equal: no comparison here
        self.form = 0x20  # instruction a probe comes in
        self._chained = b""
        self._waiting = b""

    def __call__(self, frame: bytes) -> bytes | SdboxError:
        ins = frame[1]
        if ins == 0xC0:
            return self._send(frame[4] or 256)
        size = frame[4] if len(frame) > 5 else 0
        body = frame[5 : 5 + size]
        assert len(frame) == 4 or len(frame) - 5 - size in {0, 1}, "Lc and the data disagree"
        if frame[0] == 0x10:
            self._chained += body
            return OK
        body, self._chained = self._chained + body, b""
        if ins == 0xA4:
            return self.select
        if ins == 0xCB:
            found = self.objects.get(body[2:].hex().upper())
            if found is None:
                return b"\x6a\x82"
            self._waiting = found
            return self._send(256)
        if ins in {0x20, 0x21}:
            return self._verify(ins, frame[2], frame[3], body)
        assert ins == 0x87
        return self._authenticate(frame[2], frame[3], body)

    def _send(self, le: int) -> bytes:
        now, self._waiting = self._waiting[:le], self._waiting[le:]
        left = len(self._waiting)
        return now + (OK if not left else bytes([0x61, min(left, 0xFF)]))

    def hold(self, bits: str, *fingers: bytes, form: int = 0x20) -> PivDouble:
        """Have it hold fingers: its BIT group in hex, the probes that match."""
        self.objects["7F61"] = bytes.fromhex(bits)
        self.objects["7E"] = bytes.fromhex("7E124F0BA0000003080000100001005F2F025000")
        self.fingers = dict(zip((0x96, 0x97), fingers, strict=False))
        self.left |= dict.fromkeys(self.fingers, self.tries)
        self.form = form
        return self

    def _verify(self, ins: int, p1: int, reference: int, body: bytes) -> bytes:
        if reference not in self.left:
            return b"\x6a\x88"
        if p1 == 0xFF:
            self.given.discard(reference)
            return OK
        if not body:
            return OK if reference in self.given else self._tries(reference)
        if not self.left[reference]:
            return b"\x69\x83"
        wanted = self.pin if reference == 0x80 else self.fingers[reference]
        if reference != 0x80 and self.form == 0x21:
            wanted = tlv("7F2E", tlv("81", wanted))
        assert ins == (0x20 if reference == 0x80 else self.form)
        if body == wanted:
            self.left[reference] = self.tries
            self.given.add(reference)
            return OK
        self.left[reference] -= 1
        return self._tries(reference)

    def _tries(self, reference: int) -> bytes:
        left = self.left[reference]
        return bytes([0x63, 0xC0 | left]) if left else b"\x69\x83"

    def _authenticate(self, algorithm: int, reference: int, body: bytes) -> bytes:
        if reference in self.refuse:
            return self.refuse[reference].to_bytes(2)
        private = self.keys[f"{reference:02X}"]
        if isinstance(private, rsa.RSAPrivateKey):
            size = private.key_size // 8
            assert algorithm == {256: 0x07, 384: 0x05}[size]
            assert body[:-size].endswith(b"\x82\x00\x81\x82" + size.to_bytes(2))
            self._waiting = tlv("7C", tlv("82", raw_rsa(private, body[-size:])))
            return self._send(256)
        size = private.key_size // 8
        assert algorithm == {32: 0x11, 48: 0x14}[size]
        if body[4] == 0x85:
            point = body[-(2 * size + 1) :]
            assert body == tlv("7C", tlv("82", b"") + tlv("85", point))
            peer = ec.EllipticCurvePublicKey.from_encoded_point(private.curve, point)
            return tlv("7C", tlv("82", private.exchange(ec.ECDH(), peer))) + OK
        digest = body[-size:]
        assert body == tlv("7C", tlv("82", b"") + tlv("81", digest))
        kind = hashes.SHA256() if size == 32 else hashes.SHA384()
        return tlv("7C", tlv("82", private.sign(digest, ec.ECDSA(Prehashed(kind))))) + OK


def raw_rsa(private: rsa.RSAPrivateKey, block: bytes) -> bytes:
    """The bare private operation (RFC 8017 section 5.1.2), as a card does it."""
    numbers = private.private_numbers()
    base = int.from_bytes(block)
    p = pow(base, numbers.dmp1, numbers.p)
    q = pow(base, numbers.dmq1, numbers.q)
    plain = q + numbers.q * (numbers.iqmp * (p - q) % numbers.p)
    return plain.to_bytes(private.key_size // 8)


def chuid(guid: bytes = bytes(range(16)), expires: bytes = b"20300101") -> bytes:
    return tlv(
        "53",
        tlv("30", bytes(25)) + tlv("34", guid) + tlv("35", expires) + b"\x3e\x00" + b"\xfe\x00",
    )


def certificate_object(der: bytes, *, compressed: bool = False) -> bytes:
    content = gzip.compress(der) if compressed else der
    return tlv("53", tlv("70", content) + tlv("71", bytes([compressed])) + b"\xfe\x00")
