"""PIV's objects and answers, each reader on the same bytes."""

import contextlib

from sdbox_agent.card import padding, piv, spki
from sdbox_agent.errors import DecodeError

SEEDS: list[bytes] = [
    bytes.fromhex("61114F0600001000010079074F05A000000308"),
    bytes.fromhex("7E124F0BA0000003080000100001005F2F024000"),
    bytes.fromhex("53353019")
    + bytes(25)
    + bytes.fromhex("3410")
    + bytes(16)
    + b"\x35\x0820300101\x3e\x00\xfe\x00",
    bytes.fromhex("530870017871010 0FE00".replace(" ", "")),
    bytes.fromhex("7C0A82083006020101020101"),
]
READERS = (
    piv.decode_select,
    piv.decode_discovery,
    piv.decode_chuid,
    piv.decode_certificate,
    piv.decode_authenticate,
    lambda data: piv.decode_ecdsa(data, spki.Curve.P256),
    lambda data: piv.decode_ecdsa(data, spki.Curve.P384),
    lambda data: piv.decode_block(data, 32),
    lambda data: spki.check_point(spki.Curve.P256, data),
)


def target(data: bytes) -> None:
    """Read or refused, nothing else."""
    for read in READERS:
        with contextlib.suppress(DecodeError):
            read(data)
    if len(data) == 256:
        with contextlib.suppress(DecodeError):
            padding.oaep_decode(data)
