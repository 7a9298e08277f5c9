"""A rig, hands at both readers in turn, and what every refusal must leave behind.

Not a module of tests. One bench serves many cases: each has a card of its own.
"""

import contextlib
import dataclasses
import datetime as dt
import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import TypeVar

from hil.card.card import PivCard
from hil.finger import Person
from hil.issuing import Holder
from hil.operator import Operator, Waited
from hil.rig import Rig
from hil.scenarios import session
from sdbox_agent import errors, ipc
from sdbox_agent.audit import hashchain, record
from sdbox_agent.audit.outbox import verify_file
from sdbox_agent.daemon.view import CancelSession, FromBox, Taken, View
from sdbox_agent.pki.holder import CardCertificates
from sdbox_agent.state import store
from sdbox_agent.state.record import CardAttempts, decode
from tests.waiting import PATIENCE_S, until

T = TypeVar("T")

SHOWN_WITHIN_MS = 5000  # design section 5: Spent within 5 s of the refusal
HERE = Person(1)  # who the holders of most cases are, and who is not
SOMEBODY_ELSE = Person(2)
SESSION_STATES = (
    "checking", "proving", "pinentry", "codeentry", "opening", "scanning", "reserving",
    "comparing", "choosing", "signing", "tunnelling", "open",
)  # fmt: skip


class Bench:
    """A rig at work, watched."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._hands = [Operator(rig.box, rig.pcscd.reader(number)) for number in (0, 1)]
        self._turn = cycle(self._hands)
        self.watch = rig.watch()
        self.watch.state("idle")

    # -- gestures ----------------------------------------------------------------------------------

    def turn(self) -> Operator:
        """The hands at the other reader: this one may have been emptied just now."""
        self.rig.operator = next(self._turn)
        return self.rig.operator

    def enter(self, holder: Holder, project: str | None = None) -> View:
        """A good session, up to the open tunnel or its end."""
        self.turn()
        return session.enter(self.rig, self.watch, holder, project)

    def to_finger(self, holder: Holder) -> View:
        """Up to the question for a finger, or the end."""
        self.turn()
        return session.to_finger(self.rig, self.watch, holder)

    def touch(self, person: Person, position: int | None = None) -> View:
        """A finger, as often as one attempt asks for it; the state after the comparison."""
        return session.touch(self.rig, self.watch, person, position)

    def to_person(self, holder: Holder) -> View:
        """Up to the question for what only the person has, or the end."""
        self.turn()
        return session.to_person(self.rig, self.watch, holder)

    def renewed(self, times: int) -> None:
        """The open session goes on until its lease was renewed so often."""
        n = self.watch.views[-1].n
        until(lambda: [one.code for one in self.told(n)].count("lease-renewed") >= times)

    def told(self, n: int) -> list[record.Entry]:
        """What the audit record has of session `n`; its chain is whole."""
        path = self.rig.box.paths.state / "audit.jsonl"
        verify_file(path)
        lines, torn = hashchain.split(path.read_bytes())
        assert not torn
        return [one for one in map(record.decode, lines) if (one.session or "").endswith(f"-{n}")]

    def leave(self) -> View:
        """Out with the card of an open session; how it ended. Nothing may be left."""
        self.stay = self.rig.operator.remove()  # what the card was told
        ended = self.watch.state("spent", "broken")
        assert session.residue(self.rig) == []
        return ended

    def clear(self) -> None:
        """No card in any reader, and the box ready for the next one."""
        for hands in self._hands:
            hands.remove()
        session.wait_ready(self.watch)
        self.rig.oracle.ask()

    def cancel(self) -> None:
        """The person gives up, at the local socket."""
        path = self.rig.box.paths.agent_socket
        channel: ipc.Channel[ipc.Message] = ipc.connect(path, FromBox, path.stat().st_uid)
        with contextlib.closing(channel):
            channel.send(CancelSession())
            channel.sock.settimeout(PATIENCE_S)
            assert channel.receive() == Taken()

    # -- judgement ---------------------------------------------------------------------------------

    def refused(self, code: str, last: str) -> View:
        """The session ends with `code`, straight from the state `last`; all that must be then."""
        spent = self.watch.state("spent", "broken", "idle")
        assert (spent.state, spent.code) == ("spent", code)
        states = [view for view in self.watch.views if view.n == spent.n]
        lived = [view for view in states if view.state in SESSION_STATES]
        assert lived[-1].state == last
        closing = next(view for view in states if view.state == "closing")
        assert closing.code == code
        assert spent.mono_ms - closing.mono_ms < SHOWN_WITHIN_MS
        assert "tunnelling" not in {view.state for view in states}
        self.recorded(code, spent.n)
        assert session.residue(self.rig) == []
        return spent

    def recorded(self, code: str, n: int, times: int = 1) -> None:
        """The audit record holds together and has this line of session `n`, so many times."""
        found = [entry for entry in self.told(n) if entry.code == code]
        row = errors.table().get(code)  # what is no refusal has no row
        assert [entry.result for entry in found] == [row.result if row else "ok"] * times

    def nothing_begins(self, for_s: float) -> None:
        """The box goes on showing what it shows."""
        shown = _shown(self.watch.views[-1])
        with contextlib.suppress(Waited):
            changed = self.watch.until(lambda one: _shown(one) != shown, "change", within_s=for_s)
            raise AssertionError(f"{shown} became {_shown(changed)}")

    def centre_row(self, holder: Holder) -> tuple[int, int]:
        """The centre's own count for that card: failures, and no attempt before (UTC s)."""
        query = "select failures, not_before_s from cards where auth_sha256 = ?"
        with self.database() as database:
            failures, not_before_s = database.execute(query, (name_of(holder),)).fetchone()
        return failures, not_before_s

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """The centre's, by its file."""
        path = self.rig.centre.root / "db/centre.sqlite"
        with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE_S)) as database, database:
            yield database

    def box_row(self, holder: Holder) -> CardAttempts | None:
        """The box's own count for that card, as it lies on the disk."""
        data = (self.rig.box.paths.state / store.NAME).read_bytes()
        return decode(data).attempts.get(name_of(holder).hex())


def _shown(view: View) -> tuple[int | None, str, str | None]:
    return view.n, view.state, view.code


def name_of(holder: Holder) -> bytes:
    """A card is counted by its 9A certificate."""
    return hashlib.sha256(holder.certificates.auth).digest()


class People:
    """Cards and enrolments of a rig that has not started yet."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._count = 0

    @property
    def next_name(self) -> str:
        """What the next holder will be called."""
        return f"test-holder-{self._count + 1:02}"

    def holder(
        self,
        card: tuple[PivCard, CardCertificates] | None = None,
        *,
        projects: tuple[str, ...] = ("p-alpha",),
        person: Person = HERE,
        known: bool = True,
        moment: dt.datetime | None = None,
        **sealed: object,
    ) -> Holder:
        """A card (an ordinary one if None), and what the desk sealed to it, or `sealed` instead."""
        name = self.next_name
        self._count += 1
        made, certificates = card or self._rig.issuing.card()
        ordinary = self._rig.issuing.enrol(name, person, certificates, moment=moment)
        holder = Holder(name, person, made, certificates, dataclasses.replace(ordinary, **sealed))
        if known:
            self._rig.centre.add_holder(holder, projects)
        return holder


@contextlib.contextmanager
def started(prepare: Callable[[Rig, People], T], lease_s: int = 60) -> Iterator[tuple[Bench, T]]:
    """A rig with what `prepare(rig, people)` put in, started; yields bench and that."""
    with Rig(lease_s=lease_s) as rig:
        things = prepare(rig, People(rig))
        rig.start()
        yield Bench(rig), things


def now() -> dt.datetime:
    """The machine's clock: the rig has no other."""
    return dt.datetime.now(dt.UTC)
