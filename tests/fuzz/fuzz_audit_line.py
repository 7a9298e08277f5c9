"""Audit lines and whole records: an entry or DecodeError; a count or ChainBroken."""

import contextlib

import msgspec

from sdbox_agent.audit import hashchain, record
from sdbox_agent.errors import DecodeError

PARSERS = (hashchain, record.decode, record.encode)
ENTRY = record.Entry(
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


def _chain(length: int) -> list[bytes]:
    lines: list[bytes] = []
    for seq in range(1, length + 1):
        prev = hashchain.digest(lines[-1]) if lines else record.GENESIS
        lines.append(record.encode(msgspec.structs.replace(ENTRY, seq=seq, prev=prev)))
    return lines


def _file(*lines: bytes) -> bytes:
    return b"".join(line + b"\n" for line in lines)


A, B, C, D = _chain(4)
B_BENT = B.replace(b'"mono_ms":1', b'"mono_ms":2')
SEEDS: list[bytes] = [
    A,
    _file(A),
    _file(A, B, C),
    _file(A, B, C)[:-1],
    _file(A, C, B),
    _file(A, C),
    _file(A, D, C),
    _file(A, C, b"x"),
    _file(A, B_BENT, C),
    _file(A, B.replace(b'"prev":"', b'"prev":"0')[:-2], C),
    _file(A, B.replace(hashchain.digest(A).encode(), b"0" * 64), C),
    _file(A, B.replace(hashchain.digest(A).encode(), b"0" * 64), b"x"),
    _file(A, B.replace(hashchain.digest(A).encode(), b"0" * 64)),
    _file(B_BENT.replace(b'"seq":2', b'"seq":1')),
    A + b" ",
    bytes(record.MAX_LINE_BYTES + 1),
    b"{",
]
TOKENS = [b'"%s":' % name.encode() for name in ENTRY.__struct_fields__]


def target(data: bytes) -> None:
    """A line that is read writes itself again; a record that is whole counts its lines."""
    with contextlib.suppress(DecodeError):
        assert record.encode(record.decode(data)) == data
    with contextlib.suppress(hashchain.ChainBroken):
        assert hashchain.verify(data) == data.count(b"\n")
    with contextlib.suppress(hashchain.ChainBroken):
        hashchain.verify(data, head="f" * 64)
        raise AssertionError("a head that is none of the file's")
