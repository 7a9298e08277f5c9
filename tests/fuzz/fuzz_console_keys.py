"""What a terminal sends: keys, and a beginning that is kept; never an error, never much."""

from sdbox_agent.console import keys

PARSERS = (keys,)
SEEDS: list[bytes] = [
    b"12\r",
    b"\x1b[A\x1b[B\x1bOA\x1bOB",
    b"\x1b[15~\x1b[[A\x1b[1;5A",
    b"\x7f\b\x1b",
    b"\x1b[" + b"1;" * keys.MAX_SEQUENCE_BYTES,
]


def target(data: bytes) -> None:
    found, begun = keys.decode(data)
    assert len(begun) < keys.MAX_SEQUENCE_BYTES
    assert data.endswith(begun)
    half = len(data) // 2
    first, kept = keys.decode(data[:half])
    assert all(isinstance(key, keys.Key) or key in "0123456789" for key in (*found, *first))
    keys.decode(kept + data[half:])
