"""Whose time it was: how much of a wait was the card's, the centre's, and the rest, which is ours.

Pure. A span is (beginning, end) in ns, all on one clock. Where card and centre were busy at once
that time counts once: subtracting both would make us look faster than we are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hil.card.insertion import Exchange
    from hil.net.observe import Frame

Span = tuple[int, int]

_TCP: Final = 6
_UDP: Final = 17
# Ethernet, IPv4 without options, TCP with all it can have: what is longer carries data.
_BARE_BYTES: Final = 14 + 20 + 60


@dataclass(frozen=True, slots=True)
class Shares:
    """One wait; `ours_ms` is what neither card nor centre was busy in, the PC/SC stack included."""

    wall_ms: float
    card_ms: float
    centre_ms: float
    ours_ms: float
    exchanges: int  # with the card


def shares(wall: Span, card: Sequence[Span], centre: Sequence[Span]) -> Shares:
    """Divide `wall`. Raises ValueError if it ends before it begins."""
    begin_ns, end_ns = wall
    if end_ns < begin_ns:
        raise ValueError("it ends before it begins")
    others_ns = covered_ns([*card, *centre], wall)
    return Shares(
        wall_ms=(end_ns - begin_ns) / 1e6,
        card_ms=covered_ns(card, wall) / 1e6,
        centre_ms=covered_ns(centre, wall) / 1e6,
        ours_ms=(end_ns - begin_ns - others_ns) / 1e6,
        exchanges=sum(begin_ns <= at_ns < end_ns for at_ns, _ in card),
    )


def covered_ns(spans: Iterable[Span], within: Span) -> int:
    """How much of `within` the spans cover together."""
    reached_ns, end_ns = within
    total_ns = 0
    for first_ns, last_ns in sorted(spans):
        first_ns, last_ns = max(first_ns, reached_ns), min(last_ns, end_ns)  # noqa: PLW2901
        if last_ns > first_ns:
            total_ns += last_ns - first_ns
            reached_ns = last_ns
    return total_ns


def of_card(log: Iterable[Exchange]) -> list[Span]:
    """From a command that has come to its answer: as the card notes it, on CLOCK_MONOTONIC."""
    return [(one.at_ns, one.at_ns + one.took_ns) for one in log]


def of_wireguard(frames: Iterable[Frame], port: int, ahead_ns: int) -> list[Span]:
    """From a first handshake on its way to the first answer from inside, seen at the gateway.

    Both ends' wireguard-go, and the VM between them. The gateway speaks twice by then: its part of
    the handshake, and that answer.
    """
    udp = [frame for frame in frames if frame.protocol == _UDP]
    asked = [frame for frame in udp if not frame.outgoing and frame.port == port]
    answered = [frame for frame in udp if frame.outgoing and frame.source_port == port]
    if not asked or len(answered) < 2:
        return []
    return [(asked[0].time_ns - ahead_ns, answered[1].time_ns - ahead_ns)]


def of_centre(frames: Iterable[Frame], port: int, ahead_ns: int) -> list[Span]:
    """From the last piece of what was asked to the last piece of the answer, seen at its cable.

    One connection, one request at a time. TLS handshakes count too, where the centre does them.
    `ahead_ns`: how far the frames' clock is ahead of the one wanted.
    """
    spans: list[Span] = []
    asked_ns: int | None = None
    answered_ns: int | None = None
    for frame in frames:
        if frame.protocol != _TCP or frame.length_bytes <= _BARE_BYTES:
            continue
        at_ns = frame.time_ns - ahead_ns
        if not frame.outgoing and frame.port == port:
            if asked_ns is not None and answered_ns is not None:
                spans.append((asked_ns, answered_ns))
            asked_ns, answered_ns = at_ns, None
        elif frame.outgoing and frame.source_port == port and asked_ns is not None:
            answered_ns = at_ns
    if asked_ns is not None and answered_ns is not None:
        spans.append((asked_ns, answered_ns))
    return spans
