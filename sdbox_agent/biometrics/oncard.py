"""What of a finger goes to a card that compares for itself: as many minutiae, in the order it asks.

Chosen and ordered by the card's biometric information template (BIT), in the compact card format.
Knows no card and no command; how alike two fingers are is the card's to say.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

from sdbox_agent.biometrics import compact_2005, quality
from sdbox_agent.biometrics.compact_2005 import CompactMinutia
from sdbox_agent.biometrics.comparison import prepare
from sdbox_agent.biometrics.minutia import (
    FULL_TURN_RAD,
    MM_PER_PX,
    Minutia,
    MinutiaType,
    Template,
)
from sdbox_agent.errors import AskAgain, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sdbox_agent.cardkind import Bit

    Method = Literal["none", "x-y", "y-x", "angle", "polar"]
    Place = tuple[int, int]

# -- ISO/IEC 19794-2:2005 section 8.3, the order of minutiae a BIT asks for ----------------------

ASCENDING: Final = 0x01
DESCENDING: Final = 0x02
METHODS: Final[dict[int, Method]] = {0x04: "x-y", 0x08: "y-x", 0x0C: "angle", 0x10: "polar"}
ORDERS: Final[dict[int, tuple[Method, bool]]] = {
    0x00: ("none", False),
    **{
        method | direction: (name, direction == DESCENDING)
        for method, name in METHODS.items()
        for direction in (ASCENDING, DESCENDING)
    },
}  # order byte: by what, and whether the largest comes first

# -- ours ----------------------------------------------------------------------------------------

_UNITS_PER_PX: Final = MM_PER_PX / compact_2005.UNIT_MM
_MIDDLE: Final = compact_2005.MAX_COORDINATE // 2


def check(bit: Bit) -> None:
    """Raise Refused("card-data-invalid") if no probe at all could be what the BIT asks for."""
    if bit.order not in ORDERS or bit.minimum > bit.maximum:
        raise Refused("card-data-invalid")


def probe(template: Template, bit: Bit) -> bytes:
    """The minutiae to be compared by the card, encoded.

    Raises AskAgain finger-poor for fewer than the card takes, and Refused as `check`.
    """
    check(bit)
    by, backwards = ORDERS[bit.order]
    chosen = _centred(_pruned(_in_units(template), bit.maximum))
    if len(chosen) < bit.minimum:
        raise AskAgain("finger-poor")  # never made up: ISO/IEC 19794-2:2011 section 9.3.3
    chosen.sort(key=_key(by, chosen), reverse=backwards)
    return compact_2005.encode(chosen)


def reference(template: Template, bit: Bit) -> bytes:
    """The minutiae for the card to keep: as a probe's, and of a finger worth four years.

    Raises as `probe`, and Refused: reference-poor.
    """
    quality.check_reference(quality.measure(template, prepare(template)))
    return probe(template, bit)


def template(data: bytes) -> Template:
    """What is left of a finger in the compact format: for tools that compare as a card would.

    Raises DecodeError.
    """
    return Template(
        tuple(
            Minutia(
                m.x / _UNITS_PER_PX,
                m.y / _UNITS_PER_PX,
                m.angle * FULL_TURN_RAD / compact_2005.ANGLE_UNITS,
                m.type,
            )
            for m in compact_2005.decode(data)
        )
    )


def _in_units(template: Template) -> dict[CompactMinutia, int]:
    """Minutiae in the format's units, wherever they lie, with their quality; each once."""
    found: dict[CompactMinutia, int] = {}
    for m in template.minutiae:
        compact = CompactMinutia(
            math.floor(m.x_px * _UNITS_PER_PX + 0.5),
            math.floor(m.y_px * _UNITS_PER_PX + 0.5),
            math.floor(m.angle_rad * compact_2005.ANGLE_UNITS / FULL_TURN_RAD + 0.5)
            % compact_2005.ANGLE_UNITS,
            m.type,
        )
        found.setdefault(compact, m.quality)
    return found


def _pruned(found: dict[CompactMinutia, int], most: int) -> list[CompactMinutia]:
    """At most `most` of them, on an area the format can hold, in the order they came.

    The poorest go first; of equals (of all, where no quality is known) those farthest from the
    centre of mass, then an ending before another, then the largest angle (ISO/IEC 19794-2:2011
    section 9.3.2). The centre is of all, computed once. For the area the farthest go.
    """
    minutiae = list(found)
    count = len(minutiae)
    sum_x, sum_y = sum(m.x for m in minutiae), sum(m.y for m in minutiae)

    def last(place: int) -> tuple[int, bool, int, int]:
        m = minutiae[place]
        distance2 = (count * m.x - sum_x) ** 2 + (count * m.y - sum_y) ** 2
        return distance2, m.type == MinutiaType.ENDING, m.angle, place

    best = sorted(range(count), key=lambda place: (-found[minutiae[place]], last(place)))[:most]
    kept = sorted(best, key=last)
    while kept and not _fits([minutiae[place] for place in kept]):
        kept.pop()
    return [minutiae[place] for place in sorted(kept)]


def _fits(minutiae: Sequence[CompactMinutia]) -> bool:
    return all(high - low <= compact_2005.MAX_COORDINATE for low, high in _extent(minutiae))


def _extent(minutiae: Sequence[CompactMinutia]) -> tuple[Place, Place]:
    """Lowest and highest x, lowest and highest y; `minutiae` is not empty."""
    xs, ys = [m.x for m in minutiae], [m.y for m in minutiae]
    return (min(xs), max(xs)), (min(ys), max(ys))


def _centred(minutiae: list[CompactMinutia]) -> list[CompactMinutia]:
    """Moved as a whole, so that their box lies in the middle of the format's."""
    if not minutiae:
        return []
    dx, dy = (_MIDDLE - (low + high) // 2 for low, high in _extent(minutiae))
    return [CompactMinutia(m.x + dx, m.y + dy, m.angle, m.type) for m in minutiae]


def _key(
    by: Method, minutiae: Sequence[CompactMinutia]
) -> Callable[[CompactMinutia], tuple[int, ...]]:
    """What to order by. Polar: by the distance from the centre of mass, in whole units, squared."""
    count = len(minutiae)
    middle_x = sum(m.x for m in minutiae) // count
    middle_y = sum(m.y for m in minutiae) // count
    keys: dict[Method, Callable[[CompactMinutia], tuple[int, ...]]] = {
        "none": lambda _: (),
        "x-y": lambda m: (m.x, m.y),
        "y-x": lambda m: (m.y, m.x),
        "angle": lambda m: (m.angle,),
        "polar": lambda m: ((m.x - middle_x) ** 2 + (m.y - middle_y) ** 2, m.angle),
    }
    return keys[by]
