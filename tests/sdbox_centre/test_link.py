"""The box link's rules: what a box missed, and who else has its key."""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from sdbox_agent.centre import wire
from sdbox_agent.centre.eventstream import Message
from sdbox_agent.errors import Refused
from sdbox_centre import link, linkrows
from sdbox_centre.store import Store
from sdbox_centre.tables import boxes, links
from tests.sdbox_centre import world as w
from tests.sdbox_centre.world import Box, World


def opened(world: World, n: int, last: int | None = None, box: Box | None = None) -> link.Opened:
    box = box or world.box
    asked = link.Asked(box.link(n), last)
    digest = hashlib.sha256(repr(asked).encode()).digest()
    return link.open_stream(world.centre, box.fingerprint, asked, digest)


def healthy(world: World, n: int, box: Box | None = None, **changed: object) -> None:
    box = box or world.box
    world.talk(box).health(box.health(n, **changed))


def tell(world: World, *events: wire.Event, box: str | None = None) -> None:
    with world.store.begin() as tx:
        for event in events:
            linkrows.tell(tx, box or world.box.name, event, world.clock.utc)


def clone_seen(world: World) -> bool:
    return ("link", "box-clone") in world.trace()


# -- what a box missed -----------------------------------------------------------------------------


def test_a_box_that_knows_nothing_is_told_where_the_count_stands(world: World) -> None:
    tell(world, wire.NewCrls(), wire.NewCrls())
    assert opened(world, 1) == link.Opened(world.box.name, (Message(2, "resync", b"{}"),), 2)


def test_a_box_that_never_was_told_anything_resumes_at_nothing(world: World) -> None:
    assert opened(world, 1).seq == 0
    assert opened(world, 2, last=0) == link.Opened(world.box.name, (), 0)


def test_what_was_told_meanwhile_comes_in_order(world: World) -> None:
    opened(world, 1)
    tell(world, wire.Revoked(session="b-1", code="revoked"), wire.NewPolicy(version=2))
    tell(world, wire.NewCrls(), box=_another(world).name)
    assert opened(world, 2, last=0).missed == (
        Message(1, "revoked", b'{"session":"b-1","code":"revoked"}'),
        Message(2, "policy", b'{"version":2}'),
    )
    assert opened(world, 3, last=1).missed == (Message(2, "policy", b'{"version":2}'),)
    assert opened(world, 4, last=2).missed == ()


def _another(world: World) -> Box:
    box = w.make_box(world.boxes, 2, world.now)
    world.add_box(box)
    return box


@pytest.mark.parametrize("last", [0, 1, 900])
def test_what_is_not_kept_or_not_known_is_a_resync(world: World, last: int) -> None:
    told = linkrows.KEPT_EVENTS + 2
    tell(world, *[wire.NewCrls()] * told)
    assert opened(world, 1, last).missed == (Message(told, "resync", b"{}"),)
    assert len(opened(world, 2, 2).missed) == linkrows.KEPT_EVENTS


def test_a_suspended_box_opens_nothing(world: World) -> None:
    world.staff.suspend_box(world.box.name, "test")
    with pytest.raises(Refused, match="box-suspended"):
        opened(world, 1)
    with pytest.raises(Refused, match="box-suspended"):
        healthy(world, 1)


def test_a_revoked_session_and_a_suspended_box_are_told(world: World) -> None:
    opened(world, 1)
    one = w.session(world)
    one.to_open()
    world.staff.revoke_card(world.card.name, "test")
    world.staff.suspend_box(world.box.name, "test")
    with world.store.begin() as tx:
        told = [link.message(row) for row in linkrows.events_after(tx, world.box.name, 0)]
    assert [wire.decode_event(each.kind, each.data) for each in told] == [
        wire.Revoked(session=one.name, code="card-revoked"),
        wire.BoxSuspended(),
    ]


# -- lists and policy ------------------------------------------------------------------------------


def test_new_lists_and_a_new_policy_are_told_once_to_every_box(world: World) -> None:
    other = _another(world)
    for crls in ((b"one",), (b"one",), (b"two",)):
        link.announce(world.centre, crls)
    newer = dataclasses.replace(world.centre, policy=wire.Policy(version=2))
    link.announce(newer, (b"two",))
    with world.store.begin() as tx:
        for box in (world.box, other):
            told = [row.kind for row in linkrows.events_after(tx, box.name, 0)]
            assert told == ["crl", "policy", "crl", "policy"]


def test_a_box_out_of_service_is_told_no_list(world: World) -> None:
    world.staff.suspend_box(world.box.name, "test")
    link.announce(world.centre, (b"one",))
    with world.store.begin() as tx:
        assert [row.kind for row in linkrows.events_after(tx, world.box.name, 0)] == ["suspended"]


# -- health ----------------------------------------------------------------------------------------


def test_the_last_health_is_kept_with_its_time(world: World) -> None:
    healthy(world, 1)
    world.clock.move(60)
    healthy(world, 2, state="open", tunnel=True)
    with world.store.begin() as tx:
        row = tx.execute(links.select()).one()
    assert row.health_s == world.clock.utc
    kept = wire.decode(row.health, wire.HealthRequest)
    assert (kept.state, kept.tunnel, kept.n) == ("open", True, 2)
    assert not {"health"} & {act for act, _ in world.trace()}  # each minute, of each box


# -- two holders of one key ------------------------------------------------------------------------


def test_a_second_box_of_the_same_memory_is_seen_at_the_second_message(world: World) -> None:
    opened(world, 7)
    healthy(world, 8)  # either of the two
    with pytest.raises(Refused, match="box-clone"):
        healthy(world, 8, state="open")  # the other
    assert clone_seen(world)
    with pytest.raises(Refused, match="box-suspended"):
        healthy(world, 9)


def test_a_second_stream_of_the_same_memory_is_seen(world: World) -> None:
    opened(world, 7, last=0)
    with pytest.raises(Refused, match="box-clone"):
        opened(world, 7, last=None)
    with pytest.raises(Refused, match="box-suspended"):
        opened(world, 8)


def test_a_second_box_of_the_same_disk_is_seen_at_the_second_message(world: World) -> None:
    clone = dataclasses.replace(world.box, boot_id="other", boot_counter=2)
    opened(world, 1)
    opened(world, 1, box=clone)  # for now it looks like a new start
    with pytest.raises(Refused, match="box-clone"):
        healthy(world, 2)
    assert clone_seen(world)


def test_a_second_box_of_the_same_start_is_seen_at_once(world: World) -> None:
    opened(world, 1)
    with pytest.raises(Refused, match="box-clone"):
        opened(world, 2, box=dataclasses.replace(world.box, boot_id="other"))
    assert clone_seen(world)


def test_a_clone_ends_the_session_and_its_peer_and_is_told(world: World) -> None:
    one = w.session(world)
    one.to_open()
    opened(world, 5)
    with pytest.raises(Refused, match="box-clone"):
        healthy(world, 5)
    assert not world.peers.peers
    with pytest.raises(Refused, match="box-suspended"):
        one.renew()
    with world.store.begin() as tx:
        assert linkrows.events_after(tx, world.box.name, 0)[-1].kind == "suspended"


def test_a_box_whose_network_broke_is_no_clone(world: World) -> None:
    opened(world, 1)
    opened(world, 2, last=0)  # its old connection may linger
    healthy(world, 3)
    opened(world, 9, last=0)  # five messages were lost
    assert not clone_seen(world)


def test_a_message_that_comes_late_or_twice_is_no_clone(world: World) -> None:
    opened(world, 1)
    for n in (5, 5, 3, 4, 3, 5):
        healthy(world, n)
    assert not clone_seen(world)
    with pytest.raises(Refused, match="box-clone"):
        healthy(world, 3, state="open")


def test_a_message_from_long_ago_is_a_clone(world: World) -> None:
    newest = linkrows.WINDOW + 5
    healthy(world, newest)
    healthy(world, newest - linkrows.WINDOW + 1)
    with pytest.raises(Refused, match="box-clone"):
        healthy(world, newest - linkrows.WINDOW)


def test_a_box_that_starts_again_counts_anew(world: World) -> None:
    opened(world, 40)
    again = dataclasses.replace(world.box, boot_id="next", boot_counter=2)
    opened(world, 1, box=again)
    healthy(world, 2, box=again)
    assert not clone_seen(world)
    assert ("boot", "done") in world.trace()


@given(said=st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=12))
def test_one_holder_is_never_a_clone(many: Store, said: list[tuple[int, bool]]) -> None:
    """Messages lost, twice and out of order."""
    with many.begin() as tx:
        box = _row(tx)
        for n, (late, twice) in enumerate(said, 10):
            for _ in range(1 + twice):
                assert linkrows.said(tx, box, 1, n - late, b"%d" % (n - late))


@given(common=st.integers(0, 5), alone=st.integers(1, 100))
def test_the_second_holder_is_seen_as_soon_as_it_speaks(
    many: Store, common: int, alone: int
) -> None:
    """Both know the count as it was when the key was copied; one of them has used it since."""
    with many.begin() as tx:
        box = _row(tx)
        for n in range(common + alone):
            assert linkrows.said(tx, box, 1, n, b"one, %d" % n)
        assert not linkrows.said(tx, box, 1, common, b"the other")


_BOXES = itertools.count(1)


def _row(tx: Connection) -> str:
    name = f"box-{next(_BOXES)}"
    tls = name.encode()
    tx.execute(boxes.insert(), {"name": name, "tls_sha256": tls, "statement_certificate": b"c"})
    return name


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(tmp_path_factory.mktemp("many") / "centre.db")
    store.create()
    yield store
    store.close()


def test_a_health_says_nothing_of_a_person() -> None:
    names = {field.name for field in msgspec.structs.fields(wire.HealthRequest)}
    start = {"v", "boot_id", "boot_counter", "n", "agent_version"}
    box = {"state", "tunnel", "utc_s", "readers", "sensor", "audit_percent", "standing"}
    assert names - start == {*box, "placed_s"}
