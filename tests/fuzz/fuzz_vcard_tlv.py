"""Any bytes are BER-TLV data objects or a TlvError, and what was read is read again."""

from hil.card.tlv import TlvError, decode, encode

SEEDS: list[bytes] = [
    bytes.fromhex("5C035FC102"),
    bytes.fromhex("7C0482008100"),
    bytes.fromhex("7E124F0BA0000003080000100001005F2F024000"),
    bytes.fromhex("8582000101"),
    bytes.fromhex("5380"),
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
