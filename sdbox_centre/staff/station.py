"""A place where staff sign and enter acts, and what is said there [door: the terminal].

The card that is put in signs; a second one here and now, or later, at any other station.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from sdbox_agent import terminal
from sdbox_agent.errors import DecodeError, Refused
from sdbox_agent.statements import jws
from sdbox_centre import boxlife
from sdbox_centre.staff import shown
from sdbox_centre.staff.acts import TABLES
from sdbox_centre.staff.ledger import claimed
from sdbox_centre.staff.office import Pending
from sdbox_centre.staff.signer import countersigned, signed
from sdbox_centre.tables import acts, boxes, derogations, links, places, sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from sdbox_centre.staff.office import Entered, Office
    from sdbox_centre.staff.payload import Act
    from sdbox_centre.staff.roster import RosterSource
    from sdbox_centre.staff.shown import Plain
    from sdbox_centre.staff.signer import Signer

    Cards = Callable[[], AbstractContextManager[Signer]]

_HEALTH: Final = (
    select(boxes.c.name, boxes.c.state, links.c.health_s, links.c.health)
    .join_from(boxes, links, isouter=True)
    .order_by(boxes.c.name)
)

_PLACES: Final = (
    select(
        *(boxes.c.name, boxes.c.state, boxes.c.placed_s, derogations.c.until_s),
        *(places.c.moved_s, places.c.said_moved_s, places.c.said_altered_s),
    )
    .join_from(
        boxes,
        places,
        (places.c.box == boxes.c.name) & (places.c.placed_s == boxes.c.placed_s),
        isouter=True,
    )
    .join(derogations, derogations.c.box == boxes.c.name, isouter=True)
    .order_by(boxes.c.name)
)


@dataclass(frozen=True, slots=True)
class Station:
    """An office, and a reader for staff's cards."""

    office: Office
    roster: RosterSource
    card: Cards
    json: bool
    with_second: bool = False

    # -- acts ------------------------------------------------------------------------------------

    def act(self, act: Act, reference: bytes | None = None, told: str | None = None) -> None:
        """Have it signed, enter it, and say what became of it. Raises Refused, Fault.

        `told`: what is shown once it holds, and never again.
        """
        self.act_all([act], reference, told)

    def act_all(
        self, acts_: Iterable[Act], reference: bytes | None = None, told: str | None = None
    ) -> None:
        """The same of several, which one PIN is enough for."""
        with self.card() as signer:
            statements = [signed(act, signer) for act in acts_]
        if self.with_second:
            statements = self._countersigned(statements)
        for statement in statements:
            try:
                made = self.office.offer(statement, reference)
            except Refused:
                self._note(f"not entered, nor what comes after: {claimed(statement).subject}")
                raise
            self._say_made(made, told)

    def confirm(self, wanted: str) -> None:
        """Sign what somebody else proposed: told by the beginning of its name."""
        named = [one for one in self.office.pending() if one.id.hex().startswith(wanted)]
        if len(named) != 1:
            raise Refused("not-found")
        self._note(shown.as_json(shown.plain_act(named[0].act)))
        self._say_made(self.office.confirm(named[0].id, self._signed_here))

    def _signed_here(self, statement: bytes) -> bytes:
        with self.card() as signer:
            return countersigned(statement, signer)

    def _countersigned(self, statements: Iterable[bytes]) -> list[bytes]:
        self._note("The other person's card now; then press Enter.")
        terminal.read_line(sys.stdin.fileno(), bytearray(terminal.MAX_LINE_BYTES))
        with self.card() as signer:
            return [countersigned(statement, signer) for statement in statements]

    # -- what there is ---------------------------------------------------------------------------

    def rows(self, kind: str) -> None:
        """Every row of a kind, and whether it is what staff signed."""
        office = self.office
        with office.store.begin() as tx:
            there = tx.execute(select(TABLES[kind])).all()
            proven = office.acts.proven(tx, [(kind, row) for row in there])
            found = [
                {**shown.plain(row._asdict()), "signed": believed is not None}
                for row, believed in zip(there, proven, strict=True)
            ]
        self._say_rows(kind, found)

    def health(self) -> None:
        """Of every box: when it was last heard on its link, and what it said of itself then."""
        with self.office.store.begin() as tx:
            found = tx.execute(_HEALTH).all()
        self._say_rows("health", [shown.plain_health(*row) for row in found])

    def places(self) -> None:
        """Of every box: when it was first seen elsewhere, or said so, and its derogation's end."""
        with self.office.store.begin() as tx:
            found = tx.execute(_PLACES).all()
        self._say_rows("place", [shown.plain(row._asdict()) for row in found])

    def reports(self) -> None:
        """What each box said of itself as it was made."""
        with self.office.store.begin() as tx:
            found = boxlife.told(tx)
        self._say_rows("report", found)

    def sessions(self) -> None:
        """The live ones."""
        with self.office.store.begin() as tx:
            live = tx.execute(select(sessions).where(sessions.c.state != "ended")).all()
        self._say_rows("session", [shown.plain(row._asdict()) for row in live])

    def pending(self) -> None:
        """What waits for a second person."""
        self._say_rows("pending", [self._plain_pending(one) for one in self.office.pending()])

    def log(self) -> None:
        """Every act, in the order in which they came."""
        roster = self.roster.roster(self.office.utc_s())
        with self.office.store.begin() as tx:
            found = tx.execute(select(acts).order_by(acts.c.seq)).all()

        def by(statement: bytes) -> str:
            try:
                thumbprints = jws.signers(statement)
            except DecodeError:
                return "?"
            named = (roster.members.get(one) for one in thumbprints)
            return " ".join("?" if member is None else member.name for member in named)

        def plain(row: Any) -> Plain:  # noqa: ANN401  a Row
            try:
                said = shown.plain_act(claimed(row.statement))
            except Refused:
                said = {"kind": row.kind, "subject": row.subject, "n": row.n}
            return {**said, "seq": row.seq, "at_s": row.at_s, "by": by(row.statement)}

        self._say_rows("act", map(plain, found))

    def deliver(self) -> None:
        """Hand the gateway every act there is. Raises Fault."""
        had = self.office.deliver()
        self._say({"delivered": had}, f"the gateway has {had} acts")

    # -- saying ----------------------------------------------------------------------------------

    def _say_made(self, made: Entered | Pending, told: str | None = None) -> None:
        if isinstance(made, Pending):
            name = made.id.hex()
            text = f"somebody else has to sign it: acts confirm {name[:12]}"
            self._say({"pending": self._plain_pending(made)}, text)
            return
        act = shown.plain_act(made.act)
        once = made.shown or told
        self._say(
            {"entered": act, "ended": list(made.gone), "shown": once},
            once or f"entered: {act['subject']}",
        )

    @staticmethod
    def _plain_pending(one: Pending) -> Plain:
        about = {"id": one.id.hex(), "by": one.by, "at_s": one.at_s}
        return {**shown.plain_act(one.act), **about}

    def _say_rows(self, kind: str, rows: Iterable[Plain]) -> None:
        found = list(rows)
        self._say({kind: found}, shown.as_table(kind, found))

    def _say(self, value: object, text: str) -> None:
        print(shown.as_json(value) if self.json else text)  # noqa: T201

    @staticmethod
    def _note(text: str) -> None:
        print(text, file=sys.stderr)  # noqa: T201
