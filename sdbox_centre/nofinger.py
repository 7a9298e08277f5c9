"""Enrolment of a person without a usable finger: two members of staff, a motive, an end.

One proposes, another confirms, and nothing works before. Staff are names here, as the two type
them: that they are two people, the office sees to, until staff's acts are signed with their cards.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
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
    from collections.abc import Callable, Iterator

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
    """Acts on one store; done or refused, each is traced with its motive and its people.

    What is no name or no motive is not traced: it is nobody's act yet.
    """

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
        _said(proposal.motive)
        about = {"motive": proposal.motive, "staff": proposal.staff}
        with self._refusals("propose-no-finger", about):
            self._propose(proposal, about)

    def _propose(self, proposal: Proposal, about: dict[str, Any]) -> None:
        now_s = self._utc_s()
        card = about["card"] = CardShown(proposal.auth, b"", b"").name
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
            with self._store.alone() as tx:
                lapsed = proposals.c.proposed_s <= now_s - PROPOSAL_S
                tx.execute(delete(proposals).where(lapsed))
                if rows.enrolment(tx, card) is not None:
                    raise Refused("request-invalid")
                tx.execute(insert(proposals), row)
                note(tx, now_s, "propose-no-finger", **about)
        except IntegrityError:
            raise Refused("request-invalid") from None

    def confirm(self, enrolment: str, staff: str) -> None:
        """The second person agrees: from now on the enrolment holds.

        Raises Refused: not-found (no such proposal, or older than a week), two-persons-needed,
        request-invalid (no name; a card enrolled meanwhile; an end that has come).
        """
        _named(staff)
        about: dict[str, Any] = {"second": staff}
        with self._refusals("confirm-no-finger", about):
            self._confirm(enrolment, staff, about)

    def _confirm(self, enrolment: str, staff: str, about: dict[str, Any]) -> None:
        now_s = self._utc_s()
        try:
            with self._store.alone() as tx:
                found = self._proposal(tx, enrolment, now_s)
                about |= {"motive": found.motive, "staff": found.proposed_by, "card": found.card}
                if found.proposed_by.casefold() == staff.casefold():
                    raise Refused("two-persons-needed")
                note(tx, now_s, "confirm-no-finger", **about)
                _enrol(tx, found, staff, now_s)
        except IntegrityError:
            raise Refused("request-invalid") from None

    def provision(
        self, enrolment: str, motive: str, codes: Codes, random_bytes: Callable[[int], bytes]
    ) -> str:
        """A secret for the person's device: its otpauth URI, shown once; an earlier one is void.

        Raises Refused: not-found (no such enrolment of this kind), request-invalid (no motive).
        """
        _said(motive)
        now_s, about = self._utc_s(), {"motive": motive}
        with self._refusals("provision-code", about), self._store.alone() as tx:
            wanted = (enrolments.c.id == enrolment) & (enrolments.c.kind == "no-finger")
            found = tx.execute(select(enrolments.c.card).where(wanted)).first()
            if found is None:
                raise Refused("not-found")
            act = "provision-code" if rows.code(tx, enrolment) is None else "replace-code"
            uri = codes.provision(tx, enrolment, random_bytes)
            note(tx, now_s, act, card=found.card, **about)
        return uri

    @contextmanager
    def _refusals(self, act: str, about: dict[str, Any]) -> Iterator[None]:
        """Trace a refusal, with what is known of it by then, after its act was rolled back."""
        try:
            yield
        except Refused as refusal:
            with self._store.alone() as tx:
                note(tx, self._utc_s(), act, refusal.code, **about)
            raise

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


def is_motive(text: str) -> bool:
    """Whether this says why, in one line that a trace can show as it is."""
    return len(text.strip()) > 0 and len(text) <= MAX_MOTIVE and text.isprintable()


def _said(motive: str) -> None:
    if not is_motive(motive):
        raise Refused("request-invalid")


def _named(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Refused("request-invalid")


def _match_bound(auth_der: bytes) -> bool:
    try:
        return holder.is_match_bound(certificate.load(auth_der))
    except DecodeError:
        raise Refused("card-data-invalid") from None
