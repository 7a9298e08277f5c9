"""The digests of lists that a box says it has."""

from sdbox_agent.centre import wire
from sdbox_agent.errors import DecodeError

PARSERS = (wire.parse_lists_had,)
SEEDS = [b"", b"00" * 32, b",".join([b"ab" * 32] * wire.MAX_LISTS), b"AB" * 32, b"00" * 32 + b","]


def target(data: bytes) -> None:
    try:
        found = wire.parse_lists_had(data.decode("latin-1"))
    except DecodeError:
        return
    assert all(len(digest) == 32 for digest in found)
    assert len(found) <= wire.MAX_LISTS
