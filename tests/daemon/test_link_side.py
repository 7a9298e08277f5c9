"""What the centre pushes, on its way to the session; and the box's health."""

import asyncio
import threading

import pytest

from sdbox_agent.audit import outbox, record
from sdbox_agent.audit.outbox import Outbox
from sdbox_agent.centre import wire
from sdbox_agent.centre.boxlink import Down, Told, Up
from sdbox_agent.daemon import link_side
from sdbox_agent.daemon.link_side import HEALTH_S, SETTLED_S, LinkSide, Parts
from sdbox_agent.daemon.view import LinkView
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.state.model import ModelFileSystem
from tests.daemon.parts import LIVE, UTC_S, Bench, Calls, Loop, N, turn
from tests.daemon.test_view import SESSION, access
from tests.session.explore import POLICY

OPEN = at.Open(SESSION, access(), "p1", 1.0, 2.0)


class Side:
    def __init__(self, loop=None, *, clock_set: bool = True) -> None:
        self.bench, self.calls, self.loop = Bench(clock_set=clock_set), Calls(), loop or Loop()
        self.files, self.shown, self.refreshed = ModelFileSystem(), [], []
        self.standing, self.seen = ("identity-copyable",), []
        self.outbox = Outbox(self.files, "boot")
        parts = Parts(
            readers=lambda: 2,
            sensor=lambda: True,
            standing=lambda: self.standing,
            refresh_lists=lambda: self.refreshed.append(1),
            show=self.shown.append,
            placed_s=lambda: 7,
            seen=self.seen.append,
        )
        self.side = LinkSide(self.loop, self.bench.context, self.outbox, self.calls, 3, parts)
        self.side.changed(LIVE)

    @property
    def fed(self) -> list[on.Event]:
        return self.bench.fed

    def hear(self, *told: Told) -> None:
        for one in told:
            self.side.heard(one)

    def recorded(self) -> list[tuple[str, str | None, str]]:
        lines = map(record.decode, self.files.read(outbox.NAME, 1 << 20).splitlines())
        return [(line.code, line.session, line.result) for line in lines]


@pytest.fixture
def side() -> Side:
    return Side()


# -- events ----------------------------------------------------------------------------------------


def test_a_revocation_of_this_session_ends_it_and_says_why(side: Side) -> None:
    session = side.bench.context.session(N)
    side.hear(wire.Revoked(session=session, code="card-revoked"))
    side.hear(wire.Revoked(session=session, code="never-heard-of"))
    assert side.fed == [on.Revoked("card-revoked"), on.Revoked("revoked")]


@pytest.mark.parametrize("session", ["boot-6", "boot-8", "other-7"])
def test_a_revocation_of_another_session_is_recorded_and_ends_nothing(
    side: Side, session: str
) -> None:
    side.hear(wire.Revoked(session=session, code="revoked"))
    assert side.fed == []
    assert side.recorded() == [("revocation-heard", side.bench.context.session(N), "ok")]


def test_what_the_centre_says_of_the_box_becomes_an_event(side: Side) -> None:
    side.hear(wire.BoxSuspended(), wire.NewPolicy(version=2), wire.Window(act=b"signed"))
    assert side.fed == [on.Suspended(), on.PolicyChanged()]
    assert side.refreshed == []
    side.hear(wire.NewCrls(), wire.Resync())
    assert side.refreshed == [1, 1]


@pytest.mark.parametrize("code", ["box-suspended", "box-clone"])
def test_a_refused_link_says_that_the_box_is_out_of_service(side: Side, code: str) -> None:
    side.hear(Down("box-refused"), Down("centre-fault"))
    assert side.fed == []
    side.hear(Down(code))
    assert side.fed == [on.Suspended()]


def test_everything_heard_is_in_the_record(side: Side) -> None:
    for kind in wire.EVENTS.values():
        assert kind in link_side._RECORDED
    side.side.changed(at.Idle(N))
    side.hear(Up(), wire.NewCrls(), Down("centre-slow"), Down("centre-slow"))
    assert side.recorded() == [
        ("link-up", None, "ok"),
        ("lists-announced", None, "ok"),
        ("link-lost", None, "fault"),
    ]


def test_a_revocation_ends_the_session_before_it_is_recorded(side: Side) -> None:
    session = side.bench.context.session(N)
    recorded: list[list[tuple[str, str | None, str]]] = []

    def fed(_event: on.Event) -> None:
        recorded.append(side.recorded() if outbox.NAME in side.files.contents() else [])
        side.side.changed(at.Closing(N, "revoked", frozenset(), None))

    side.bench.context.feed = fed
    side.hear(wire.Revoked(session=session, code="revoked"))
    assert recorded == [[]]
    assert side.recorded() == [("revocation-heard", session, "ok")]


def test_a_record_that_can_t_be_written_stops_no_revocation(side: Side) -> None:
    side.outbox._failed = True
    side.hear(Up(), wire.Revoked(session=side.bench.context.session(N), code="revoked"))
    assert side.fed == [on.Revoked("revoked")]


def test_a_lost_link_is_told_once_and_shown(side: Side) -> None:
    assert side.shown == [LinkView(up=False, since_ms=0)]
    side.loop.move(2)
    side.hear(Up())
    side.loop.move(2)
    side.hear(Down("centre-slow"))
    side.loop.move(2)
    side.hear(Down("centre-unreachable"))
    assert side.fed == [on.LinkLost()]
    assert [(one.up, one.since_ms, one.code) for one in side.shown[1:]] == [
        (True, 2000, None),
        (False, 4000, "centre-slow"),
        (False, 4000, "centre-unreachable"),
    ]


def test_what_the_link_s_thread_says_is_heard_in_the_loop() -> None:
    loop = asyncio.new_event_loop()
    side = Side(loop)
    here: list[int] = []
    side.bench.context.feed = lambda _: here.append(threading.get_ident())
    thread = threading.Thread(target=side.side.told, args=(wire.BoxSuspended(),))
    thread.start()
    turn(loop, lambda: here)
    thread.join()
    loop.close()
    side.side.told(wire.BoxSuspended())  # too late, and nobody's fault
    assert here == [threading.get_ident()]


# -- health ----------------------------------------------------------------------------------------


def asked(side: Side) -> wire.HealthRequest:
    name, request = side.calls.request()
    assert name == "health"
    assert isinstance(request, wire.HealthRequest)
    return request


def test_health_is_said_soon_after_the_link_is_up_and_now_and_then(side: Side) -> None:
    side.loop.move(10 * HEALTH_S)
    assert side.calls.asked == [], "not to a centre that can't be reached"
    claimed = side.side.claim()
    side.hear(Up())
    side.loop.move(SETTLED_S)
    assert asked(side) == wire.HealthRequest(
        boot_id=POLICY.boot_id, boot_counter=3, n=claimed.n + 1, agent_version="0.1.0",
        state="checking", tunnel=False, utc_s=asked(side).utc_s, readers=2, sensor=True,
        audit_percent=0, standing=("identity-copyable",),
        placed_s=7,
    )  # fmt: skip
    assert (asked(side).utc_s or 0) >= UTC_S
    side.calls.answer(wire.HealthAnswer())
    side.loop.move(2 * HEALTH_S)
    assert len(side.calls.asked) == 2, "the second has no answer yet"
    side.calls.fail("centre-slow")
    side.loop.move(HEALTH_S)
    assert len(side.calls.asked) == 3
    numbers = [claimed.n, *range(claimed.n + 1, claimed.n + 4)]
    assert asked(side).n == numbers[-1], "each message has the next number"


def test_what_the_centre_says_to_a_health_is_handed_on(side: Side) -> None:
    side.hear(Up())
    side.loop.move(SETTLED_S)
    answer = wire.HealthAnswer(network="192.0.2.0/24", placed_s=7)
    side.calls.answer(answer)
    side.loop.move(HEALTH_S)
    side.calls.fail("centre-slow")
    assert side.seen == [answer]


def test_what_has_changed_about_the_box_is_said_soon(side: Side) -> None:
    side.side.changed_standing()
    side.loop.move(HEALTH_S)
    assert side.calls.asked == [], "not to a centre that can't be reached"
    side.hear(Up())
    side.loop.move(SETTLED_S)
    side.calls.answer(wire.HealthAnswer())
    side.standing = ("box-moved",)
    side.side.changed_standing()
    side.loop.move(SETTLED_S)
    assert asked(side).standing == ("box-moved",)


def test_a_tunnel_that_comes_or_goes_is_said_at_once(side: Side) -> None:
    side.hear(Up())
    side.loop.move(SETTLED_S)
    side.calls.answer(wire.HealthAnswer())
    side.side.changed(OPEN)
    side.loop.move(SETTLED_S)
    assert (asked(side).state, asked(side).tunnel) == ("open", True)
    side.calls.answer(wire.HealthAnswer())
    side.side.changed(OPEN)
    side.loop.move(SETTLED_S)
    assert len(side.calls.asked) == 2
    side.side.changed(at.Idle(N))
    side.loop.move(SETTLED_S)
    assert (asked(side).state, asked(side).tunnel) == ("idle", False)


def test_no_health_is_said_once_the_link_is_lost(side: Side) -> None:
    side.hear(Up())
    side.hear(Down("centre-slow"))
    side.loop.move(10 * HEALTH_S)
    assert side.calls.asked == []


def test_before_the_first_hello_its_clock_is_unknown() -> None:
    side = Side(clock_set=False)
    side.hear(Up())
    side.loop.move(SETTLED_S)
    assert asked(side).utc_s is None


def test_every_state_has_a_word_that_the_centre_takes() -> None:
    for kind in at.State.__args__:
        health = wire.HealthRequest(
            boot_id="b", boot_counter=1, n=1, agent_version="1", state=kind.__name__.lower(),
            tunnel=False, utc_s=None, readers=0, sensor=False, audit_percent=100,
        )  # fmt: skip
        assert wire.decode(wire.encode(health), wire.HealthRequest) == health
