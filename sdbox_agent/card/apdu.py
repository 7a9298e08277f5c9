"""Command and response APDUs (ISO/IEC 7816-4:2020 section 5), short form only.

Long commands go by command chaining, long responses by GET RESPONSE; extended length is never
used, since it fails on readers in the field. This module knows no command by name and no meaning
of a status word beyond "more", "wrong Le" and "done".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from sdbox_agent.card.channel import Channel

# ISO/IEC 7816-4:2020
SW_OK: Final = 0x9000  # 5.6 table 5
SW1_MORE: Final = 0x61  # 5.6: SW2 bytes are waiting
SW1_WRONG_LE: Final = 0x6C  # 5.6: SW2 is the right Le
CLA_CHAINED: Final = 0x10  # 5.4.1 table 2: not the last command of a chain
INS_GET_RESPONSE: Final = 0xC0  # 11.8.1 table 102
MAX_LC_BYTES: Final = 255  # 5.2, short
MAX_LE_BYTES: Final = 256

# Ours (fault 11: a card that never stops saying "more")
MAX_RESPONSE_BYTES: Final = 16 * 1024
MAX_ROUNDS: Final = 128


@dataclass(frozen=True, slots=True)
class Command:
    """One command before it is cut into frames; `expects` whether it asks for data back."""

    ins: int
    p1: int
    p2: int
    data: bytes = b""
    expects: bool = True


@dataclass(frozen=True, slots=True)
class Response:
    """Data, and the status word as one number."""

    data: bytes
    sw: int


def frames(command: Command, *, t0: bool = False) -> list[bytes]:
    """The command APDUs to send, in order; all but the last are chained.

    Under T=0 a command with data carries no Le (ISO/IEC 7816-3:2006 section 12.2.5): the card
    answers 61xx.
    """
    blocks = [
        command.data[at : at + MAX_LC_BYTES] for at in range(0, len(command.data), MAX_LC_BYTES)
    ] or [b""]
    built: list[bytes] = []
    for block in blocks:
        last = len(built) == len(blocks) - 1
        head = bytes([0 if last else CLA_CHAINED, command.ins, command.p1, command.p2])
        body = bytes([len(block)]) + block if block else b""
        le = b"\x00" if last and command.expects and not (t0 and block) else b""
        built.append(head + body + le)
    if t0 and len(built[-1]) == 4:
        built[-1] += b"\x00"  # ISO/IEC 7816-3:2006 section 12.2.2: P3 is always there
    return built


def parse(reply: bytes) -> Response:
    """Read one response APDU. Raises DecodeError.

    A reply that the reader cut short arrives as data whose last two bytes pass for a status word;
    anything but 6xxx and 9xxx is such a torn reply (5.6: other values are invalid), and so is
    SW1 = 60, which belongs to the transmission protocol.
    """
    if not 2 <= len(reply) <= MAX_LE_BYTES + 2:
        raise DecodeError("response size")
    sw = int.from_bytes(reply[-2:])
    if sw >> 12 not in {0x6, 0x9} or sw >> 8 == 0x60:
        raise DecodeError("status word")
    return Response(reply[:-2], sw)


def transmit(channel: Channel, command: Command) -> Response:
    """Send a command, whole, and collect its response, whole.

    Raises DecodeError for a reply that breaks the rules or the bounds above, and whatever the
    channel raises.
    """
    *chained, last = frames(command, t0=channel.t0)
    for frame in chained:
        response = parse(channel.exchange(frame))
        if response.data or response.sw >> 8 == SW1_MORE:
            raise DecodeError("data in the middle of a chain")
        if response.sw != SW_OK:
            return response
    response = parse(channel.exchange(last))
    if response.sw >> 8 == SW1_WRONG_LE and not response.data and last[-1:] == b"\x00":
        response = parse(channel.exchange(last[:-1] + bytes([response.sw & 0xFF])))
    return _collect(channel, response)


def _collect(channel: Channel, response: Response) -> Response:
    data = bytearray(response.data)
    for _ in range(MAX_ROUNDS):
        if len(data) > MAX_RESPONSE_BYTES:
            raise DecodeError("response too long")
        if response.sw >> 8 != SW1_MORE:
            return Response(bytes(data), response.sw)
        get_response = bytes([0, INS_GET_RESPONSE, 0, 0, response.sw & 0xFF])
        response = parse(channel.exchange(get_response))
        data += response.data
    raise DecodeError("response never ends")
