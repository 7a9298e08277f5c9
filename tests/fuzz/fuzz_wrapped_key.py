"""Files of wrapped keys: a key or DecodeError, and a key reads back as itself."""

import base64

from cryptography.hazmat.primitives.asymmetric import ec

from sdbox_agent.errors import DecodeError
from sdbox_agent.identity import tpmfile
from sdbox_agent.pki import der

PARSERS = (tpmfile,)
CHIP = b"\x00\x0b" + bytes(range(32))
PRIVATE = b"\x00\x10" + bytes(range(16))
_POINT = ec.derive_private_key(7, ec.SECP256R1()).public_key().public_numbers()
_AREA = tpmfile.HEAD + b"".join(b"\x00\x20" + n.to_bytes(32) for n in (_POINT.x, _POINT.y))
PUBLIC = len(_AREA).to_bytes(2) + _AREA


def wrapped(public: bytes, parent: int = tpmfile.RH_OWNER, private: bytes = PRIVATE) -> bytes:
    """A file, of whatever it is given."""
    oid, auth = der.oid("2.23.133.10.1.3"), bytes.fromhex("a0030101ff")
    halves = der.octets(public), der.octets(private)
    return armoured(der.sequence(oid, auth, der.integer(parent), *halves))


def armoured(body: bytes) -> bytes:
    """The text around DER."""
    text = base64.b64encode(body)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join([
        b"Chip: " + CHIP.hex().encode(), b"-----BEGIN TSS2 PRIVATE KEY-----",
        *lines, b"-----END TSS2 PRIVATE KEY-----", b"",
    ])  # fmt: skip


BODY = base64.b64decode(b"".join(wrapped(PUBLIC).split(b"\n")[2:-2]))
SEEDS: list[bytes] = [
    wrapped(PUBLIC),
    wrapped(PUBLIC, parent=1),
    wrapped(PUBLIC[:-1]),
    wrapped(PUBLIC + b"\0"),
    wrapped(PUBLIC, private=b"\0\0"),
    wrapped((len(_AREA) + 1).to_bytes(2) + _AREA + b"\0"),
    wrapped((len(_AREA) - 60).to_bytes(2) + _AREA[:-60]),
    wrapped(PUBLIC.replace(_POINT.y.to_bytes(32), bytes(32))),
    wrapped(b"\0\x10" + bytes(16)),
    wrapped(b"\0"),
    BODY,
    armoured(BODY).replace(b"AAE", b"A\nAE", 1),
    armoured(BODY).replace(b"\nM", b"\n=M", 1),
]


def target(data: bytes) -> None:
    """Try the bytes as a file, and as what is inside one."""
    for candidate in (data, armoured(data)):
        try:
            key = tpmfile.parse(candidate)
        except DecodeError:
            continue
        assert tpmfile.encode(key) == candidate
        assert key.public_key.curve.name == "secp256r1"
