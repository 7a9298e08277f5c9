"""What the centre pushes to a box: the stream's text, and each event in it."""

import contextlib

from sdbox_agent.centre import eventstream, wire
from sdbox_agent.centre.eventstream import Message, Reader, encode
from sdbox_agent.errors import DecodeError

PARSERS = (eventstream, wire)
EVENTS = (
    wire.Revoked(session="b-1", code="revoked"),
    wire.BoxSuspended(),
    wire.NewCrls(),
    wire.NewPolicy(version=2),
    wire.Window(act=bytes(range(64))),
)
SEEDS: list[bytes] = [
    *(encode(Message(5, wire.kind_of(event), wire.encode(event))) for event in EVENTS),
    encode(Message(9, eventstream.RESYNC, b"{}")) + eventstream.KEEP_ALIVE,
    eventstream.KEEP_ALIVE * 3,
    b"retry: 1\n\n",
    b"\r\n\r\n",
    b"id: 5\nevent: revoked\ndata: {}\n\n",
    bytes(eventstream.MAX_MESSAGE_BYTES + 1),
]
TOKENS = [b"id: ", b"event: ", b"data: ", b"\n\n", *(b"%s" % k.encode() for k in wire.EVENTS)]


def target(data: bytes) -> None:
    """The same whole or in two pieces; what is taken is written again as it came."""
    half = len(data) // 2
    whole, pieces = _read([data]), _read([data[:half], data[half:]])
    assert whole == pieces
    for message in whole or ():
        if message is None:
            continue
        assert encode(message) in data
        with contextlib.suppress(DecodeError):
            event = wire.decode_event(message.kind, message.data)
            assert wire.decode_event(wire.kind_of(event), wire.encode(event)) == event


def _read(pieces: list[bytes]) -> list[Message | None] | None:
    reader = Reader(4)
    try:
        return [message for piece in pieces for message in reader.feed(piece)]
    except DecodeError:
        return None
