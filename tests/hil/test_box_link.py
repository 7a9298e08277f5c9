"""The box link in the whole rig: what staff do reaches a live session, or its lease does."""

import contextlib
import sqlite3
from collections.abc import Iterator

import pytest

from hil.centre import PROJECTS
from hil.issuing import Holder
from sdbox_agent.daemon.view import View
from tests.hil.fault_bench import Bench, dropping, opened
from tests.waiting import until

pytestmark = pytest.mark.rig
LEASE_S = 40


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with opened(one=4, lease_s=LEASE_S) as one:
        yield one


@pytest.fixture(autouse=True)
def tidy(bench: Bench) -> Iterator[None]:
    yield
    bench.tidy()


def linked(bench: Bench, *, up: bool = True) -> View:
    """The newest view, once the link is so."""
    with contextlib.closing(bench.rig.watch()) as watch:
        return watch.until(lambda one: one.link is not None and one.link.up is up, "link")


def peers(bench: Bench) -> int:
    with contextlib.closing(bench.rig.centre.control(PROJECTS[0])) as control:
        return len(control.device().peers)


def codes(bench: Bench) -> list[str]:
    return [entry.code for entry in bench.entries()]


def test_a_revoked_card_s_session_ends_at_once(bench: Bench) -> None:
    linked(bench)
    holder = bench.holder()
    bench.to_open(holder)
    assert peers(bench) == 1
    bench.rig.centre.revoke_card(holder)
    assert peers(bench) == 0
    bench.ended("card-revoked")  # a renewal would have been told session-closed
    assert codes(bench).index("revocation-heard") < codes(bench).index("card-revoked")


@contextlib.contextmanager
def gateway_deaf_to_staff(bench: Bench) -> Iterator[None]:
    """Whoever connects to it anew finds nobody; it and the API go on."""
    socket = bench.rig.centre.root / "gateway/gateway.sock"
    away = socket.rename(socket.with_suffix(".away"))
    try:
        yield
    finally:
        away.rename(socket)


def revoke_in_the_store_alone(bench: Bench, holder: Holder) -> None:
    with gateway_deaf_to_staff(bench):
        bench.rig.centre.revoke_card(holder)
    assert peers(bench) == 1


def test_an_event_from_while_the_api_was_away_arrives(bench: Bench) -> None:
    linked(bench)
    holder = bench.holder()
    bench.to_open(holder)
    bench.rig.centre.end_api()
    assert linked(bench, up=False).state == "open", "the lease holds it"
    revoke_in_the_store_alone(bench, holder)
    bench.rig.centre.start_api()
    # Before the next renewal; by the gateway, which is told at the API's start, or by the link.
    bench.ended("card-revoked", "tunnel-lost", within_s=LEASE_S / 2)
    linked(bench)
    assert "link-lost" in codes(bench)
    assert codes(bench).count("link-resync") == 1, "once, after the start: nothing was missed"


def test_with_the_centre_out_of_reach_the_lease_ends_a_revoked_session(bench: Bench) -> None:
    linked(bench)
    holder = bench.holder()
    bench.to_open(holder)
    with dropping(bench.rig.topology.box, "tcp sport 443"):
        revoke_in_the_store_alone(bench, holder)
        bench.ended("lease-expired", within_s=LEASE_S)
        until(lambda: not peers(bench))  # by the gateway's own clock
    linked(bench)


def test_the_centre_knows_how_the_box_is(bench: Bench) -> None:
    linked(bench)
    bench.to_open(bench.holder())
    health = until(lambda: _health(bench, b'"state":"open"'))
    assert b'"tunnel":true' in health
    assert b'"readers":2' in health
    assert b'"sensor":true' in health


def _health(bench: Bench, said: bytes) -> bytes | None:
    with contextlib.closing(sqlite3.connect(bench.rig.centre.root / "db/centre.sqlite")) as db:
        ((health,),) = db.execute("SELECT health FROM links").fetchall()
    return health if health and said in health else None
