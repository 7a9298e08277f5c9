"""Where acts are entered: verified, added, made into rows, and their consequences drawn.

An act that needs two is proposed by one and confirmed by another, each with a card; in between it
is a row that does nothing. Every act is traced with its motive and its people, refused ones too.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import msgspec
from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from sdbox_agent.errors import Fault, Refused
from sdbox_centre.staff import columns, making, payload
from sdbox_centre.staff.ledger import FRESH_S, claimed
from sdbox_centre.staff.payload import Act, Answers, Device, EndSession, Unlock, Window
from sdbox_centre.store import note
from sdbox_centre.tables import acts, enrolments, proposals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sqlalchemy import Connection, Row

    from sdbox_centre.codes import Codes
    from sdbox_centre.staff.acts import Acts
    from sdbox_centre.staff.ledger import Signed
    from sdbox_centre.store import Store

Kind = TypeVar("Kind", bound=Act)
HAPPENINGS: Final = (
    Answers,
    Unlock,
    Device,
    EndSession,
    Window,
)  # done again and again on one subject

log = logging.getLogger("sdbox.centre")


@dataclass(frozen=True, slots=True)
class Pending:
    """An act that one person has signed and another has yet to."""

    id: bytes
    act: Act
    by: str
    at_s: int


@dataclass(frozen=True, slots=True)
class Entered:
    """An act that holds: what the gateway was to remove, and what is shown once, to one person."""

    act: Act
    gone: tuple[str, ...]
    shown: str | None = field(default=None, repr=False)


class Gateway(Protocol):
    """The other process, as whoever enters acts sees it. Every method may raise Fault, Refused."""

    def act(self, statement: bytes) -> None:
        """Verify this act and keep it."""

    def remove(self, keys: Iterable[str]) -> None:
        """Put these sessions' peers out."""


@dataclass(frozen=True, slots=True)
class Office:
    """One store, and the gateway that is told of every act."""

    store: Store
    acts: Acts
    gateway: Gateway
    utc_s: Callable[[], int]
    random_bytes: Callable[[int], bytes]
    codes: Codes | None = None

    def newest(self, subject: str) -> Act | None:
        """The newest act on it. Raises Refused."""
        with self.store.begin() as tx:
            signed = self.acts.newest(tx, subject)
        return None if signed is None else signed.act

    def next_n(self, subject: str) -> int:
        """The number that the next act on it has."""
        with self.store.begin() as tx:
            return self.acts.last(tx, subject) + 1

    def draft(self, kind: type[Kind], motive: str, **said: Any) -> Kind:  # noqa: ANN401
        """The first act on a subject that anything is known by; of what happens, the next.

        Raises Refused: act-impossible (it is there already, or says what can't be).
        """
        subject = kind.subject_of(said)
        before = self.newest(subject)
        if before is not None and not isinstance(before, HAPPENINGS):
            raise Refused("act-impossible")
        n = self.next_n(subject)
        with _saying_what_can_be():
            return _whole(kind(n=n, utc_s=self.utc_s(), motive=motive, **said))

    def change(self, kind: type[Kind], motive: str, **said: Any) -> Kind:  # noqa: ANN401
        """The next act on a subject: what was true before, and what is said now.

        Raises Refused: not-found, act-impossible (it says nothing new, or what can't be).
        """
        before = self.newest(kind.subject_of(said))
        if not isinstance(before, kind):
            raise Refused("not-found")
        with _saying_what_can_be():
            again = {"n": before.n + 1, "utc_s": self.utc_s(), "motive": motive}
            act = _whole(msgspec.structs.replace(before, **again, **said))
        if act.restates(before) and self.stands(act.subject):
            raise Refused("act-impossible")
        return act

    def first_or_next(self, kind: type[Kind], motive: str, **said: Any) -> Kind:  # noqa: ANN401
        """Of a subject that is new, or was there before. Raises as `draft` and `change`."""
        known = self.newest(kind.subject_of(said)) is not None
        return (self.change if known else self.draft)(kind, motive, **said)

    def stands(self, subject: str) -> bool:
        """Whether the row is there and as the newest act on it says, no less. Raises Refused.

        The centre suspends a box, and after a restore closes projects and takes grants away, by
        itself: by staff's word all of that still is, and they may say so again.
        """
        with self.store.begin() as tx:
            signed = self.acts.newest(tx, subject)
            fact = None if signed is None else columns.fact_of(signed)
            if fact is None:
                return True
            at = fact.table.c
            same = [at[name].is_not_distinct_from(value) for name, value in fact.row.items()]
            return tx.execute(select(at.act).where(*same)).first() is not None

    # -- entering --------------------------------------------------------------------------------

    def offer(self, statement: bytes, reference: bytes | None = None) -> Entered | Pending:
        """Enter an act, or keep it for a second person to sign.

        `reference`: of an enrolment, what the desk sealed. Raises Refused, Fault as
        `Ledger.check_new`; Refused: not-found, act-impossible for what is not there, or is.
        """
        with self._tracing_refusals(statement), self._transaction() as tx:
            signed, enough = self.acts.proposed(tx, statement)
            if not enough and len(signed.names) > 1:
                raise Refused("two-persons-needed")  # one person, twice
            if not enough:
                return self._keep(tx, signed, reference)
            entered = self._enter(tx, statement, reference)
        self._tell(statement, entered)
        return entered

    def confirm(self, act_id: bytes, sign: Callable[[bytes], bytes]) -> Entered:
        """Enter a proposed act with the second signature that `sign` adds to the first.

        Raises Refused: not-found, and as `offer`, two-persons-needed.
        """
        with self.store.begin() as tx:
            row = tx.execute(select(proposals).where(proposals.c.id == act_id)).first()
        if row is None:
            raise Refused("not-found")
        statement = sign(row.statement)
        with self._tracing_refusals(statement), self._transaction() as tx:
            tx.execute(delete(proposals).where(proposals.c.id == act_id))
            entered = self._enter(tx, statement, row.reference)
        self._tell(statement, entered)
        return entered

    def pending(self) -> list[Pending]:
        """What waits for a second person."""
        with self.store.begin() as tx:
            rows_ = tx.execute(select(proposals).order_by(proposals.c.at_s)).all()
        return [one for row in rows_ if (one := _pending(row)) is not None]

    def deliver(self) -> int:
        """Hand the gateway every act there is, in their order; how many it has then.

        What it refuses, it goes on without. Raises Fault if it is away.
        """
        with self.store.begin() as tx:
            statements = tx.execute(select(acts.c.statement).order_by(acts.c.seq)).scalars().all()
        return sum(self._handed_over(statement) for statement in statements)

    def _handed_over(self, statement: bytes) -> bool:
        try:
            self.gateway.act(statement)
        except Refused as refusal:
            about = claimed(statement).subject
            log.warning("the gateway refuses an act on %s: %s", about, refusal.code)
            return False
        return True

    def _tell(self, statement: bytes, entered: Entered) -> None:
        """The gateway judges for itself, by its own roster. Away, it is told by `deliver`."""
        try:
            self._handed_over(statement)
            if entered.gone:
                self.gateway.remove(entered.gone)
        except Fault:
            log.warning("gateway away: it is told by `acts deliver`, or when the API starts")

    def _enter(self, tx: Connection, statement: bytes, reference: bytes | None) -> Entered:
        signed = self.acts.enter(tx, statement)
        making.make(tx, signed, reference)
        shown = None
        if isinstance(signed.act, Device):
            shown = self._provision(tx, signed.act.enrolment)
        note(tx, self.utc_s(), _tag(signed.act), **_about(signed.act, signed.names))
        gone = making.draw(tx, signed, self.utc_s(), self.acts.proven)
        return Entered(signed.act, tuple(gone), shown)

    def _keep(self, tx: Connection, signed: Signed, reference: bytes | None) -> Pending:
        now_s, by = self.utc_s(), signed.names[0]
        tx.execute(delete(proposals).where(proposals.c.at_s <= now_s - FRESH_S))
        row = {"id": signed.id, "statement": signed.statement, "by": by, "at_s": now_s}
        tx.execute(insert(proposals), {**row, "reference": reference})
        note(tx, now_s, _tag(signed.act), "proposed", **_about(signed.act, signed.names))
        return Pending(signed.id, signed.act, by, now_s)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """What is read in one that is rolled back is forgotten, too."""
        try:
            with self.store.alone() as tx:
                yield tx
        except IntegrityError:
            self.acts.forget()
            raise Refused("act-impossible") from None
        except BaseException:
            self.acts.forget()
            raise

    @contextmanager
    def _tracing_refusals(self, statement: bytes) -> Iterator[None]:
        try:
            yield
        except Refused as refusal:
            act = claimed(statement)
            with self.store.begin() as tx:
                note(tx, self.utc_s(), _tag(act), refusal.code, **_about(act, ()))
            raise

    def _provision(self, tx: Connection, enrolment: str) -> str:
        """A secret for the person's device: its otpauth URI. An earlier one is void."""
        wanted = (enrolments.c.id == enrolment) & (enrolments.c.kind == "no-finger")
        if tx.execute(select(enrolments.c.id).where(wanted)).first() is None:
            raise Refused("not-found")
        if self.codes is None:
            raise Fault("config-invalid") from ValueError("otp_key is not set")
        return self.codes.provision(tx, enrolment, self.random_bytes)


def _pending(row: Row[Any]) -> Pending | None:
    """None for a row that no office wrote: the others wait all the same."""
    try:
        return Pending(row.id, claimed(row.statement), row.by, row.at_s)
    except Refused:
        log.critical("a proposal that is no act: %s", row.id.hex())
        return None


def _whole(act: Kind) -> Kind:
    """The act, every field of which is what it should be. Raises DecodeError."""
    payload.parse(payload.encode(act))
    return act


def _tag(act: Act) -> str:
    return str(act.__struct_config__.tag)


def _about(act: Act, names: tuple[str, ...]) -> dict[str, Any]:
    """The columns of the trace."""
    named = ("box", "card", "project", "session")
    about = {name: getattr(act, name) for name in named if hasattr(act, name)}
    first, second = (*names, None, None)[:2]
    return {**about, "motive": act.motive, "staff": first, "second": second}


@contextmanager
def _saying_what_can_be() -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError) as error:
        raise Refused("act-impossible") from error.__cause__ or error  # the field, and why
