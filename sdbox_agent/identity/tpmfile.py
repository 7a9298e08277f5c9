"""A key that a TPM has wrapped, as a file: of use to that one TPM alone. Pure.

The form is the "TSS2 PRIVATE KEY" of OpenSSL's TPM providers (TPMKey, OID 2.23.133.10.1.3), so
that others' tools read it, after one line of ours that names the chip:

    Chip: 000b…
    -----BEGIN TSS2 PRIVATE KEY-----

One kind of key is taken: P-256, for signatures only, made in the chip, and such that the chip
never gives it away (`fixedTPM`, `fixedParent`, `sensitiveDataOrigin`): all of that stands in its
public area, which the TPM holds against the private one as it loads them.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import der

# TPM 2.0 Library, part 2: 12.2.4 TPMT_PUBLIC; 6.3 algorithms; 6.4 curves; 8.3 TPMA_OBJECT
FILE: Final = "statement.tpm"  # beside its certificate; a key that is no chip's is statement.key
ALG_ECC: Final = 0x0023
ALG_SHA256: Final = 0x000B
ALG_NULL: Final = 0x0010
ALG_AES, AES_BITS, ALG_CFB = 0x0006, 128, 0x0043
NIST_P256: Final = 0x0003
FIXED_TPM, FIXED_PARENT, SENSITIVE_DATA_ORIGIN = 1 << 1, 1 << 4, 1 << 5
USER_WITH_AUTH, NO_DA, RESTRICTED, DECRYPT, SIGN = 1 << 6, 1 << 10, 1 << 16, 1 << 17, 1 << 18
BOUND: Final = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | USER_WITH_AUTH | NO_DA
ATTRIBUTES: Final = BOUND | SIGN
PARENT_ATTRIBUTES: Final = BOUND | RESTRICTED | DECRYPT
NAME_BYTES: Final = 2 + 32  # part 1, 16: the name's algorithm, then the digest
MAX_PRIVATE_BYTES: Final = 1024
COORDINATE_BYTES: Final = 32
# Owner's hierarchy: the parent is made anew from the chip's seed (part 2, 7.4).
RH_OWNER: Final = 0x40000001

# type, nameAlg, attributes, no policy, no symmetric cipher, any scheme, the curve, no KDF
HEAD: Final = b"".join(
    value.to_bytes(size)
    for value, size in (
        (ALG_ECC, 2), (ALG_SHA256, 2), (ATTRIBUTES, 4), (0, 2),
        (ALG_NULL, 2), (ALG_NULL, 2), (NIST_P256, 2), (ALG_NULL, 2),
    )
)  # fmt: skip
TEMPLATE: Final = HEAD + bytes(4)  # with no point yet: what Create is given
# TCG TPM v2.0 Provisioning Guidance, 7.5.1, as OpenSSL's providers make it: the parent of such keys
PARENT: Final = b"".join(
    value.to_bytes(size)
    for value, size in (
        (ALG_ECC, 2), (ALG_SHA256, 2), (PARENT_ATTRIBUTES, 4), (0, 2),
        (ALG_AES, 2), (AES_BITS, 2), (ALG_CFB, 2), (ALG_NULL, 2), (NIST_P256, 2), (ALG_NULL, 2),
        (0, 4),
    )
)  # fmt: skip

_OID: Final = der.oid("2.23.133.10.1.3")  # a loadable key
_EMPTY_AUTH: Final = bytes.fromhex("a0030101ff")  # [0] EXPLICIT BOOLEAN TRUE
_FILE: Final = re.compile(
    rb"Chip: ([0-9a-f]{68})\n"
    rb"-----BEGIN TSS2 PRIVATE KEY-----\n([A-Za-z0-9+/=\n]{1,4096})-----END TSS2 PRIVATE KEY-----\n"
)
_LINE: Final = 64


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """What a chip gave out to be kept. `chip` is the name of its endorsement's storage key."""

    chip: bytes
    public: bytes  # TPM2B_PUBLIC
    private: bytes  # TPM2B_PRIVATE, encrypted by the chip

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The point. Raises DecodeError if it lies not on the curve, or the key is of another kind.

        Coordinates may come without their leading zeros: the chip wants them back as they were.
        """
        sized = _sized(self.public)
        if not sized.startswith(HEAD):
            raise DecodeError("wrapped key: not of the one kind")
        x, rest = _coordinate(sized[len(HEAD) :])
        y, rest = _coordinate(rest)
        if rest:
            raise DecodeError("wrapped key: trailing bytes")
        try:
            return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        except ValueError:
            raise DecodeError("wrapped key: no such point") from None


def encode(key: WrappedKey) -> bytes:
    """The file's bytes."""
    halves = der.octets(key.public), der.octets(key.private)
    text = base64.b64encode(der.sequence(_OID, _EMPTY_AUTH, der.integer(RH_OWNER), *halves))
    lines = b"".join(text[at : at + _LINE] + b"\n" for at in range(0, len(text), _LINE))
    return (
        b"Chip: " + key.chip.hex().encode() + b"\n-----BEGIN TSS2 PRIVATE KEY-----\n"
        + lines + b"-----END TSS2 PRIVATE KEY-----\n"
    )  # fmt: skip


def parse(data: bytes) -> WrappedKey:
    """Read it back, in its one form. Raises DecodeError."""
    found = _FILE.fullmatch(data)
    if found is None:
        raise DecodeError("wrapped key: form")
    try:
        body = base64.b64decode(found[2].replace(b"\n", b""), validate=True)
    except binascii.Error:
        raise DecodeError("wrapped key: base64") from None
    whole = der.Reader(body)
    fields = whole.enter()
    whole.end()
    fields.expect(_OID)
    fields.expect(_EMPTY_AUTH)
    if fields.integer() != RH_OWNER:
        raise DecodeError("wrapped key: another parent")
    key = WrappedKey(bytes.fromhex(found[1].decode()), fields.octets(), fields.octets())
    fields.end()
    if not 0 < len(_sized(key.private)) <= MAX_PRIVATE_BYTES:
        raise DecodeError("wrapped key: private part")
    key.public_key  # noqa: B018  raises
    if encode(key) != data:
        raise DecodeError("wrapped key: not in its one form")
    return key


def _sized(data: bytes) -> bytes:
    """The content of a TPM2B: two bytes of length, and as many bytes."""
    if len(data) < 2 or int.from_bytes(data[:2]) != len(data) - 2:
        raise DecodeError("wrapped key: length")
    return data[2:]


def _coordinate(data: bytes) -> tuple[int, bytes]:
    size = int.from_bytes(data[:2])
    if len(data) < 2 + size or not 1 <= size <= COORDINATE_BYTES:
        raise DecodeError("wrapped key: coordinate")
    return int.from_bytes(data[2 : 2 + size]), data[2 + size :]
