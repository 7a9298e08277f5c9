"""The acts in the store, and whether a row is what staff signed. Only ever added to.

Each process of the centre reads them through an `Acts` of its own, which verifies every act once
and keeps what it found: whoever writes to the database makes nobody believe anything. Nor does it
believe less than it has: an act that is gone from the store again closes its subject here.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, insert, or_, select

from sdbox_agent.errors import Refused
from sdbox_centre import accessreview
from sdbox_centre.staff import columns, payload
from sdbox_centre.staff.ledger import Ledger, claimed
from sdbox_centre.tables import (
    acts,
    boxes,
    cards,
    derogations,
    enrolments,
    grants,
    holders,
    projects,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Row, Select, Table

    from sdbox_centre.staff.ledger import Signed
    from sdbox_centre.staff.roster import RosterSource

log = logging.getLogger("sdbox.centre")

TABLES: Final = {
    "holder": holders,
    "box": boxes,
    "derogation": derogations,
    "card": cards,
    "enrolment": enrolments,
    "project": projects,
    "grant": grants,
}
_p = bindparam
_OF: Final = acts.alias()
_CHAINS: Final[Select[Any]] = (
    select(acts.c.seq, acts.c.id, acts.c.subject, acts.c.n)
    .where(  # null is equal to nothing; a list of values would be worded anew at each question
        or_(
            acts.c.subject.in_(select(_OF.c.subject).where(_OF.c.id == _p("b_id"))),
            acts.c.subject == _p("b_subject"),
        )
    )
    .order_by(acts.c.n)
)
_STATEMENT: Final = select(acts.c.statement).where(acts.c.seq == _p("b_seq"))
_APPEND: Final = insert(acts)


class Acts:
    """One process's reading of them. Safe in threads."""

    def __init__(self, source: RosterSource, utc_s: Callable[[], int]) -> None:
        self._source = source
        self._utc_s = utc_s
        self._lock = threading.Lock()
        self._ledger: Ledger | None = None

    def proven(self, tx: Connection, kind: str, row: Row[Any]) -> Row[Any] | None:
        """The row, if it is what the newest act on its subject says, else None: it grants nothing.

        It must be whole, of one of TABLES. An enrolment must be of its card's holder; a card's
        unlocks are counted by their acts. Raises Fault: config-invalid, crl-*.
        """
        table, now_s = TABLES[kind], self._utc_s()
        try:
            with self._lock:
                ledger = self._caught_up(tx, row.act, _beside(table, row), now_s)
                _check(ledger, table, row)
        except Refused as refusal:
            log.critical("a %s that staff did not sign so: %s", kind, refusal.code)
            return None
        return row

    def newest(self, tx: Connection, subject: str) -> Signed | None:
        """The newest act on it. Raises Refused for acts that do not hold; Fault as `proven`."""
        with self._lock:
            return self._caught_up(tx, None, subject, self._utc_s()).newest(subject)

    def told(self, tx: Connection, act_id: bytes) -> accessreview.Act | None:
        """What the act of that id says of itself, if it holds. Raises Fault as `proven`."""
        try:
            with self._lock:
                signed = self._caught_up(tx, act_id, None, self._utc_s()).by_id(act_id)
        except Refused:
            return None
        if signed is None:
            return None
        return accessreview.Act(" and ".join(signed.names), signed.act.utc_s, signed.act.motive)

    def last(self, tx: Connection, subject: str) -> int:
        """The number of the last act on it, whether that one holds or not. Raises as `newest`."""
        with self._lock:
            return self._caught_up(tx, None, subject, self._utc_s()).last(subject)

    def enter(self, tx: Connection, statement: bytes) -> Signed:
        """Verify a new act and add it. Raises as `Ledger.check_new`; IntegrityError: a race."""
        now_s = self._utc_s()
        with self._lock:
            ledger = self._caught_up(tx, None, _subject(statement), now_s)
            signed = ledger.check_new(statement, now_s)
        row = {
            "id": signed.id,
            "kind": type(signed.act).__struct_config__.tag,
            "subject": signed.act.subject,
            "n": signed.act.n,
            "statement": statement,
            "at_s": now_s,
        }
        tx.execute(_APPEND, row)
        return signed

    def proposed(self, tx: Connection, statement: bytes) -> tuple[Signed, bool]:
        """Verify an act that may lack a second signature; and whether it does not.

        Raises as `Ledger.check_proposed`.
        """
        now_s = self._utc_s()
        with self._lock:
            ledger = self._caught_up(tx, None, _subject(statement), now_s)
            signed = ledger.check_proposed(statement, now_s)
            return signed, ledger.is_enough(signed)

    def forget(self) -> None:
        """Verify all anew: a transaction in which acts were read was rolled back."""
        with self._lock:
            self._ledger = None

    def _caught_up(
        self, tx: Connection, act_id: bytes | None, subject: str | None, now_s: int
    ) -> Ledger:
        """The ledger, with every act the store has on this subject, and on that of this act.

        Each is verified once, in its turn; then only numbers and digests are compared.
        """
        roster = self._source.roster(now_s)
        if self._ledger is None or self._ledger.roster is not roster:
            self._ledger = Ledger(roster)
        there: dict[str, list[Row[Any]]] = {} if subject is None else {subject: []}
        for row in tx.execute(_CHAINS, {"b_id": act_id, "b_subject": subject}).all():
            there.setdefault(row.subject, []).append(row)
        for about, chain in there.items():
            self._follow(tx, self._ledger, about, chain)
        return self._ledger

    @staticmethod
    def _follow(tx: Connection, ledger: Ledger, subject: str, chain: list[Row[Any]]) -> None:
        known = ledger.newest(subject)
        if known is not None and known.id not in {row.id for row in chain}:
            raise Refused("act-missing")
        for row in chain:
            if row.n <= ledger.last(subject):
                continue
            try:
                ledger.take(_read(tx, ledger, row))
            except Refused as refusal:
                log.critical("act %d does not hold: %s", row.seq, refusal.code)
                ledger.pass_over(subject, row.n)


def _read(tx: Connection, ledger: Ledger, row: Row[Any]) -> Signed:
    """The act, if it holds and is the one that the row says. Raises Refused."""
    signed = ledger.check(tx.execute(_STATEMENT, {"b_seq": row.seq}).scalar_one())
    if (signed.act.subject, signed.act.n, signed.id) != (row.subject, row.n, row.id):
        raise Refused("act-missing")
    return signed


def _check(ledger: Ledger, table: Table, row: Row[Any]) -> None:
    signed = ledger.by_id(row.act)
    fact = None if signed is None else columns.fact_of(signed)
    if signed is None or fact is None or fact.table is not table or not columns.same(fact, row):
        raise Refused("act-missing")
    if table is enrolments:
        assert isinstance(signed.act, payload.Enrolment)
        card = ledger.newest(f"card/{row.card.hex()}")
        if card is None or not isinstance(card.act, payload.Card):
            raise Refused("act-missing")
        if card.act.holder != signed.act.holder:
            raise Refused("act-missing")
    if table is cards:
        unlock = ledger.newest(f"unlock/{row.auth_sha256.hex()}")
        if row.unlocks != (0 if unlock is None else unlock.act.n):
            raise Refused("act-missing")


def _beside(table: Table, row: Row[Any]) -> str | None:
    """What else is looked at: an enrolment's card, a card's unlocks."""
    if table is enrolments:
        return f"card/{row.card.hex()}"
    return f"unlock/{row.auth_sha256.hex()}" if table is cards else None


def _subject(statement: bytes) -> str:
    """What a statement says it is about, before anything of it is believed."""
    return claimed(statement).subject
