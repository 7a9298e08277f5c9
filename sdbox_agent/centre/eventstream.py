"""Server-sent events between centre and box, in the one form we write: text to numbered messages.

A strict part of the WHATWG's event stream (HTML Living Standard, section 9.2.6): a message is its
`id`, `event` and `data`, one line each and in that order; a line with a colon alone keeps the
connection alive. Knows neither the meaning of a message nor where its bytes come from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sdbox_agent.errors import DecodeError

MEDIA_TYPE: Final = "text/event-stream"
RESYNC: Final = "resync"  # the kind that may bear any number: the count goes on from there
KEEP_ALIVE: Final = b":\n\n"
MAX_MESSAGE_BYTES: Final = 64 * 1024

_END: Final = b"\n\n"
_MESSAGE: Final = re.compile(
    rb"id: (0|[1-9][0-9]{0,14})\nevent: ([a-z]{1,20})\ndata: ([ -~]*)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Message:
    """`number` grows by one with each message for a box; `data` is printable ASCII."""

    number: int
    kind: str
    data: bytes


def encode(message: Message) -> bytes:
    """The text of a message."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        message.number,
        message.kind.encode(),
        message.data,
    )


class Reader:
    """Takes the stream in pieces of any size. After a DecodeError it is of no more use."""

    def __init__(self, last: int | None) -> None:
        """`last`: the number of the last message that was taken, on an earlier stream."""
        self.last = last
        self._rest = b""

    def feed(self, piece: bytes) -> list[Message | None]:
        """What is whole now, in order; None is a sign of life.

        Raises DecodeError for text in another form, a message that is too long, and one whose
        number is not the next.
        """
        *whole, self._rest = (self._rest + piece).split(_END)
        if len(self._rest) > MAX_MESSAGE_BYTES:
            raise DecodeError("event stream: too long")
        return [self._read(block) for block in whole]

    def _read(self, block: bytes) -> Message | None:
        if block == b":":
            return None
        found = _MESSAGE.fullmatch(block)
        if found is None or len(block) > MAX_MESSAGE_BYTES:
            raise DecodeError("event stream: not a message")
        message = Message(int(found[1]), found[2].decode(), found[3])
        if message.kind != RESYNC and (self.last is None or message.number != self.last + 1):
            raise DecodeError("event stream: not the next message")
        self.last = message.number
        return message
