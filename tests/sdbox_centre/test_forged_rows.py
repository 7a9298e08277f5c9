"""Whoever has the database, and no card of staff's: rows by hand, old rows back, acts taken away.

The whole chain with nothing doubled but the interface: API, and a gateway that keeps acts itself.
"""

import dataclasses
import hashlib

import pytest
from sqlalchemy import insert, select, text

from sdbox_agent.centre import wire
from sdbox_agent.errors import Refused, SdboxError
from sdbox_centre import tables
from sdbox_centre.book import Book
from sdbox_centre.gateway import Gateway
from sdbox_centre.gateway_wire import Act, Remove
from sdbox_centre.staff import payload
from sdbox_centre.staff.kept import KeptActs
from sdbox_centre.staff.signer import signed
from tests.sdbox_centre import world as w
from tests.sdbox_centre.databases import BOTH
from tests.sdbox_centre.world import World, session

ENGINES = BOTH


class Told:
    """The gateway's judgement without its socket, for API and staff."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def act(self, statement: bytes) -> None:
        self._gateway.answer(Act(statement=statement))

    def install(self, request):
        return self._gateway.answer(request)

    renew = install

    def remove(self, keys) -> None:
        self._gateway.answer(Remove(keys=tuple(keys)))


class Whole:
    """A world in which the gateway believes acts, and was told all of them."""

    def __init__(self, world: World) -> None:
        self.world, self.peers = world, world.peers
        projects = world.root / "real"
        projects.mkdir()
        (projects / f"{w.PROJECT}.toml").write_text(
            'endpoint = "192.0.2.1:51820"\npools = ["10.77.0.0/29", "fd77::/64"]\n'
            'interface = "sdboxvm1"\n'
        )
        acts = KeptActs(world.root / "acts", world.members.source(), world.clock.utc_s)
        gateway = Gateway(
            world.rules(),
            Book(acts, projects),
            lambda _project: world.peers,
            w.Clocks(world.clock.utc_s, world.clock.mono_s),
            w.os.urandom,
            w.LEASE_S,
        )
        told = Told(gateway)
        world.centre = dataclasses.replace(world.centre, gateway=told)
        office = dataclasses.replace(world.office, gateway=told)
        assert office.deliver() > 0
        first, second, _ = world.members.members
        self.staff = w.Staff(office, (first.signer, second.signer))
        self.sessions = 0

    def opens(self, **which: object) -> None:
        self.sessions += 1
        session(self.world, self.sessions, **which).to_open()
        assert len(self.peers.peers) == 1

    def stays_out(self, **which: object) -> None:
        """Whatever the API makes of it, nobody gets in."""
        self.sessions += 1
        before = set(self.peers.peers)
        with pytest.raises(SdboxError):
            session(self.world, self.sessions, **which).to_open()
        assert set(self.peers.peers) == before

    def statement(self, subject: str) -> bytes:
        with self.world.store.begin() as tx:
            wanted = select(tables.acts.c.statement).where(tables.acts.c.subject == subject)
            return tx.execute(wanted).scalar_one()

    def sql(self, words: str, **values: object) -> None:
        with self.world.store.begin() as tx:
            tx.execute(text(words), values)


@pytest.fixture
def whole(world: World) -> Whole:
    return Whole(world)


def test_what_staff_sign_once_both_believe(whole: Whole) -> None:
    whole.opens()
    gone = whole.staff.withdraw("test-holder-01", w.PROJECT)
    assert len(gone) == 1
    assert not whole.peers.peers
    whole.stays_out()
    whole.staff.grant("test-holder-01", w.PROJECT)
    whole.opens()


def test_an_act_puts_out_at_once_whom_it_leaves_no_right(whole: Whole) -> None:
    """By the gateway's own judgement: no API names the session."""
    whole.opens()
    office, (first, _) = whole.staff.office, whole.staff.signers
    act = office.change(payload.Box, "lost", box=whole.world.box.name, state="suspended")
    office.gateway.act(signed(act, first))
    assert not whole.peers.peers


def test_a_window_that_two_signed_holds_a_session_up_and_is_told(whole: Whole) -> None:
    whole.opens()
    world, office = whole.world, whole.staff.office
    from_s = world.clock.utc + 10
    said = {"from_s": from_s, "until_s": from_s + 300}
    whole.staff.enter(office.draft(payload.Window, "new cables", **said))
    for _ in range(10 + w.LEASE_S + 10):
        world.clock.move(1)
        office.gateway.remove([])  # a turn of the gateway's
    assert whole.peers.peers, "its lease would be over"
    with world.store.begin() as tx:
        told = tx.execute(select(tables.events.c.kind, tables.events.c.body)).one()
    assert told.kind == "window"
    assert wire.decode(told.body, wire.Window).act == whole.statement("window")


def test_a_person_written_into_the_database_stays_out(whole: Whole) -> None:
    """Holder, card, enrolment and grant, all in order, with acts of others beside them."""
    world = whole.world
    card = w.make_card(world.cards, 2, world.now)
    hashes = card.certificates.hashes()
    with world.store.begin() as tx:
        others = {t.name: tx.execute(select(t)).first()._asdict() for t in (
            tables.holders, tables.cards, tables.enrolments, tables.grants)}  # fmt: skip
        rows = (
            (tables.holders, {"id": "forged"}),
            (
                tables.cards,
                {
                    "auth_sha256": hashes.auth,
                    "key_management_sha256": hashes.key_management,
                    "card_auth_sha256": hashes.card_auth,
                    "guid": bytes(16),
                    "holder": "forged",
                },
            ),
            (tables.enrolments, {"id": "test-enrolment-09", "card": hashes.auth}),
            (tables.grants, {"holder": "forged"}),
        )
        for table, changed in rows:
            tx.execute(insert(table), {**others[table.name], **changed})
    whole.stays_out(card=card)


def test_a_box_written_into_the_database_stays_out(whole: Whole) -> None:
    box = w.make_box(whole.world.boxes, 2, whole.world.now)
    with whole.world.store.begin() as tx:
        known = tx.execute(select(tables.boxes)).first()._asdict()
        own = {"name": box.name, "tls_sha256": hashlib.sha256(box.tls_der).digest()}
        keys = {"statement_certificate": box.statement_der}
        tx.execute(insert(tables.boxes), {**known, **own, **keys, "boot_id": None})
    whole.stays_out(box=box)


def test_a_card_that_was_revoked_does_not_come_back(whole: Whole) -> None:
    with whole.world.store.begin() as tx:
        before = tx.execute(select(tables.cards.c.act)).scalar_one()
    whole.staff.revoke_card(whole.world.card.name)
    whole.sql("UPDATE cards SET revoked_s = NULL")
    whole.stays_out()
    whole.sql("UPDATE cards SET act = :act", act=before)
    whole.stays_out()


def test_an_old_database_brings_no_grant_back(whole: Whole) -> None:
    """All of it as it was before the withdrawal, acts included: the gateway knows better."""
    world = whole.world
    with world.store.begin() as tx:
        grant = tx.execute(select(tables.grants)).first()._asdict()
        last = tx.execute(select(tables.acts.c.seq).order_by(tables.acts.c.seq.desc())).scalar()
    whole.staff.withdraw("test-holder-01", w.PROJECT)
    with world.store.begin() as tx:
        tx.execute(insert(tables.grants), grant)
    whole.sql("DELETE FROM acts WHERE seq > :last", last=last)
    whole.stays_out()
    world.acts.forget()  # as an API that starts now
    whole.stays_out()
    old = whole.staff.office
    assert old.deliver() > 0  # handing it all over again changes nothing
    whole.stays_out()


def test_no_act_is_entered_past_the_gateway(whole: Whole) -> None:
    """An act of staff's that the gateway's own roster does not know is not kept there."""
    members = whole.world.members
    stranger = members.member(9)
    members.members.append(stranger)
    members.write()
    act = whole.staff.office.draft(payload.Holder, "test", holder="new")
    statement = signed(act, stranger.signer)
    members.members.pop()
    members.write()
    with pytest.raises(Refused, match="staff-not-allowed"):
        whole.world.centre.gateway.act(statement)
