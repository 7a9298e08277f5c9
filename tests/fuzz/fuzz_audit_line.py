"""Audit lines and whole records: an entry or DecodeError; a count or ChainBroken."""

import contextlib

from sdbox_agent.audit import hashchain, record
from sdbox_agent.errors import DecodeError

_ENTRY = record.Entry(
    seq=1,
    prev=record.GENESIS,
    boot_id="b1",
    mono_ms=1,
    utc=None,
    code="agent-started",
    session=None,
    level=None,
    result="ok",
)
SEEDS: list[bytes] = [record.encode(_ENTRY), record.encode(_ENTRY) + b"\n"]


def target(data: bytes) -> None:
    """A line that is read writes itself again; a record that is whole counts its lines."""
    with contextlib.suppress(DecodeError):
        assert record.encode(record.decode(data)) == data
    with contextlib.suppress(hashchain.ChainBroken):
        assert hashchain.verify(data) == data.count(b"\n")
