"""Who may enter: the decision, from facts, with a named refusal for each condition. No I/O.

The order of the conditions is the order in which people are told: what they can least mend first.
A card is replaced, an enrolment made anew, a box put right, another session closed; a project is
opened again by its lead, its undertaking is signed, another box found.
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

DAY_S: Final = 86400

# The centre's rule for users: "an enrolment session is valid for 4 years", one of them a leap year.
ENROLMENT_S: Final = (4 * 365 + 1) * DAY_S

# Ours: attempts of one card, over all its sessions, since the last accepted receipt.
FREE_FAILURES: Final = 5  # from then on each attempt must wait
FIRST_DELAY_S: Final = 30
LONGEST_DELAY_S: Final = 15 * 60
LOCKED_FAILURES: Final = 10  # from then on only staff can help

# Ours: before an end, people are told so many days ahead.
WARNED_DAYS: Final = (7, 30, 90)

_SHUT_BOX: Final = {"ordered": "box-not-placed", "retired": "box-retired"}
_PROJECT_STATES: Final = frozenset({"pending", "open", "suspended"})  # any other is closed
FOREVER_S: Final = 2**40  # no date lies beyond


@dataclass(frozen=True, slots=True)
class Span:
    """UTC seconds: `from_s` counts, `until_s` does not."""

    from_s: int
    until_s: int

    def begun(self, now_s: int) -> bool:
        """Is it on, or was it?"""
        return self.from_s <= now_s

    def over(self, now_s: int) -> bool:
        """Was it?"""
        return self.until_s <= now_s


NEVER: Final = Span(FOREVER_S, FOREVER_S)


@dataclass(frozen=True, slots=True)
class Box:
    """Where the card is."""

    name: str
    state: str  # ordered | active | suspended | retired
    placed: bool
    country: str | None
    rental: Span
    changed: bool  # moved or altered since it was placed, by the centre's eyes or its own word
    derogated_until_s: int  # let in all the same


@dataclass(frozen=True, slots=True)
class Card:
    """A card whose certificates were found valid when it was shown."""

    revoked: bool
    twice: bool  # seen in two boxes at once: until staff have looked into it
    until_s: int  # the first of its certificates ends
    failures: int  # but for the attempt that the session itself has in hand


@dataclass(frozen=True, slots=True)
class Enrolment:
    """How a person was enrolled, and for how long, as the enrolment office set it."""

    kind: Kind
    has_reference: bool  # sealed, for the box to compare with
    has_code: bool  # a device that shows one-time codes
    not_before_s: int
    not_after_s: int

    @property
    def span(self) -> Span:
        """Four years at most, whatever was set."""
        until_s = min(self.not_after_s, self.not_before_s + ENROLMENT_S)
        return Span(self.not_before_s, until_s)


@dataclass(frozen=True, slots=True)
class Project:
    """A project the holder has a grant for, and that grant."""

    id: str
    label: str
    levels: frozenset[str]
    state: str  # pending | open | suspended | closed
    contract: Span
    legal_until_s: int  # of its legal basis
    countries: frozenset[str]
    boxes: frozenset[str] | None  # None: any
    holds: bool  # a box that was moved or altered waits for a derogation
    undertaken: bool  # the holder signed
    grant_until_s: int

    @property
    def until_s(self) -> int:
        """From then on nobody enters by this grant."""
        return min(self.contract.until_s, self.legal_until_s, self.grant_until_s)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision stands on. What is None is not known, or nobody signed for it."""

    box: Box | None
    card: Card | None
    enrolment: Enrolment | None
    projects: tuple[Project, ...]
    match_bound: bool  # as the verified 9A certificate says
    offered: frozenset[Level]  # by the box; of a live session its own level, and no other
    elsewhere: bool  # the card has a tunnel at another box


@dataclass(frozen=True, slots=True)
class Standing:
    """What a session may do, as long as nothing changes: at `until_s` something does."""

    level: Level
    until_s: int
    notices: tuple[str, ...]  # what ends soon
    projects: tuple[Grant, ...]  # one with a code can't be chosen
    ends: dict[str, int]  # by project: as `until_s`, in there

    def choices(self) -> tuple[Grant, ...]:
        """What the holder is shown. Raises Refused if none can be chosen.

        With the one reason there is, or no-project.
        """
        codes = {grant.code for grant in self.projects}
        if None in codes:
            return self.projects
        (why,) = codes if len(codes) == 1 else {"no-project"}
        raise Refused(why or "no-project")

    def enter(self, project: str) -> int:
        """Until when the session may be in there. Raises Refused."""
        codes = {grant.project: grant.code for grant in self.projects}
        code = codes.get(project, "project-not-granted")
        if code is not None:
            raise Refused(code)
        return self.ends[project]


def decide(facts: Facts, now_s: int) -> Standing:
    """May this card have a session here now, and where to? At the start of one, and ever again.

    Raises Refused with the first condition that fails, of card, enrolment, box, level and other
    sessions. A condition of a project shuts that project only.
    """
    card, enrolment, box = facts.card, facts.enrolment, facts.box
    if card is None:
        raise Refused("card-unknown")
    _all_hold(
        (not card.revoked, "card-revoked"),
        (now_s < card.until_s, "card-expired"),
        (not card.twice, "card-twice"),
    )
    if enrolment is None:
        raise Refused("reference-missing")
    _all_hold(
        (enrolment.span.begun(now_s), "enrolment-not-begun"),
        (not enrolment.span.over(now_s), "enrolment-expired"),
        (card.failures < LOCKED_FAILURES, "card-locked"),
    )
    if box is None:
        raise Refused("box-refused")
    _in_service(box, now_s)
    decided = level(enrolment, match_bound=facts.match_bound, offered=facts.offered)
    if facts.elsewhere:
        raise Refused("session-elsewhere")
    codes = {p.id: why_not(p, box, decided, now_s) for p in facts.projects}
    enrolled_s, rented_s = enrolment.span.until_s, box.rental.until_s
    until_s = min(card.until_s, enrolled_s, rented_s)
    first_s = min((p.until_s for p in facts.projects if codes[p.id] is None), default=FOREVER_S)
    named = (("enrolment", enrolled_s), ("rental", rented_s), ("project", first_s))
    return Standing(
        level=decided,
        until_s=until_s,
        notices=tuple(notice for what, end_s in named for notice in ending(what, end_s, now_s)),
        projects=tuple(
            Grant(project=p.id, label=p.label, code=codes[p.id]) for p in facts.projects
        ),
        ends={p.id: min(until_s, p.until_s, _held_from_s(p, box)) for p in facts.projects},
    )


def _all_hold(*conditions: tuple[bool, str]) -> None:
    """Raises Refused with the code of the first that does not."""
    for holds, code in conditions:
        if not holds:
            raise Refused(code)


def shut_box(state: str) -> str | None:
    """The code of a box that is not in service, or None."""
    return None if state == "active" else _SHUT_BOX.get(state, "box-suspended")


def _in_service(box: Box, now_s: int) -> None:
    """Raises Refused unless the box is."""
    code = shut_box(box.state)
    if code is not None:
        raise Refused(code)
    _all_hold(
        (box.placed, "box-not-placed"),
        (box.rental.begun(now_s), "box-rental-not-begun"),
        (not box.rental.over(now_s), "box-rental-ended"),
    )


def why_not(project: Project, box: Box, decided: Level, now_s: int) -> str | None:
    """The code that keeps a granted project shut for this session, or None."""
    conditions = (
        (project.state in _PROJECT_STATES, "project-closed"),
        (project.contract.begun(now_s), "contract-not-open"),
        (not project.contract.over(now_s), "contract-ended"),
        (now_s < project.legal_until_s, "legal-basis-expired"),
        (project.state != "pending", "project-pending"),
        (project.state != "suspended", "project-suspended"),
        (now_s < project.grant_until_s, "grant-ended"),
        (box.country in project.countries, "country-not-allowed"),
        (project.boxes is None or box.name in project.boxes, "box-not-of-project"),
        (now_s < _held_from_s(project, box), "box-held"),
        (decided.value in project.levels, "level-not-accepted"),
        (project.undertaken, "undertaking-missing"),
    )
    return next((code for holds, code in conditions if not holds), None)


def _held_from_s(project: Project, box: Box) -> int:
    """From then on the project waits until somebody has looked at where, and what, the box is."""
    return box.derogated_until_s if project.holds and box.changed else FOREVER_S


def ending(what: str, end_s: int, now_s: int) -> tuple[str, ...]:
    """The notice of an end that is near."""
    near = (days for days in WARNED_DAYS if end_s - now_s <= days * DAY_S)
    return tuple(f"{what}-ends-{days}" for days in near)[:1]


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


def may_compare(failures: int, not_before_s: int, now_s: int) -> None:
    """May a card spend an attempt now? Raises Refused: card-locked, too-soon."""
    _all_hold(
        (failures < LOCKED_FAILURES, "card-locked"),
        (not_before_s <= now_s, "too-soon"),
    )


def delay_s(failures: int) -> int:
    """How long the next attempt must wait after so many failures."""
    if failures < FREE_FAILURES:
        return 0
    return min(LONGEST_DELAY_S, FIRST_DELAY_S << (failures - FREE_FAILURES))


def attempts_left(failures: int) -> int:
    """What the card has left over all sessions; how many one session may spend is its policy's."""
    return max(0, LOCKED_FAILURES - failures)
