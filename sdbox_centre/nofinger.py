"""Enrolment of a person without a usable finger: two members of staff, a motive, an end.

One proposes, another confirms, and nothing works before. Staff are names here, as the two type
them: that they are two people, the office sees to, until staff's acts are signed with their cards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from sdbox_agent.errors import DecodeError, Refused
from sdbox_agent.pki import certificate, holder
from sdbox_centre import rows
from sdbox_centre.staff import CardShown
from sdbox_centre.store import note
from sdbox_centre.tables import enrolments, proposals

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Row

    from sdbox_centre.codes import Codes
    from sdbox_centre.store import Store

DAY_S: Final = 86400
LONGEST_S: Final = 365 * DAY_S  # a year at most: then two people look at it again
PROPOSAL_S: Final = 7 * DAY_S  # what nobody confirmed in a week is no proposal any more
_NAME: Final = re.compile(r"[A-Za-z0-9._:-]{1,100}")  # as enrolments are named on the wire
MAX_MOTIVE: Final = 200  # characters


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the first of the two asks for."""

    enrolment: str
    auth: bytes  # the card's 9A certificate, DER
    not_after_s: int
    motive: str
    staff: str


class NoFinger:
    """Acts on one store; done or refused, each is traced with its motive and its people."""

    def __init__(self, store: Store, utc_s: Callable[[], int]) -> None:
        self._store = store
        self._utc_s = utc_s

    def propose(self, proposal: Proposal) -> None:
        """Ask for it. A proposal of that name that lapsed is replaced.

        Raises Refused: request-invalid (a name or motive that is none, an end that is past or more
        than a year away, a card that nobody added or that has an enrolment, a proposal there
        already), level-not-accepted (a match-bound card: it has no PIN to give).
        """
        _named(proposal.enrolment)
        _named(proposal.staff)
        now_s, card = self._utc_s(), CardShown(proposal.auth, b"", b"").name
        if not 0 < len(proposal.motive.strip()) <= MAX_MOTIVE:
            raise Refused("request-invalid")
        if not now_s < proposal.not_after_s <= now_s + LONGEST_S:
            raise Refused("request-invalid")
        if _match_bound(proposal.auth):
            raise Refused("level-not-accepted")
        row = {
            "id": proposal.enrolment,
            "card": card,
            "motive": proposal.motive,
            "proposed_by": proposal.staff,
            "proposed_s": now_s,
            "not_after_s": proposal.not_after_s,
        }
        try:
            with self._store.begin() as tx:
                lapsed = proposals.c.proposed_s <= now_s - PROPOSAL_S
                tx.execute(delete(proposals).where(lapsed))
                if rows.enrolment(tx, card) is not None:
                    raise Refused("request-invalid")
                tx.execute(insert(proposals), row)
                about = {"motive": proposal.motive, "staff": proposal.staff}
                note(tx, now_s, "propose-no-finger", card=card, **about)
        except IntegrityError:
            raise Refused("request-invalid") from None

    def confirm(self, enrolment: str, staff: str) -> None:
        """The second person agrees: from now on the enrolment holds.

        Raises Refused: not-found (no such proposal, or older than a week), two-persons-needed,
        request-invalid (no name; a card enrolled meanwhile; an end that has come).
        """
        _named(staff)
        now_s = self._utc_s()
        try:
            with self._store.begin() as tx:
                found = self._proposal(tx, enrolment, now_s)
                about = {"motive": found.motive, "staff": found.proposed_by, "second": staff}
                same = found.proposed_by.casefold() == staff.casefold()
                code = "two-persons-needed" if same else "done"
                note(tx, now_s, "confirm-no-finger", code, card=found.card, **about)
                if not same:
                    _enrol(tx, found, staff, now_s)
        except IntegrityError:
            raise Refused("request-invalid") from None
        if same:
            raise Refused("two-persons-needed")

    def provision(
        self, enrolment: str, motive: str, codes: Codes, random_bytes: Callable[[int], bytes]
    ) -> str:
        """A secret for the person's device: its otpauth URI, shown once; an earlier one is void.

        Raises Refused: not-found (no such enrolment of this kind).
        """
        now_s = self._utc_s()
        with self._store.begin() as tx:
            wanted = (enrolments.c.id == enrolment) & (enrolments.c.kind == "no-finger")
            found = tx.execute(select(enrolments.c.card).where(wanted)).first()
            if found is None:
                raise Refused("not-found")
            act = "provision-code" if rows.code(tx, enrolment) is None else "replace-code"
            uri = codes.provision(tx, enrolment, random_bytes)
            note(tx, now_s, act, card=found.card, motive=motive)
        return uri

    @staticmethod
    def _proposal(tx: Connection, enrolment: str, now_s: int) -> Row[Any]:
        found = tx.execute(select(proposals).where(proposals.c.id == enrolment)).first()
        if found is None or found.proposed_s <= now_s - PROPOSAL_S:
            raise Refused("not-found")
        return found


def _enrol(tx: Connection, found: Row[Any], staff: str, now_s: int) -> None:
    if found.not_after_s <= now_s:
        raise Refused("request-invalid")
    row = {
        "id": found.id,
        "card": found.card,
        "kind": "no-finger",
        "not_before_s": now_s,
        "not_after_s": found.not_after_s,
        "motive": found.motive,
        "proposed_by": found.proposed_by,
        "confirmed_by": staff,
    }
    tx.execute(insert(enrolments), row)
    tx.execute(delete(proposals).where(proposals.c.id == found.id))


def _named(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Refused("request-invalid")


def _match_bound(auth_der: bytes) -> bool:
    try:
        return holder.is_match_bound(certificate.load(auth_der))
    except DecodeError:
        raise Refused("card-data-invalid") from None
