"""BER-TLV as a card sends it."""

import contextlib

from sdbox_agent.card import tlv
from sdbox_agent.errors import DecodeError
from tests.fuzz import structure

MUTATE = structure.mutate
PARSERS = (tlv,)
SEEDS: list[bytes] = [
    bytes.fromhex(text)
    for text in (
        "7E124F0BA0000003080000100001005F2F024000",
        "53" + "8180" + "00" * 128,
        "53" + "820100" + "00" * 256,
        "30820000",
        "8000" * (tlv.MAX_ITEMS + 1),
        # tags: padding, cut, not in the shortest form (twice), too long
        *("0000", "FF00", "5F", "5F8001", "5F1E00", "5F818181", "5FC10500"),
        # lengths: none, indefinite, too long, cut, not in the shortest form (twice), past the end
        *("80", "8080", "80830000", "808201", "80817F", "808200FF", "8005"),
        "80000080",
    )
]


def target(data: bytes) -> None:
    """Read or refused; what is read has no other form, and is found by its tags."""
    try:
        items = tlv.parse(data)
    except DecodeError:
        items = []
    if items and b"".join(tlv.encode(i.tag, i.value) for i in items) != data:
        raise AssertionError("two forms of one thing")
    tags = [item.tag for item in items]
    for wanted in (tags, tags[:-1]):
        with contextlib.suppress(DecodeError):
            assert tlv.sequence(data, *wanted) == [item.value for item in items]
            assert wanted == tags
        with contextlib.suppress(DecodeError):
            assert tlv.fields(data, set(wanted[:1]), set(wanted)).keys() == set(tags)
    for tag in (*tags[:1], 0x53):
        with contextlib.suppress(DecodeError):
            assert tlv.one(data, tag) == items[0].value
    with contextlib.suppress(ValueError):
        tlv.encode(0x53, data * 100)
