"""A carrier's connection, seen from either end: the greeting, then frames, in whatever pieces."""

import contextlib

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import frames

PARSERS = (frames.parse_greeting, frames.Frames)
WHOLE = b"".join(n.to_bytes(2, "big") + bytes(n) for n in (32, 148, 1456))
SEEDS: list[bytes] = [
    frames.greeting(bytes(32)),
    frames.greeting(bytes(31)),
    b"\x10" + WHOLE,
    b"\x01" + WHOLE,
    b"\x20" + WHOLE[:40],
    b"\x20\x00\x1f" + bytes(31),
    b"\x20\x08\x01" + bytes(2049),
    b"",
]


def target(data: bytes) -> None:
    """The same datagrams, however the stream is cut (the first byte says how); or DecodeError."""
    with contextlib.suppress(DecodeError):
        assert len(frames.parse_greeting(data)) == frames.TOKEN_BYTES
    step, stream = (data[0] if data else 0) + 1, data[1:]
    with contextlib.suppress(DecodeError):
        whole = frames.Frames().feed(stream)
        reader = frames.Frames()
        pieces = [stream[at : at + step] for at in range(0, len(stream), step)]
        assert [each for piece in pieces for each in reader.feed(piece)] == whole
        assert all(
            frames.MIN_DATAGRAM_BYTES <= len(each) <= frames.MAX_DATAGRAM_BYTES for each in whole
        )
