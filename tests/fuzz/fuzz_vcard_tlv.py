"""Any bytes are BER-TLV data objects or a TlvError, and what was read is read again."""

import contextlib

from hil.card import tlv
from hil.card.tlv import TlvError, decode, encode
from tests.fuzz import structure

MUTATE = structure.mutate
PARSERS = (tlv,)
SEEDS: list[bytes] = [
    bytes.fromhex(text)
    for text in (
        "5C035FC102",
        "7C0482008100",
        "7E124F0BA0000003080000100001005F2F024000",
        "8582000101",
        "5380",
        "5381" + "80" + "00" * 128,
        "53820100" + "00" * 256,
        "80008000",
        *("5F", "5F818181", "80", "80830000", "808201", "8005"),
    )
]


def target(data: bytes) -> None:
    """Read, write, read."""
    try:
        objects = decode(data)
    except TlvError:
        return
    written = b"".join(encode(tag, value) for tag, value in objects)
    assert len(written) <= len(data)
    assert decode(written) == objects
    for tag in {tag for tag, _ in objects[:1]} | {0x53}:
        with contextlib.suppress(TlvError):
            assert tlv.decode_one(tag, data) == objects[0][1]
    with contextlib.suppress(TlvError):
        assert tlv.decode_set(data) == dict(objects)
    with contextlib.suppress(ValueError):
        encode(0x53, data * 500)
