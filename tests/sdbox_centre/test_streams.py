"""Open streams, over real TLS: what reaches whom, and who is cut."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator

import pytest
from sqlalchemy.exc import OperationalError

from sdbox_agent.centre import wire
from sdbox_agent.centre.eventstream import Message
from sdbox_agent.errors import SdboxError
from sdbox_centre import link, linkrows, streams
from sdbox_centre.connections import Connections
from sdbox_centre.streams import MAX_QUEUED, Streams
from tests.sdbox_centre import tls
from tests.sdbox_centre import world as w
from tests.sdbox_centre.listening import listening
from tests.sdbox_centre.world import Box, World
from tests.waiting import PATIENCE_S, until


@pytest.fixture
def port(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(streams, "ANNOUNCE_S", PATIENCE_S * 100)  # but for the first time
    with world.store.begin() as tx:
        linkrows.announce(tx, "policy", str(world.centre.policy.version))
    link.announce(world.centre, world.centre.cards.crls(world.clock.utc))
    with tls.served(world) as port:
        yield port


def tell(world: World, *events: wire.Event, box: Box | None = None) -> None:
    with world.store.begin() as tx:
        for event in events:
            linkrows.tell(tx, (box or world.box).name, event, world.clock.utc)


def another(world: World) -> Box:
    box = w.make_box(world.boxes, 2, world.now)
    world.add_box(box)
    return box


def test_an_event_reaches_its_box_and_no_other(world: World, port: int) -> None:
    other = another(world)
    with listening(world, port, 1) as one, listening(world, port, 1, box=other) as two:
        one.until_kinds("resync")
        two.until_kinds("resync")
        tell(world, wire.Revoked(session="b-1", code="revoked"), wire.NewPolicy(version=3))
        one.until_kinds("resync", "revoked", "policy")
        tell(world, wire.NewCrls(), box=other)
        two.until_kinds("resync", "crl")
        assert one.got[1].data == b'{"session":"b-1","code":"revoked"}'
        assert [message.number for message in one.got] == [1, 2, 3]  # the first list was 1


def test_a_link_that_broke_goes_on_where_it_was(world: World, port: int) -> None:
    with listening(world, port, 1) as one:
        one.until_kinds("resync")
        last = one.reader.last
    tell(world, wire.NewCrls(), wire.NewPolicy(version=2))
    with listening(world, port, 2, last) as again:
        again.until_kinds("crl", "policy")


def test_an_event_from_while_the_api_was_away_arrives(world: World) -> None:
    with tls.served(world) as port, listening(world, port, 1) as one:
        until(lambda: one.got)
        last = one.reader.last
    assert one.ended
    tell(world, wire.Revoked(session="b-1", code="revoked"))
    with tls.served(world) as port, listening(world, port, 2, last) as again:
        again.until_kinds("revoked")


def test_a_staff_act_reaches_the_box(world: World, port: int) -> None:
    one = w.session(world)
    one.to_open()
    with listening(world, port, 1) as box:
        until(lambda: box.got)
        world.staff.revoke_card(world.card.name, "test")
        until(lambda: "revoked" in box.kinds)
        said = wire.decode_event(box.got[-1].kind, box.got[-1].data)
        assert said == wire.Revoked(session=one.name, code="card-revoked")


def test_new_lists_reach_every_box(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "ANNOUNCE_S", 0.01)
    with tls.served(world) as port, listening(world, port, 1) as one:
        until(lambda: one.got)
        world.publish_crl()
        until(lambda: one.kinds[-1] == "crl")


def test_two_processes_whose_lists_differ_for_a_while_say_so_once_each(world: World) -> None:
    lists = {"one": (b"old",), "two": (b"new",)}
    both = [Streams(world.centre, lambda n=n: lists[n], Connections()) for n in lists]
    for round_ in range(4):
        for each in both:
            each._announce()
        if round_ == 2:
            lists["one"] = lists["two"]
    for each in both:
        each.close()
    with world.store.begin() as tx:
        told = [row.kind for row in linkrows.events_after(tx, world.box.name, 0)]
    assert told == ["crl", "policy", "crl"]


def test_a_silent_stream_shows_signs_of_life(
    world: World, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE_S", 0.05)
    pieces: list[bytes] = []
    client = tls.client(world, port)

    def heard(piece: bytes) -> bool:
        pieces.append(piece)
        if pieces.count(b":\n\n") == 3:
            client.close()
        return True

    with pytest.raises(SdboxError, match="centre-unreachable"):
        client.listen(world.box.link(1), None, heard)


def test_an_event_that_was_committed_after_a_later_one_arrives(world: World, port: int) -> None:
    other = another(world)

    def commit(box: Box, event_id: int) -> None:
        tell(world, wire.NewCrls(), box=box)
        with world.store.begin() as tx:
            newest = f"(SELECT max(id) FROM events WHERE box = '{box.name}')"
            tx.exec_driver_sql(f"UPDATE events SET id = {event_id} WHERE id = {newest}")

    with listening(world, port, 1) as one, listening(world, port, 1, box=other) as two:
        commit(world.box, 5000)
        one.until_kinds("resync", "crl")
        commit(other, 4000)
        two.until_kinds("resync", "crl")


def test_a_database_that_was_away_makes_events_late_and_no_more(
    world: World, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = []

    def away(_tx: object, _after: int) -> list:
        failed.append(1)
        raise OperationalError("away", None, Exception())

    with listening(world, port, 1) as one:
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(linkrows, "heads", away)
            tell(world, wire.NewCrls())
            until(lambda: len(failed) > 1)
        one.until_kinds("resync", "crl")


def test_lists_that_are_no_good_make_no_event_late(world: World, port: int) -> None:
    (world.root / "cards.crl").write_bytes(b"nonsense")
    with listening(world, port, 1) as one:
        tell(world, wire.NewPolicy(version=2))
        one.until_kinds("resync", "policy")


def test_two_processes_on_one_database_feed_and_cut_each_its_own(world: World, port: int) -> None:
    other = another(world)
    with (
        tls.served(world) as second,
        listening(world, port, 1) as one,
        listening(world, second, 1, box=other) as two,
        held(world, port, other) as sock,  # here, while its stream is there
    ):
        tell(world, wire.NewCrls())
        tell(world, wire.NewCrls(), box=other)
        one.until_kinds("resync", "crl")
        two.until_kinds("resync", "crl")
        world.staff.suspend_box(other.name, "test")
        assert two.until_ended() == "centre-unreachable"
        assert two.kinds[-1] == "suspended"
        assert over(sock)
        assert one.ended is None


def test_a_box_that_comes_again_at_another_process_is_no_clone(world: World, port: int) -> None:
    with tls.served(world) as second, listening(world, port, 1) as one:
        one.until_kinds("resync")
        with listening(world, second, 2, one.reader.last) as again:
            tell(world, wire.NewCrls())
            again.until_kinds("crl")
    assert ("link", "box-clone") not in world.trace()


# -- one stream a box ------------------------------------------------------------------------------


def test_a_box_that_comes_again_takes_its_own_place(world: World, port: int) -> None:
    with listening(world, port, 1) as lingering, listening(world, port, 2) as again:
        assert lingering.until_ended() == "centre-unreachable"
        tell(world, wire.NewCrls())
        again.until_kinds("resync", "crl")
    assert ("link", "box-clone") not in world.trace()


def test_two_holders_of_a_key_are_both_told_and_cut(world: World, port: int) -> None:
    client = tls.client(world, port)
    with listening(world, port, 4) as one:
        until(lambda: one.got)
        client.hello(world.box.hello(None))  # a second connection, kept
        with listening(world, port, 4, last=0) as two:
            assert two.until_ended() == "box-clone"
        assert one.until_ended() == "centre-unreachable"
        assert one.kinds[-1] == "suspended"
    with pytest.raises(SdboxError, match="box-suspended"):
        client.hello(world.box.hello(None))
    client.close()


def test_a_suspended_box_loses_every_connection_it_has(world: World, port: int) -> None:
    with (
        held(world, port) as silent,
        held(world, port) as half,
        listening(world, port, 1) as one,
        listening(world, port, 1, box=another(world)) as other,
    ):
        half.sendall(b"POST /v1/hello HTTP/1.1\r\n")
        world.staff.suspend_box(world.box.name, "test")
        assert one.until_ended() == "centre-unreachable"
        assert one.kinds[-1] == "suspended"
        assert over(silent)
        assert over(half)
        assert other.ended is None


@contextlib.contextmanager
def held(world: World, port: int, box: Box | None = None) -> Iterator[ssl.SSLSocket]:
    """A connection with no request on it."""
    context = tls.box_context(world, box or world.box)
    raw = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
    with context.wrap_socket(raw, server_hostname=tls.NAME) as sock:
        yield sock


def over(sock: ssl.SSLSocket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True


def test_a_row_that_nobody_told_of_cuts_too(world: World, port: int) -> None:
    with listening(world, port, 1) as one:
        with world.store.begin() as tx:
            tx.exec_driver_sql("UPDATE boxes SET state = 'retired'")
        assert one.until_ended() == "centre-unreachable"


# -- what is asked ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "last"),
    [
        ("", None),
        ("boot_id=b&boot_counter=1", None),
        ("boot_id=b&boot_counter=1&n=1&n=2", None),
        ("boot_id=b&boot_counter=1&n=1&more=1", None),
        ("boot_id=b&boot_counter=1&n=-1", None),
        ("boot_id=b&boot_counter=1&n=x", None),
        ("boot_id=%00&boot_counter=1&n=1", None),
        ("boot_id=b&boot_counter=1&n=1", "x"),
        ("boot_id=b&boot_counter=1&n=1", "-1"),
        ("boot_id=b&boot_counter=1&n=1", "99999999999999999999"),
    ],
)
def test_an_unclear_question_opens_nothing(
    world: World, port: int, query: str, last: str | None
) -> None:
    with held(world, port) as sock:
        header = "" if last is None else f"last-event-id: {last}\r\n"
        sock.sendall(f"GET /v1/link?{query} HTTP/1.1\r\nhost: c\r\n{header}\r\n".encode())
        assert sock.recv(65536).startswith(b"HTTP/1.1 400")


def test_each_look_begins_behind_what_has_settled() -> None:
    behind = streams._Behind(5000)
    floors = []
    for now_s, newest in ((0.0, 6000), (30.0, 7000), (streams.SETTLED_S, 0), (200.0, 0)):
        behind.seen(newest, now_s)
        floors.append(behind.floor)
    assert floors == [5000 - streams.BEHIND_IDS, 5000 - streams.BEHIND_IDS, 6000, 7000]
    assert streams._Behind(3).floor == 0


# -- without a network -----------------------------------------------------------------------------


def hub(world: World) -> Streams:
    return Streams(world.centre, lambda: (), Connections())


def test_a_box_that_takes_nothing_is_dropped(world: World) -> None:
    dropped: list[str] = []

    async def play() -> None:
        here = hub(world)
        text = here.follow(link.Opened("box", (), 0), lambda: dropped.append("box"))
        waiting = asyncio.ensure_future(anext(text))
        await asyncio.sleep(0)
        stream = here._of["box"]
        for number in range(1, MAX_QUEUED + 1):
            stream.put(Message(number, "crl", b"{}"))
        assert not dropped
        stream.put(Message(MAX_QUEUED + 1, "crl", b"{}"))
        waiting.cancel()

    asyncio.run(play())
    assert dropped == ["box"]


def test_a_gap_ends_a_stream_and_what_is_known_is_passed_over(world: World) -> None:
    dropped: list[str] = []

    async def play() -> None:
        here = hub(world)
        missed = (Message(4, "crl", b"{}"),)
        text = here.follow(link.Opened("box", missed, 4), lambda: dropped.append("box"))
        assert await anext(text) == b"id: 4\nevent: crl\ndata: {}\n\n"
        stream = here._of["box"]
        stream.put(missed[0])
        stream.put(Message(5, "crl", b"{}"))
        assert await anext(text) == b"id: 5\nevent: crl\ndata: {}\n\n"
        assert not dropped
        stream.put(Message(7, "crl", b"{}"))
        await text.aclose()
        assert len(here) == 0

    asyncio.run(play())
    assert dropped == ["box"]
