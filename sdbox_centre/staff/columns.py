"""What an act says, as the columns of the row it makes. Pure.

Written when an act is entered, and compared whenever a row is read: a row that says anything else
than the newest act on its subject was written by somebody without a card.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sdbox_centre import tables
from sdbox_centre.staff.payload import (
    Answers,
    Box,
    Card,
    Derogation,
    Device,
    EndSession,
    Enrolment,
    Grant,
    Holder,
    Order,
    Project,
    Unlock,
    Window,
)

if TYPE_CHECKING:
    from sqlalchemy import Table

    from sdbox_centre.staff.ledger import Signed


@dataclass(frozen=True, slots=True)
class Fact:
    """A row: which one of which table, and what stands in it by staff's word."""

    table: Table
    key: dict[str, Any]
    said: dict[str, Any]

    @property
    def row(self) -> dict[str, Any]:
        """All of it."""
        return {**self.key, **self.said}


def fact_of(signed: Signed) -> Fact | None:
    """The row an act makes; None if there is none by it (any more)."""
    fact: Fact | None = None
    match signed.act:
        case Holder(removed=False) as act:
            fact = Fact(tables.holders, {"id": act.holder}, {})
        case Card() as act:
            fact = Fact(tables.cards, {"auth_sha256": act.card}, _card(act))
        case Enrolment() as act:
            fact = Fact(tables.enrolments, {"id": act.enrolment}, _enrolment(act, signed))
        case Project() as act:
            fact = Fact(tables.projects, {"id": act.project}, _project(act))
        case Grant(withdrawn=False) as act:
            key = {"holder": act.holder, "project": act.project}
            fact = Fact(tables.grants, key, _grant(act))
        case Box() as act:
            fact = Fact(tables.boxes, {"name": act.box}, _box(act))
        case Derogation() as act:
            fact = Fact(tables.derogations, {"box": act.box}, {"until_s": act.until_s})
        case Holder() | Grant() | Order() | Answers() | Unlock() | Device():
            pass
        case EndSession() | Window():
            pass
    return None if fact is None else replace(fact, said={**fact.said, "act": signed.id})


def same(fact: Fact, row: Any) -> bool:  # noqa: ANN401  a Row
    """Whether the row says what the act says, or less.

    The centre may by itself suspend a box (two boxes with one key) and, after a back-up was put
    back, revoke a card or close a project, as it remembers: that is no more than staff said. A
    reference stands in the row, its digest in the act.
    """
    said = fact.row
    if fact.table is tables.boxes and row.state == "suspended":
        said = {**said, "state": "suspended"}
    if fact.table is tables.projects and row.state == "closed":
        said = {**said, "state": "closed"}
    if fact.table is tables.cards and row.revoked_s is not None:
        said = {**said, "revoked_s": row.revoked_s}
    if fact.table is tables.enrolments and digest(row.reference) != said["reference_sha256"]:
        return False
    return all(getattr(row, name) == value for name, value in said.items())


def digest(reference: bytes | None) -> bytes | None:
    """What an act says of a reference."""
    return None if reference is None else hashlib.sha256(reference).digest()


def _card(act: Card) -> dict[str, Any]:
    return {
        "key_management_sha256": act.key_management_sha256,
        "card_auth_sha256": act.card_auth_sha256,
        "guid": act.guid,
        "holder": act.holder,
        "revoked_s": act.utc_s if act.revoked else None,
    }


def _enrolment(act: Enrolment, signed: Signed) -> dict[str, Any]:
    said = {
        "card": act.card,
        "kind": "finger" if act.finger else "no-finger",
        "reference_sha256": act.reference_sha256,
        "not_before_s": act.not_before_s,
        "not_after_s": act.not_after_s,
        "motive": None,
        "proposed_by": None,
        "confirmed_by": None,
    }
    if not act.finger:
        first, second = signed.names
        said |= {"motive": act.motive, "proposed_by": first, "confirmed_by": second}
    return said


def _project(act: Project) -> dict[str, Any]:
    return {
        "label": act.label,
        "levels": " ".join(act.levels),
        "state": act.state,
        "reason": act.reason,
        "tenant": act.tenant,
        "funder": act.funder,
        "contract_from_s": act.contract_from_s,
        "contract_until_s": act.contract_until_s,
        "legal_basis": act.legal_basis,
        "legal_until_s": act.legal_until_s,
        "countries": " ".join(act.countries),
        "boxes": None if act.boxes is None else " ".join(act.boxes),
        "when_moved": act.when_moved or "tell",
    }


def _grant(act: Grant) -> dict[str, Any]:
    return {
        "role": act.role,
        "undertaking_s": act.undertaking_s,
        "not_after_s": act.not_after_s,
    }


def _box(act: Box) -> dict[str, Any]:
    return {
        "tls_sha256": act.tls_sha256,
        "statement_certificate": act.statement_certificate,
        "state": act.state,
        "host": act.host,
        "place": act.place,
        "voucher": act.voucher,
        "funders": act.funders,
        "country": act.country,
        "placed_s": act.placed_s,
        "rental_from_s": act.rental_from_s,
        "rental_until_s": act.rental_until_s,
    }
