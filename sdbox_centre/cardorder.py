"""What a card shall be when it leaves the desk. Knows no card, and no way to make one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sdbox_agent.card import occ, piv
from sdbox_centre import cardobjects

if TYPE_CHECKING:
    import datetime as dt

    from sdbox_agent.cardkind import Algorithm, Bit, CardKind
    from sdbox_centre.matchbound import Codes


@dataclass(frozen=True, slots=True)
class StoredFinger:
    """A finger for the card: how it is announced, and 3N bytes in the compact card format."""

    bit: Bit
    reference: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Order:
    """What the card shall be. To go on after a tear, the same order is given again.

    Raises ValueError for one that no card could fulfil.
    """

    kind: CardKind
    guid: bytes
    common_name: str
    end: dt.datetime  # last moment of the certificates, and the CHUID's day
    algorithm: Algorithm = "P-256"
    fingers: tuple[StoredFinger, ...] = ()
    codes: Codes | None = None  # the holder's PIN and the desk's PUK, where a PIN opens the card

    def __post_init__(self) -> None:
        """See the class."""
        if len(self.guid) != 16 or self.algorithm not in self.kind.algorithms:
            raise ValueError("not a card of this kind")
        if (self.kind.comparison == "card") != bool(self.fingers):
            raise ValueError("fingers are for cards that compare, and these need one")
        if (self.kind.comparison, self.kind.pin_policy) == ("host", "once"):
            if self.codes is None:
                raise ValueError("a card that a PIN opens needs one")
        elif self.codes is not None:
            raise ValueError("no PIN opens this card")
        keys = [finger.bit.key for finger in self.fingers]
        if len(set(keys)) != len(keys):
            raise ValueError("two fingers at one reference")
        for finger in self.fingers:
            count, rest = divmod(len(finger.reference), occ.MINUTIA_BYTES)
            if rest or not finger.bit.minimum <= count <= finger.bit.maximum:
                raise ValueError("a finger's reference is not what its BIT says")

    @property
    def compares(self) -> bool:
        """Whether the card compares the finger itself."""
        return self.kind.comparison == "card"

    @property
    def bits(self) -> tuple[Bit, ...]:
        """The fingers as they are announced."""
        return tuple(finger.bit for finger in self.fingers)

    def objects(self) -> dict[int, bytes]:
        """What the card holds beside certificates, by tag."""
        return {
            piv.OBJECT_CHUID: cardobjects.chuid(self.guid, self.end.date()),
            cardobjects.CAPABILITIES: cardobjects.capabilities(self.guid),
            piv.OBJECT_DISCOVERY: cardobjects.discovery(match=self.compares),
            occ.OBJECT_BIT_GROUP: cardobjects.bit_group(self.bits),
        }
