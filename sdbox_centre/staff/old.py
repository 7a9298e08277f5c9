"""What staff do to the store: make, grant, revoke, unlock, suspend. Each act is traced.

Whoever may write to the database file may do this: who did, a name says at most, until acts are
signed with a staff member's card. What takes two of them stands in `nofinger`. The gateway's
own files (boxes and projects) are written apart: the database has no say there, so an entry must
stand in both.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from sdbox_agent.errors import Refused
from sdbox_centre import rows
from sdbox_centre.core import end_all
from sdbox_centre.store import note
from sdbox_centre.tables import boxes, cards, enrolments, grants, holders, projects, sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Table

    from sdbox_agent.terms import Level
    from sdbox_centre.store import Store


@dataclass(frozen=True, slots=True)
class CardShown:
    """A card's three certificates (DER)."""

    auth: bytes
    key_management: bytes
    card_auth: bytes

    @property
    def name(self) -> bytes:
        """SHA-256 of the 9A certificate."""
        return hashlib.sha256(self.auth).digest()


@dataclass(frozen=True, slots=True)
class Validity:
    """UTC seconds: from, and up to but not including."""

    not_before_s: int
    not_after_s: int


class Staff:
    """Acts on one store. Those that end sessions return what the gateway must remove."""

    def __init__(self, store: Store, utc_s: Callable[[], int]) -> None:
        self._store = store
        self._utc_s = utc_s

    def add_box(self, name: str, tls: bytes, statement_certificate: bytes) -> None:
        """A box, by its TLS certificate and the one its statements are verified with."""
        fingerprint = hashlib.sha256(tls).digest()
        row = {"tls_sha256": fingerprint, "statement_certificate": statement_certificate}
        self._add("add-box", boxes, {"name": name, **row}, box=name)

    def add_holder(self, holder: str) -> None:
        """A holder, by pseudonym."""
        self._add("add-holder", holders, {"id": holder})

    def add_card(self, holder: str, card: CardShown) -> bytes:
        """A card of this holder; the card's name."""
        row = {
            "auth_sha256": card.name,
            "key_management_sha256": hashlib.sha256(card.key_management).digest(),
            "card_auth_sha256": hashlib.sha256(card.card_auth).digest(),
            "holder": holder,
        }
        self._add("add-card", cards, row, card=card.name)
        return card.name

    def add_enrolment(
        self, name: str, card: bytes, sealed: bytes | None, validity: Validity
    ) -> None:
        """A finger's: the reference that the desk sealed to this card; none if the card compares.

        The other kind takes two members of staff: see `nofinger`.
        """
        row = {
            "id": name,
            "card": card,
            "reference": sealed,
            "reference_sha256": None if sealed is None else hashlib.sha256(sealed).digest(),
            "not_before_s": validity.not_before_s,
            "not_after_s": validity.not_after_s,
        }
        self._add("add-enrolment", enrolments, row, card=card)

    def add_project(self, name: str, label: str, levels: Sequence[Level]) -> None:
        """A project, open, and the levels it accepts."""
        row = {"id": name, "label": label, "levels": " ".join(level.value for level in levels)}
        self._add("add-project", projects, row, project=name)

    def grant(self, holder: str, project: str) -> None:
        """The holder may enter the project."""
        self._add("grant", grants, {"holder": holder, "project": project}, project=project)

    def withdraw(self, holder: str, project: str, motive: str) -> list[str]:
        """The holder may no longer enter the project; sessions there end."""
        with self._store.begin() as tx:
            wanted = (grants.c.holder == holder) & (grants.c.project == project)
            if not tx.execute(grants.delete().where(wanted)).rowcount:
                raise Refused("not-found")
            held = select(cards.c.auth_sha256).where(cards.c.holder == holder)
            live = tx.execute(
                select(sessions).where(
                    sessions.c.card.in_(held),
                    sessions.c.project == project,
                    sessions.c.state != "ended",
                )
            )
            note(tx, self._utc_s(), "withdraw", project=project, motive=motive)
            return end_all(tx, list(live), "revoked", self._utc_s())

    def close_project(self, project: str, motive: str) -> list[str]:
        """Nobody enters any more; sessions there end."""
        with self._store.begin() as tx:
            closed = update(projects).where(projects.c.id == project).values(state="closed")
            if not tx.execute(closed).rowcount:
                raise Refused("not-found")
            live = tx.execute(
                select(sessions).where(sessions.c.project == project, sessions.c.state != "ended")
            )
            note(tx, self._utc_s(), "close-project", project=project, motive=motive)
            return end_all(tx, list(live), "revoked", self._utc_s())

    def revoke_card(self, card: bytes, motive: str) -> list[str]:
        """For good; its session ends."""
        now_s = self._utc_s()
        with self._store.begin() as tx:
            gone = update(cards).where(cards.c.auth_sha256 == card).values(revoked_s=now_s)
            if not tx.execute(gone).rowcount:
                raise Refused("not-found")
            note(tx, now_s, "revoke-card", card=card, motive=motive)
            return end_all(tx, rows.live_of_card(tx, card), "revoked", now_s)

    def unlock_card(self, card: bytes, motive: str) -> None:
        """Its attempts are whole again, here and (told by the next proof's answer) on each box."""
        with self._store.begin() as tx:
            if rows.card(tx, card) is None:
                raise Refused("not-found")
            rows.unlock_card(tx, card)
            note(tx, self._utc_s(), "unlock-card", card=card, motive=motive)

    def suspend_box(self, name: str, motive: str) -> list[str]:
        """It gets no answer until resumed; its session ends."""
        with self._store.begin() as tx:
            self._set_box(tx, name, "suspended")
            note(tx, self._utc_s(), "suspend-box", box=name, motive=motive)
            return end_all(tx, rows.live_of_box(tx, name), "revoked", self._utc_s())

    def resume_box(self, name: str, motive: str) -> None:
        """A suspended box is answered again; its next start counts from its own counter."""
        with self._store.begin() as tx:
            self._set_box(tx, name, "active")
            note(tx, self._utc_s(), "resume-box", box=name, motive=motive)

    @staticmethod
    def _set_box(tx: Any, name: str, state: str) -> None:  # noqa: ANN401  a Connection
        changed = tx.execute(update(boxes).where(boxes.c.name == name).values(state=state))
        if not changed.rowcount:
            raise Refused("not-found")

    def _add(self, act: str, table: Table, row: dict[str, Any], **about: Any) -> None:  # noqa: ANN401
        """One new row. Raises Refused if it is there already, or what it names is not."""
        try:
            with self._store.begin() as tx:
                tx.execute(insert(table), row)
                note(tx, self._utc_s(), act, **about)
        except IntegrityError:
            raise Refused("request-invalid") from None
