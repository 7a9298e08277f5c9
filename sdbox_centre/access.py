"""Who may enter: the decision, from facts, with a named refusal for each condition. No I/O.

The order of the conditions is the order in which people are told: what they can least mend first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent.centre.wire import Grant
from sdbox_agent.errors import Refused
from sdbox_agent.terms import Level

if TYPE_CHECKING:
    from collections.abc import Iterable


# Ours: attempts of one card, over all its sessions, since the last accepted receipt.
FREE_FAILURES: Final = 5  # from then on each attempt must wait
FIRST_DELAY_S: Final = 30
LONGEST_DELAY_S: Final = 15 * 60
LOCKED_FAILURES: Final = 10  # from then on only staff can help

STRONGEST_FIRST: Final = (Level.HOST_MATCH,)  # levels this centre can grant today


@dataclass(frozen=True, slots=True)
class Card:
    """What the store knows of a card, its certificates already found valid."""

    revoked: bool
    failures: int
    not_before_s: int  # no attempt earlier


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Validity of the sealed reference, as the enrolment office set it."""

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


def level(box_levels: Iterable[Level]) -> Level:
    """The session's level: the strongest that box and centre can do. Raises Refused."""
    offered = set(box_levels)
    for candidate in STRONGEST_FIRST:
        if candidate in offered:
            return candidate
    raise Refused("level-not-accepted")


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
