"""Who may enter: the decision, from facts, with a named refusal for each condition. No I/O.

The order of the conditions is the order in which people are told: what they can least mend first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from sdbox_agent.centre.wire import Grant
from sdbox_agent.errors import Refused
from sdbox_agent.terms import Level

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sdbox_agent.statements import fields

Kind = Literal["finger", "no-finger"]


# Ours: attempts of one card, over all its sessions, since the last accepted receipt.
FREE_FAILURES: Final = 5  # from then on each attempt must wait
FIRST_DELAY_S: Final = 30
LONGEST_DELAY_S: Final = 15 * 60
LOCKED_FAILURES: Final = 10  # from then on only staff can help


@dataclass(frozen=True, slots=True)
class Card:
    """What the store knows of a card, its certificates already found valid."""

    revoked: bool
    failures: int
    not_before_s: int  # no attempt earlier


@dataclass(frozen=True, slots=True)
class Enrolment:
    """How a person was enrolled, and for how long, as the enrolment office set it."""

    kind: Kind
    has_reference: bool  # sealed, for the box to compare with
    has_code: bool  # a device that shows one-time codes
    not_before_s: int
    not_after_s: int


@dataclass(frozen=True, slots=True)
class Project:
    """A project the holder has a grant for."""

    id: str
    label: str
    levels: frozenset[str]
    open: bool


def admit(
    card: Card | None, enrolment: Enrolment | None, *, live_elsewhere: bool, now_s: int
) -> None:
    """May this card start a session now? Raises Refused with the first condition that fails."""
    if card is None:
        raise Refused("card-unknown")
    if card.revoked:
        raise Refused("card-revoked")
    may_compare(card, now_s)
    if enrolment is None:
        raise Refused("reference-missing")
    if not enrolment.not_before_s <= now_s < enrolment.not_after_s:
        raise Refused("enrolment-expired")
    if live_elsewhere:
        raise Refused("session-elsewhere")


def may_compare(card: Card, now_s: int) -> None:
    """May this card spend an attempt now? Raises Refused: card-locked, too-soon."""
    if card.failures >= LOCKED_FAILURES:
        raise Refused("card-locked")
    if now_s < card.not_before_s:
        raise Refused("too-soon")


def level(enrolment: Enrolment, *, match_bound: bool, offered: Iterable[Level]) -> Level:
    """The session's level, once for all. Raises Refused: level-not-accepted.

    Enrolment and card leave one level each, so there is nothing weaker to fall back to: a finger
    is compared by its card if no PIN opens that (`match_bound`, as the verified 9A certificate
    says), else by the box; who has no finger to give brings a PIN and a code, and is never asked
    for a finger, nor a person with a finger for a PIN. A match-bound card has no PIN to give.
    """
    match enrolment.kind, match_bound:
        case "finger", True:
            decided = Level.CARD_MATCH
        case "finger", False if enrolment.has_reference:
            decided = Level.HOST_MATCH
        case "no-finger", False if enrolment.has_code:
            decided = Level.CARD_PIN
        case _:
            raise Refused("level-not-accepted")
    if decided not in set(offered):
        raise Refused("level-not-accepted")
    return decided


def claim(receipt: fields.Receipt, *, match_bound: bool) -> None:
    """Can this card have done what the receipt says? API and gateway ask, each for itself.

    By PIV's rules a PIN opens 9A as a match does, so card-match is believed only of a card whose
    9A certificate says that it has no PIN, and nothing else is believed of that card. Raises
    Refused: card-not-match-bound; level-not-accepted (a match-bound card at another level);
    statement-invalid (a reference at a level that uses none, or none where one is compared with).
    """
    if receipt.level is Level.CARD_MATCH and not match_bound:
        raise Refused("card-not-match-bound")
    if receipt.level is not Level.CARD_MATCH and match_bound:
        raise Refused("level-not-accepted")
    compared = receipt.level is Level.HOST_MATCH
    if (receipt.reference_sha256 is not None) is not compared:
        raise Refused("statement-invalid")


def grants(projects: Iterable[Project], decided: Level) -> tuple[Grant, ...]:
    """What the holder is shown; one with a code can't be chosen. Raises Refused: no-project."""
    shown = tuple(Grant(project=p.id, label=p.label, code=why_not(p, decided)) for p in projects)
    if not any(grant.code is None for grant in shown):
        raise Refused("no-project")
    return shown


def why_not(project: Project, decided: Level) -> str | None:
    """The code that keeps a granted project shut for this session, or None."""
    if not project.open:
        return "project-not-granted"
    return None if decided.value in project.levels else "level-not-accepted"


def enter(project: Project | None, decided: Level) -> None:
    """May the session enter this project? None: no grant. Raises Refused."""
    code = "project-not-granted" if project is None else why_not(project, decided)
    if code is not None:
        raise Refused(code)


def delay_s(failures: int) -> int:
    """How long the next attempt must wait after so many failures."""
    if failures < FREE_FAILURES:
        return 0
    return min(LONGEST_DELAY_S, FIRST_DELAY_S << (failures - FREE_FAILURES))


def attempts_left(failures: int) -> int:
    """What the card has left over all sessions; how many one session may spend is its policy's."""
    return max(0, LOCKED_FAILURES - failures)
