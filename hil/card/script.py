"""The faults of one insertion, played.

Knows frames and whole commands. Does not know sockets or time: the card's side of the connection
acts out what `Script.play` says.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from hil.card import objects
from hil.card.apdu import Command, Refusal, Reply, Sw
from hil.card.applet import GET_DATA
from hil.card.chip import GET_RESPONSE
from hil.card.faults import (
    EndlessMore,
    Event,
    Fault,
    FlipBit,
    Lasting,
    MalformObject,
    MuteAt,
    Refuse,
    ReplaceObject,
    ReplyAt,
    ResetAt,
    SlowBy,
    SwapAt,
    TearAsSpent,
    TearAt,
    TearPoint,
)
from hil.card.malformed import malformed
from hil.card.retries import PowerLost, power_failing
from hil.card.tlv import TlvError, decode_one

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hil.card.card import Card
    from hil.card.chip import Chip


@dataclass(frozen=True, slots=True)
class Answer:
    """Send these bytes as a frame."""

    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tear:
    """Send these bytes, if any, and pull the card."""

    partial: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Silence:
    """Send nothing until the card is pulled."""


@dataclass(frozen=True, slots=True)
class Swap:
    """Put this card in the place of the one that is there."""

    card: Card
    silently: bool


@dataclass(frozen=True, slots=True)
class Reset:
    """Take the power away and give it back, and play the same APDU again."""


Act: TypeAlias = Answer | Tear | Silence | Swap | Reset

FRAME_LENGTH_BYTES: Final = 2  # vpcd.h: the length before each frame
_ENDLESS_SW: Final = b"\x61\xff"


class Script:
    """The faults of one insertion as it goes on."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        """Raises ValueError if two are declared for one exchange."""
        declared = tuple(faults)
        events = [fault for fault in declared if isinstance(fault, Event)]
        self._events: dict[int, Event] = {event.n: event for event in events}
        if len(self._events) != len(events):
            raise ValueError("two faults for one exchange")
        self._lasting = tuple(fault for fault in declared if isinstance(fault, Lasting))
        self._endless: EndlessMore | None = None

    def fit(self, chip: Chip) -> None:
        """Stand between this chip and its application; for each power-on anew."""
        chip.intercept = self._intercept

    def delay_ms(self, n: int) -> float:
        """How late the answer to APDU `n` is to be."""
        slow = (fault for fault in self._lasting if isinstance(fault, SlowBy))
        return sum(fault.delay_ms for fault in slow if fault.at in (None, n))

    def play(self, n: int, raw: bytes, chip: Chip) -> Act:
        """What happens to APDU `n`; the chip acts on it unless it is torn or swapped before.

        A fault happens once: after a silent swap or a reset, the same APDU is played to the chip
        that is there then.
        """
        due = self._events.pop(n, None)
        if isinstance(due, SwapAt):
            return Swap(due.card, due.silently)
        if isinstance(due, ResetAt):
            return Reset()
        if isinstance(due, TearAt) and due.point is TearPoint.COMMAND:
            return Tear()
        if isinstance(due, TearAsSpent):
            with suppress(PowerLost), power_failing():
                chip.transmit(raw)
            return Tear()
        return self._distort(due, raw, chip.transmit(raw))

    def _distort(self, due: Event | None, raw: bytes, reply: bytes) -> Act:
        if isinstance(due, EndlessMore):
            self._endless = due
        elif raw[1:2] != bytes([GET_RESPONSE]):
            self._endless = None
        match due:
            case TearAt(point=TearPoint.MID_REPLY):
                frame = len(reply).to_bytes(FRAME_LENGTH_BYTES, "big") + reply
                return Tear(frame[: FRAME_LENGTH_BYTES + len(reply) // 2])
            case TearAt():
                return Tear()
            case MuteAt():
                return Silence()
            case ReplyAt(raw=other):
                return Answer(other)
            case _ if self._endless is not None:
                return Answer(bytes(self._endless.chunk_bytes) + _ENDLESS_SW)
            case _:
                return Answer(reply)

    def _intercept(self, command: Command, handle: Callable[[Command], Reply]) -> Reply:
        for fault in self._lasting:
            if isinstance(fault, Refuse):
                if command.ins == fault.ins and fault.p2 in (None, command.p2):
                    raise Refusal(fault.sw)
            elif not isinstance(fault, SlowBy) and _asks_for(command, fault.tag):
                return _shown(fault, lambda: handle(command).data)
        return handle(command)


def _shown(fault: ReplaceObject | FlipBit | MalformObject, genuine: Callable[[], bytes]) -> Reply:
    """An object as the fault has it."""
    match fault:
        case ReplaceObject(tag=tag, content=content):
            if content is None:
                raise Refusal(Sw.NOT_FOUND)
            return Reply(objects.on_wire(tag, content))
        case FlipBit(bit=bit):
            return Reply(_flipped(genuine(), bit))
        case MalformObject(how=how):
            return Reply(malformed(genuine(), how))


def _flipped(data: bytes, bit: int) -> bytes:
    place = bit % (8 * len(data))
    number = int.from_bytes(data, "big") ^ 1 << (8 * len(data) - 1 - place)
    return number.to_bytes(len(data), "big")


def _asks_for(command: Command, tag: int) -> bool:
    if command.ins != GET_DATA:
        return False
    try:
        return int.from_bytes(decode_one(0x5C, command.data), "big") == tag
    except TlvError:
        return False
