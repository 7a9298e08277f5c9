"""What an act must keep to, seen beside the one before it on the same subject. Pure.

Most acts are one person's. Two decide where one alone could let somebody in who should stay out:
a card's attempts given back, another enrolment for somebody who has one, one without a finger, a
device for codes, a planned window, and a project that asks for less than it did.
"""

from __future__ import annotations

from msgspec import UNSET

from sdbox_agent.errors import Refused
from sdbox_centre.staff.payload import (
    Act,
    Box,
    Card,
    Device,
    Enrolment,
    Project,
    Unlock,
    Window,
)


def check_next(act: Act, before: Act | None) -> None:
    """Whether it may come after `before`, the one before it on its subject, None if none is known.

    Raises Refused: act-final (of a card revoked or a box
    retired, for good), act-impossible (a card that changes its keys or its holder; another
    reference, or none, on the card of the last one: new fingers mean a new card).
    """
    match before, act:
        case (Card(revoked=True), _) | (Box(state="retired"), _):
            raise Refused("act-final")
        case Card(), Card() if _identity(before) != _identity(act):
            raise Refused("act-impossible")
        case Enrolment(), Enrolment() if before.card == act.card and _who(before) != _who(act):
            raise Refused("act-impossible")
        case _:
            return


def signatures(act: Act, before: Act | None) -> int:
    """How many members of staff must have signed it."""
    match act:
        case Unlock() | Device() | Window():
            return 2
        case Enrolment():
            return 2 if before is not None or not act.finger else 1
        case Project():
            return 2 if isinstance(before, Project) and _weaker(act, before) else 1
        case _:
            return 1


def _identity(card: Card) -> tuple[object, ...]:
    return card.key_management_sha256, card.card_auth_sha256, card.guid, card.holder


def _who(enrolment: Enrolment) -> tuple[object, ...]:
    return enrolment.enrolment, enrolment.finger, enrolment.reference_sha256


def _weaker(act: Project, before: Project) -> bool:
    """Whether some session may enter by the one that might not by the other.

    Its dates and state are not its policy: a contract that is prolonged, or a project that opens
    again, is one person's business.
    """
    boxes_lifted = before.boxes is not None and (
        act.boxes is None or not set(act.boxes) <= set(before.boxes)
    )
    held_before = before.when_moved is not UNSET and act.when_moved is UNSET
    return (
        boxes_lifted
        or held_before
        or not set(act.levels) <= set(before.levels)
        or not set(act.countries) <= set(before.countries)
    )
