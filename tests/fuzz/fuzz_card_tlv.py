"""BER-TLV and what is read with it: certificates' keys."""

import contextlib

from sdbox_agent.card import spki, tlv
from sdbox_agent.errors import DecodeError

SEEDS: list[bytes] = [
    bytes.fromhex("7E124F0BA0000003080000100001005F2F024000"),
    bytes.fromhex("538180") + bytes(128),
    bytes.fromhex("30820000"),
]


def target(data: bytes) -> None:
    """Read or refused; what is read has no other form."""
    try:
        items = tlv.parse(data)
    except DecodeError:
        items = None
    if items is not None and b"".join(tlv.encode(i.tag, i.value) for i in items) != data:
        raise AssertionError("two forms of one thing")
    with contextlib.suppress(DecodeError):
        spki.of_certificate(data)
