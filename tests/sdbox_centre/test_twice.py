"""One card at two boxes, as dialogues: moved, or copied."""

import json

import numpy as np
import pytest

from sdbox_agent.errors import Refused
from sdbox_centre import rows, twice
from tests.sdbox_centre import world as w
from tests.sdbox_centre.world import Session, World, session


def refused(code: str):
    return pytest.raises(Refused, match=f"^{code}$")


@pytest.fixture
def elsewhere(world: World) -> w.Box:
    box = w.make_box(world.boxes, 2, world.now)
    world.add_box(box)
    return box


def tries(world: World, box: w.Box, n: int, code: str) -> Session:
    """The card is put in there, and refused."""
    there = session(world, n, box=box)
    there.hello()
    with refused(code):
        there.prove()
    return there


def alarms(world: World) -> list[str]:
    with world.store.begin() as tx:
        rows = tx.exec_driver_sql(
            "SELECT box FROM trace WHERE act = 'alarm' AND code = 'card-twice'"
        )
        return [row.box for row in rows]


def told(world: World) -> list[tuple[str, str, str]]:
    with world.store.begin() as tx:
        rows = tx.exec_driver_sql("SELECT box, kind, body FROM events ORDER BY box, seq")
        return [(row.box, row.kind, json.loads(row.body)["code"]) for row in rows]


def test_a_box_that_lost_power_keeps_its_card_waiting_for_a_lease_and_accuses_nobody(
    world: World, elsewhere: w.Box
) -> None:
    here = session(world)
    here.to_open()
    world.clock.move(20)
    tries(world, elsewhere, 1, "session-elsewhere")
    world.clock.move(20)
    tries(world, elsewhere, 2, "session-elsewhere")
    world.clock.move(20)  # the lease of the box that is silent is over
    session(world, 3, box=elsewhere).to_open()
    assert alarms(world) == []
    assert [end for end in world.trace() if end[0] == "end"] == [
        ("end", "session-elsewhere"),
        ("end", "session-elsewhere"),
        ("end", "lease-expired"),
    ]


def test_a_renewal_signed_before_the_card_was_pulled_accuses_nobody(
    world: World, elsewhere: w.Box
) -> None:
    """Its answer was lost with the network, and the box sends it again until that is back."""
    here = session(world)
    here.to_open()
    signed = world.box.renew(world.card, here.name, here.challenge, 1)
    tries(world, elsewhere, 1, "session-elsewhere")
    first = here.client.renew(signed)
    assert here.client.renew(signed) == first
    world.clock.move(w.LEASE_S)
    session(world, 2, box=elsewhere).to_open()
    assert alarms(world) == []


@pytest.mark.parametrize("renewed", [0, 3])
def test_a_copy_of_a_card_is_found_out_by_the_session_that_was_first(
    world: World, elsewhere: w.Box, renewed: int
) -> None:
    here = session(world)
    here.to_open()
    for _ in range(renewed):
        here.renew()
    there = tries(world, elsewhere, 1, "session-elsewhere")
    with refused("session-closed"):
        there.prove()  # that session is over
    here.renew()  # may have been signed before
    assert alarms(world) == []
    with refused("card-twice"):
        here.renew()  # could not
    assert not world.peers.peers
    assert alarms(world) == [world.box.name, elsewhere.name]
    assert told(world) == [
        (world.box.name, "revoked", "card-twice"),
        (elsewhere.name, "revoked", "card-twice"),
    ]
    with refused("session-closed"):
        here.renew()
    tries(world, world.box, 2, "card-twice")
    tries(world, elsewhere, 2, "card-twice")
    world.staff.unlock_card(world.card.name, "test")
    session(world, 3).to_open()


def test_a_second_try_elsewhere_gives_no_time(world: World, elsewhere: w.Box) -> None:
    here = session(world)
    here.to_open()
    tries(world, elsewhere, 1, "session-elsewhere")
    here.renew()
    tries(world, elsewhere, 2, "session-elsewhere")
    with refused("card-twice"):
        here.renew()


def test_a_session_ended_by_its_own_box_is_nowhere(world: World, elsewhere: w.Box) -> None:
    here = session(world)
    here.to_open()
    here.end()
    there = session(world, box=elsewhere)
    there.to_open()
    there.renew()
    there.renew()
    assert alarms(world) == []


@pytest.mark.parametrize("reached", ["proved", "attempted"])
def test_where_no_tunnel_is_up_the_card_just_moved(
    world: World, elsewhere: w.Box, reached: str
) -> None:
    here = session(world)
    here.hello()
    here.prove()
    if reached == "attempted":
        here.attempt()
    there = session(world, box=elsewhere)
    there.hello()
    there.prove()
    assert told(world) == [(world.box.name, "revoked", "session-elsewhere")]
    with refused("session-closed"):
        here.attempt()
    there.attempt()
    there.receipt()
    assert alarms(world) == []


def test_a_card_that_proves_where_it_may_not_enter_is_there_all_the_same(
    world: World, elsewhere: w.Box
) -> None:
    world.believe_rows()
    with world.store.begin() as tx:
        tx.exec_driver_sql("UPDATE boxes SET placed_s = NULL WHERE name = 'test-box-02'")
    here = session(world)
    here.to_open()
    tries(world, elsewhere, 1, "box-not-placed")
    here.renew()
    with refused("card-twice"):
        here.renew()


def test_who_has_not_that_card_contests_nothing(
    world: World, elsewhere: w.Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither another's signature nor an old proof."""
    old = session(world, box=elsewhere)
    old.hello()
    proof = elsewhere.proof(world.card, old.name, old.challenge)
    old.client.proof(proof)
    old.end()
    here = session(world)
    here.to_open()
    monkeypatch.setattr(twice, "contest", lambda *_: pytest.fail("contested"))
    with refused("session-closed"):
        old.client.proof(proof)
    stranger = w.make_card(world.cards, 9, world.now)
    again = session(world, 2, box=elsewhere)
    again.hello()
    forged = elsewhere.proof(stranger, again.name, again.challenge)
    mine = elsewhere.proof(world.card, again.name, bytes(32))
    with refused("statement-invalid"):
        again.client.proof(w.msgspec.structs.replace(mine, statement=forged.statement))
    with refused("challenge-unknown"):
        again.client.proof(mine)
    here.renew()
    here.renew()


def test_of_two_proofs_at_once_the_table_lets_one_in(
    world: World, elsewhere: w.Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes, neither of which sees the other's session yet."""
    here, there = session(world), session(world, box=elsewhere)
    here.hello()
    there.hello()
    here.prove()
    monkeypatch.setattr(rows, "live_of_card", lambda _tx, _card: [])
    with refused("session-elsewhere"):
        there.prove()
    here.attempt()
    here.receipt()


class Walk:
    """One card, two honest boxes that lose power and network; what is signed may arrive late."""

    def __init__(self, world: World, boxes: tuple[w.Box, w.Box]) -> None:
        self.world, self.boxes = world, boxes
        self.n = 0
        self.inside: Session | None = None  # the card is in its box, the tunnel up
        self.late: list[tuple[Session, object]] = []  # signed and sent, not arrived
        self.refusals: list[str] = []

    def put_in(self, box: int) -> None:
        self.lose()
        self.n += 1
        one = session(self.world, self.n, box=self.boxes[box])
        try:
            one.to_open()
        except Refused as refusal:
            self.refusals.append(refusal.code)
        else:
            self.inside = one

    def pull(self) -> None:
        if self.inside is not None:
            self.inside.end()
        self.inside = None

    def lose(self) -> None:
        """Power, or network and then the card: the box says nothing more."""
        self.inside = None

    def renew(self) -> None:
        self.arrive(self.sign())

    def sign(self) -> tuple[Session, object] | None:
        one = self.inside
        if one is None or one in [each for each, _ in self.late]:
            return None  # one renewal at a time
        one.n += 1
        return one, one.box.renew(one.card, one.name, one.challenge, one.n)

    def send_slowly(self) -> None:
        signed = self.sign()
        if signed is not None:
            self.late.append(signed)

    def arrive(self, signed: tuple[Session, object] | None = None) -> None:
        one, request = signed or (self.late.pop(0) if self.late else (None, None))
        if one is None:
            return
        try:
            one.challenge = one.client.renew(request).challenge
        except Refused as refusal:
            self.refusals.append(refusal.code)
            self.inside = None if self.inside is one else self.inside


@pytest.mark.parametrize("seed", range(4))
def test_whatever_an_honest_card_and_its_boxes_go_through_nobody_is_accused(
    world: World, elsewhere: w.Box, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    walk = Walk(world, (world.box, elsewhere))
    steps = [
        lambda: walk.put_in(0), lambda: walk.put_in(1), walk.pull, walk.lose, walk.renew,
        walk.renew, walk.send_slowly, walk.arrive, lambda: world.clock.move(5),
    ]  # fmt: skip
    contested = 0
    for step in rng.integers(len(steps), size=200):
        steps[step]()
        with world.store.begin() as tx:
            live = "SELECT count(*) FROM sessions WHERE contested_n IS NOT NULL AND state = 'open'"
            contested += tx.exec_driver_sql(live).scalar()
            tx.exec_driver_sql("UPDATE cards SET failures = 0, not_before_s = 0")
    assert contested > 0
    assert "session-elsewhere" in walk.refusals
    assert alarms(world) == []
    assert "card-twice" not in walk.refusals
