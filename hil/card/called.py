"""Faults by name: `tear:7`, `sw:6982@87/9D`, `flip:9A:100`.

Knows the names and what they ask for. Does not know how a fault is played, nor how a card of
another holder is made: it is told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from hil.card.card import PivCard
from hil.card.faults import (
    EndlessMore,
    Fault,
    FlipBit,
    MalformObject,
    MuteAt,
    Refuse,
    ReplaceObject,
    ResetAt,
    SlowBy,
    SwapAt,
    TearAsSpent,
    TearAt,
    TearPoint,
)
from hil.card.malformed import Malformation, gzip_bomb
from hil.card.objects import CERTIFICATE_TAGS, Tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hil.card.card import Card

BOMB_BYTES: Final = 12 << 20  # ours: what `bomb` inflates to, from 12 KiB on the card

OBJECTS: Final[dict[str, int]] = {
    **{name: int(tag) for name, tag in CERTIFICATE_TAGS.items()},
    **{tag.name.lower().replace("_", "-"): int(tag) for tag in Tag},
}
HOWS: Final = {how.name.lower().replace("_", "-"): how for how in Malformation}

Alteration: TypeAlias = "Callable[[PivCard], PivCard]"
Other: TypeAlias = "Callable[[], Card]"


class FaultNameError(ValueError):
    """No fault is called so; the message says what is."""


@dataclass(frozen=True, slots=True)
class Name:
    """How a fault is called, what the client meets, and what it is."""

    usage: str
    meaning: str
    pattern: str
    made: Callable[[re.Match[str], Other], Fault | Alteration]


@dataclass(frozen=True, slots=True)
class Called:
    """What was asked for: faults of the insertion, and alterations of the card before it."""

    faults: tuple[Fault, ...]
    alterations: tuple[Alteration, ...]

    def altered(self, card: PivCard) -> PivCard:
        """The card as it goes in."""
        for alteration in self.alterations:
            card = alteration(card)
        return card


def _blocked(card: PivCard) -> PivCard:
    card.block_pin()
    card.block_puk()
    card.block_fingers()
    return card


def _n(found: re.Match[str]) -> int:
    return int(found["n"])


def _tag(found: re.Match[str]) -> int:
    text = found["object"]
    tag = OBJECTS.get(text.upper(), OBJECTS.get(text.lower()))
    if tag is None and not re.fullmatch("[0-9A-Fa-f]{2,6}", text):
        raise FaultNameError(f"no object is called {text}: {', '.join(OBJECTS)}, or a tag in hex")
    return int(text, 16) if tag is None else tag


def _slow(found: re.Match[str]) -> SlowBy:
    return SlowBy(int(found["ms"]), int(found["at"]) if found["at"] else None)


def _refuse(found: re.Match[str]) -> Refuse:
    p2 = int(found["p2"], 16) if found["p2"] else None
    return Refuse(int(found["sw"], 16), int(found["ins"], 16), p2)


def _malform(found: re.Match[str]) -> MalformObject:
    how = HOWS.get(found["how"].lower())
    if how is None:
        raise FaultNameError(f"no way is called {found['how']}: {', '.join(HOWS)}")
    return MalformObject(_tag(found), how)


_N: Final = ":(?P<n>[1-9][0-9]{0,5})"
_OBJECT: Final = ":(?P<object>[0-9A-Za-z-]+)"
_SW: Final = ":(?P<sw>[0-9A-Fa-f]{4})@(?P<ins>[0-9A-Fa-f]{2})(?:/(?P<p2>[0-9A-Fa-f]{2}))?"

NAMES: Final = (
    Name(
        "tear:N",
        "pulled at APDU N: acted on, no reply",
        f"tear{_N}",
        lambda found, _: TearAt(_n(found)),
    ),
    Name(
        "half:N",
        "pulled in the middle of the reply to APDU N",
        f"half{_N}",
        lambda found, _: TearAt(_n(found), TearPoint.MID_REPLY),
    ),
    Name(
        "spent:N",
        "pulled in APDU N, a try spent and nothing compared yet",
        f"spent{_N}",
        lambda found, _: TearAsSpent(_n(found)),
    ),
    Name(
        "mute:N",
        "APDU N is never answered, nor anything after it",
        f"mute{_N}",
        lambda found, _: MuteAt(_n(found)),
    ),
    Name(
        "slow:MS[@N]",
        "answers come MS milliseconds late: all, or APDU N's",
        "slow:(?P<ms>[0-9]{1,6})(?:@(?P<at>[1-9][0-9]{0,5}))?",
        lambda found, _: _slow(found),
    ),
    Name(
        "endless:N",
        "from APDU N on, GET RESPONSE never comes to an end",
        f"endless{_N}",
        lambda found, _: EndlessMore(_n(found)),
    ),
    Name(
        "sw:XXXX@INS[/P2]",
        "this status word to every such command",
        f"sw{_SW}",
        lambda found, _: _refuse(found),
    ),
    Name(
        "reset:N",
        "everything proved is forgotten before APDU N, as after a foreign reset",
        f"reset{_N}",
        lambda found, _: ResetAt(_n(found)),
    ),
    Name(
        "swap:N",
        "at APDU N out and another holder's card in, at once",
        f"swap{_N}",
        lambda found, other: SwapAt(_n(found), other()),
    ),
    Name(
        "silent-swap:N",
        "from APDU N on another holder's card answers; the reader saw nothing",
        f"silent-swap{_N}",
        lambda found, other: SwapAt(_n(found), other(), silently=True),
    ),
    Name(
        "clone",
        "the certificates are genuine, the keys are others",
        "clone",
        lambda _found, _other: PivCard.clone,
    ),
    Name(
        "blocked",
        "PIN, PUK and fingers have no tries left",
        "blocked",
        lambda _found, _other: _blocked,
    ),
    Name(
        "flip:OBJECT:BIT",
        "one bit of a data object is turned over",
        f"flip{_OBJECT}:(?P<bit>[0-9]{{1,6}})",
        lambda found, _: FlipBit(_tag(found), int(found["bit"])),
    ),
    Name(
        "bomb:OBJECT",
        "a certificate that inflates to 12 MiB (71 01)",
        f"bomb{_OBJECT}",
        lambda found, _: ReplaceObject(_tag(found), gzip_bomb(BOMB_BYTES)),
    ),
    Name(
        "missing:OBJECT",
        "the object is not on the card (6A82)",
        f"missing{_OBJECT}",
        lambda found, _: ReplaceObject(_tag(found), None),
    ),
    Name(
        "malformed:OBJECT:HOW",
        "the object's BER-TLV is broken",
        f"malformed{_OBJECT}:(?P<how>[A-Za-z-]+)",
        lambda found, _: _malform(found),
    ),
)


def call(texts: Iterable[str], other: Other) -> Called:
    """The faults of these names; `other` makes the card that a swap puts in.

    Raises:
        FaultNameError: one of them is no fault's name.
    """
    made = [_one(text, other) for text in texts]
    return Called(
        tuple(one for one in made if isinstance(one, Fault)),
        tuple(one for one in made if not isinstance(one, Fault)),
    )


def _one(text: str, other: Other) -> Fault | Alteration:
    for name in NAMES:
        if found := re.fullmatch(name.pattern, text):
            return name.made(found, other)
    kind = text.split(":", 1)[0]
    usages = [name.usage for name in NAMES if name.usage.split(":", 1)[0] == kind]
    wanted = usages[0] if usages else ", ".join(name.usage for name in NAMES)
    raise FaultNameError(f"{text} is no fault: {wanted}")


def listing() -> str:
    """All of them, for people."""
    width = max(len(name.usage) for name in NAMES)
    lines = [f"{name.usage:<{width}}  {name.meaning}" for name in NAMES]
    lines += ["", f"OBJECT  {', '.join(OBJECTS)}, or a tag in hex", f"HOW     {', '.join(HOWS)}"]
    return "\n".join(lines)
