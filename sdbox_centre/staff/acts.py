"""The acts in the store, and whether a row is what staff signed. Only ever added to.

Each process of the centre reads them through an `Acts` of its own, which verifies every act once
and keeps what it found: whoever writes to the database makes nobody believe anything. Nor does it
believe less than it has: an act that is gone from the store again closes its subject here.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
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
    from collections.abc import Callable, Sequence

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
    .where(
        or_(
            acts.c.subject.in_(
                select(_OF.c.subject).where(_OF.c.id.in_(_p("b_ids", expanding=True)))
            ),
            acts.c.subject.in_(_p("b_subjects", expanding=True)),
        )
    )
    .order_by(acts.c.n)
)
_STATEMENTS: Final = select(acts.c.seq, acts.c.statement).where(
    acts.c.seq.in_(_p("b_seqs", expanding=True))
)
_APPEND: Final = insert(acts)


class Acts:
    """One process's reading of them. Safe in threads."""

    def __init__(self, source: RosterSource, utc_s: Callable[[], int]) -> None:
        self._source = source
        self._utc_s = utc_s
        self._lock = threading.Lock()
        self._ledger: Ledger | None = None

    def proven(
        self, tx: Connection, asked: Sequence[tuple[str, Row[Any] | None]]
    ) -> list[Row[Any] | None]:
        """Each row, if it is what the newest act on its subject says, else None: it grants nothing.

        A row is named with its kind, of TABLES, and must be whole. An enrolment must be of its
        card's holder; a card's unlocks are counted by their acts. All are asked for at once: what
        one question costs is felt when everybody comes. Raises Fault: config-invalid, crl-*.
        """
        there = [(kind, row) for kind, row in asked if row is not None]
        act_ids = [row.act for _, row in there if row.act is not None]
        subjects = [one for kind, row in there for one in _beside(TABLES[kind], row)]
        with self._lock:
            read = self._caught_up(tx, act_ids, subjects, self._utc_s())
            return [None if row is None else _believed(read, kind, row) for kind, row in asked]

    def newest(self, tx: Connection, subject: str) -> Signed | None:
        """The newest act on it. Raises Refused for acts that do not hold; Fault as `proven`."""
        with self._lock:
            return self._on(tx, subject, self._utc_s()).newest(subject)

    def told(self, tx: Connection, act_id: bytes) -> accessreview.Act | None:
        """What the act of that id says of itself, if it holds. Raises Fault as `proven`."""
        with self._lock:
            read = self._caught_up(tx, [act_id], [], self._utc_s())
            signed = read.ledger.by_id(act_id) if act_id in read.there else None
        if signed is None or signed.act.subject in read.gone:
            return None
        return accessreview.Act(" and ".join(signed.names), signed.act.utc_s, signed.act.motive)

    def last(self, tx: Connection, subject: str) -> int:
        """The number of the last act on it, whether that one holds or not. Raises as `newest`."""
        with self._lock:
            return self._on(tx, subject, self._utc_s()).last(subject)

    def enter(self, tx: Connection, statement: bytes) -> Signed:
        """Verify a new act and add it. Raises as `Ledger.check_new`; IntegrityError: a race."""
        now_s = self._utc_s()
        with self._lock:
            ledger = self._on(tx, _subject(statement), now_s)
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
            ledger = self._on(tx, _subject(statement), now_s)
            signed = ledger.check_proposed(statement, now_s)
            return signed, ledger.is_enough(signed)

    def forget(self) -> None:
        """Verify all anew: a transaction in which acts were read was rolled back."""
        with self._lock:
            self._ledger = None

    def _on(self, tx: Connection, subject: str, now_s: int) -> Ledger:
        """The ledger, with every act the store has on this subject. Raises Refused: act-missing."""
        read = self._caught_up(tx, [], [subject], now_s)
        if read.gone:
            raise Refused("act-missing")
        return read.ledger

    def _caught_up(
        self, tx: Connection, act_ids: Sequence[bytes], subjects: Sequence[str], now_s: int
    ) -> _Read:
        """The ledger, with every act the store has on these subjects, and on those of these acts.

        Each is verified once, in its turn; then only numbers and digests are compared.
        """
        roster = self._source.roster(now_s)
        if self._ledger is None or self._ledger.roster is not roster:
            self._ledger = Ledger(roster)
        ledger = self._ledger
        chains: dict[str, list[Row[Any]]] = {subject: [] for subject in subjects}
        asked = {"b_ids": act_ids, "b_subjects": subjects}
        for row in tx.execute(_CHAINS, asked).all():
            chains.setdefault(row.subject, []).append(row)
        there = frozenset(row.id for chain in chains.values() for row in chain)
        gone = frozenset(
            subject
            for subject in chains
            if (known := ledger.newest(subject)) is not None and known.id not in there
        )
        new = [
            row
            for subject, chain in chains.items()
            for row in chain
            if subject not in gone and row.n > ledger.last(subject)
        ]
        self._follow(tx, ledger, new)
        return _Read(ledger, there, gone)

    @staticmethod
    def _follow(tx: Connection, ledger: Ledger, new: Sequence[Row[Any]]) -> None:
        if not new:
            return
        found = tx.execute(_STATEMENTS, {"b_seqs": [row.seq for row in new]})
        statements = {one.seq: one.statement for one in found}
        for row in new:
            if row.n <= ledger.last(row.subject):
                continue
            try:
                ledger.take(_checked(ledger, row, statements[row.seq]))
            except Refused as refusal:
                log.critical("act %d does not hold: %s", row.seq, refusal.code)
                ledger.pass_over(row.subject, row.n)


@dataclass(frozen=True, slots=True)
class _Read:
    """The ledger after a question to the store, and what the answer held."""

    ledger: Ledger
    there: frozenset[bytes]  # ids of acts
    gone: frozenset[str]  # subjects whose newest act is no longer among them


def _checked(ledger: Ledger, row: Row[Any], statement: bytes) -> Signed:
    """The act, if it holds and is the one that the row says. Raises Refused."""
    signed = ledger.check(statement)
    if (signed.act.subject, signed.act.n, signed.id) != (row.subject, row.n, row.id):
        raise Refused("act-missing")
    return signed


def _believed(read: _Read, kind: str, row: Row[Any]) -> Row[Any] | None:
    try:
        _check(read, TABLES[kind], row)
    except Refused as refusal:
        log.critical("a %s that staff did not sign so: %s", kind, refusal.code)
        return None
    return row


def _check(read: _Read, table: Table, row: Row[Any]) -> None:
    ledger, signed = read.ledger, read.ledger.by_id(row.act)
    fact = None if signed is None else columns.fact_of(signed)
    if signed is None or fact is None or fact.table is not table or not columns.same(fact, row):
        raise Refused("act-missing")
    about = {signed.act.subject, *_beside(table, row)}
    if row.act not in read.there or about & read.gone:
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


def _beside(table: Table, row: Row[Any]) -> tuple[str, ...]:
    """What else is looked at: an enrolment's card, a card's unlocks."""
    if table is enrolments:
        return (f"card/{row.card.hex()}",)
    return (f"unlock/{row.auth_sha256.hex()}",) if table is cards else ()


def _subject(statement: bytes) -> str:
    """What a statement says it is about, before anything of it is believed."""
    return claimed(statement).subject
