"""State records: a record or DecodeError, and a record reads back as itself."""

import hashlib

from sdbox_agent.errors import DecodeError
from sdbox_agent.state import record

PARSERS = (record,)
FULL = record.encode(
    record.State(
        generation=3,
        attempts={"ab" * 32: record.CardAttempts(4, 1_700_000_000)},
        anchor=7,
        settings=1,
        known=record.Known(salt="cd" * 32, facts={"machine-id": ("ef" * 32,)}),
    )
)
LINE = FULL.partition(b"\n")[2]
SEEDS: list[bytes] = [
    record.encode(record.State()),
    FULL,
    LINE,
    LINE + b"\n",
    LINE.replace(b'"v":1', b'"v":2'),
    LINE.replace(b'"generation"', b'"g\xff"'),
    b"[" * 2000,
    bytes(record.MAX_RECORD_BYTES + 1),
]
TOKENS = [b'"%s":' % name.encode() for name in record.State.__struct_fields__]


def target(data: bytes) -> None:
    """Try the bytes as they are, and with a checksum that holds."""
    for candidate in (data, hashlib.sha256(data).hexdigest().encode() + b"\n" + data):
        try:
            state = record.decode(candidate)
        except DecodeError:
            continue
        assert record.encode(state) == candidate
        assert not record.worse_if_undone(state, state)
