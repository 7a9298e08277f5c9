"""State records: a record or DecodeError, and a record reads back as itself."""

import hashlib

from sdbox_agent.errors import DecodeError
from sdbox_agent.state import record

SEEDS: list[bytes] = [
    record.encode(record.State()),
    record.encode(
        record.State(generation=3, attempts={"ab" * 32: record.CardAttempts(4, 1_700_000_000)})
    ),
]


def target(data: bytes) -> None:
    """Try the bytes as they are, and with a checksum that holds."""
    for candidate in (data, hashlib.sha256(data).hexdigest().encode() + b"\n" + data):
        try:
            state = record.decode(candidate)
        except DecodeError:
            continue
        assert record.encode(state) == candidate
