"""The centre's database, stolen, served by a rogue API with its thief's own finger in it.

The rogue is our own API over a changed copy: it may answer whatever it likes. Without the centre's
TLS key it hears no word of the box; with that key stolen too, the box opens nothing that no desk
has signed, and gives no attempt back.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hil import scratch
from hil.centre import API_UID, PROJECTS
from hil.finger import Person
from hil.issuing import Holder, Issuing
from hil.net.topology import CENTRE4
from hil.staff import Staff, Unheard
from sdbox_centre import authority, desk
from sdbox_centre.staff.acts import Acts
from sdbox_centre.staff.office import Office
from sdbox_centre.store import Store
from tests.hil.refusals import HERE, SOMEBODY_ELSE, Bench, name_of, now, started
from tests.waiting import until

pytestmark = pytest.mark.rig

THIEF = Person(3)
KNOWN = ("api.toml", "server.pem", "server.key")
Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[Bench, list[Holder]]]:
    with started(lambda _rig, people: [people.holder() for _ in range(3)]) as one:
        one[0].enter(one[1][0])  # its lists are there
        one[0].leave()
        until(lambda: peers(one[0]) == 0)
        yield one


@pytest.fixture(autouse=True)
def clear(stage: tuple[Bench, list[Holder]]) -> Iterator[None]:
    yield
    stage[0].clear()


@contextlib.contextmanager
def rogue(bench: Bench, change: Change) -> Iterator[Path]:
    """In the centre's place, over a copy of its database that was changed; yields the copy."""
    centre = bench.rig.centre
    root = centre.root
    centre.end_api()
    kept = {name: (root / name).read_bytes() for name in KNOWN}
    stolen = root / "stolen"
    stolen.mkdir()
    copy = stolen / "centre.sqlite"
    with bench.database() as real, contextlib.closing(sqlite3.connect(copy)) as other:
        real.backup(other)
    change(copy)
    for path in (stolen, *stolen.iterdir()):
        os.chown(path, API_UID, API_UID)
    settings = kept["api.toml"].replace(b"db/centre.sqlite", b"stolen/centre.sqlite")
    (root / "api.toml").write_bytes(settings)
    try:
        centre.start_api()
        yield copy
    finally:
        centre.end_api()
        for name, data in kept.items():
            (root / name).write_bytes(data)
        scratch.removed(stolen)
        centre.start_api()


def trace_of(copy: Path) -> list[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(copy)) as database:
        return database.execute("select act, code from trace order by seq").fetchall()


def with_the_thiefs_finger(bench: Bench, holder: Holder) -> Change:
    """Sealed to the card, whose certificate is public; signed by a desk of the thief's own.

    Whoever serves a database decides whose acts it believes: the rogue has one that says so.
    """
    moment = now()
    theirs = authority.authority("Test enrolment authority", moment, test=True)
    key = authority.new_key()
    issued = theirs.issue(
        authority.DESK,
        authority.Subject("Test desk"),
        key.public_key(),
        moment - authority.BACKDATED,
    )
    signer = desk.Signer(authority.der_of(issued), key)
    sealed = bench.rig.issuing.enrol(holder.name, THIEF, holder.certificates, signer)

    def change(copy: Path) -> None:
        members, now_s = bench.rig.centre.members, int(moment.timestamp())
        changed(copy, "delete from acts where subject = ?", f"enrolment/{holder.name}")
        with contextlib.closing(Store(copy)) as store:
            acts = Acts(members.source(), lambda: now_s)
            office = Office(store, acts, Unheard(), lambda: now_s, os.urandom)
            name = f"enrolment-{holder.name}"
            said = (name, name_of(holder), sealed.sealed_der, now_s - 60, sealed.not_after_s)
            Staff(office, members.signers).add_enrolment(*said)

    return change


def changed(copy: Path, words: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(copy)) as database, database:
        assert database.execute(words, values).rowcount > 0


def peers(bench: Bench) -> int:
    """At the real gateway."""
    with contextlib.closing(bench.rig.centre.control(PROJECTS[0])) as control:
        return len(control.device().peers)


def test_without_the_centres_key_a_rogue_hears_no_word(stage: tuple[Bench, list[Holder]]) -> None:
    bench, (holder, *_) = stage
    pair = Issuing().server(CENTRE4, "centre.test")
    bench.rig.centre.end_api()
    root = bench.rig.centre.root
    mine = {name: (root / name).read_bytes() for name in ("server.pem", "server.key")}
    (root / "server.pem").write_bytes(pair.pem)
    (root / "server.key").write_bytes(pair.key_pem)
    try:
        with rogue(bench, with_the_thiefs_finger(bench, holder)) as copy:
            before = trace_of(copy)
            bench.turn().insert(holder.card)
            spent = bench.watch.state("spent")
            assert spent.code == "centre-unreachable"
            assert trace_of(copy) == before
            assert peers(bench) == 0
            bench.rig.operator.remove()
    finally:
        bench.rig.centre.end_api()
        for name, data in mine.items():
            (root / name).write_bytes(data)
        bench.rig.centre.start_api()


def test_with_that_key_too_a_finger_that_no_desk_signed_opens_nothing(
    stage: tuple[Bench, list[Holder]],
) -> None:
    bench, (holder, *_) = stage
    with rogue(bench, with_the_thiefs_finger(bench, holder)) as copy:
        bench.turn().insert(holder.card)
        bench.refused("reference-unsigned", "opening")
        assert ("delivered", "done") in trace_of(copy), "it was served, and by the rogue"
        assert ("receipt", "done") not in trace_of(copy)[-5:]
        assert peers(bench) == 0
        bench.rig.operator.remove()


def test_a_rogue_gives_no_attempt_back(stage: tuple[Bench, list[Holder]]) -> None:
    bench, (_, holder, _) = stage
    bench.to_finger(holder)
    bench.touch(SOMEBODY_ELSE)
    bench.rig.operator.remove()
    until(lambda: bench.centre_row(holder)[0] == 1)
    bench.clear()
    row = bench.box_row(holder)
    assert row is not None
    assert row.left == 9

    def forgotten(copy: Path) -> None:
        changed(copy, "update cards set failures = 0, not_before_s = 0")

    with rogue(bench, forgotten):
        shown = bench.to_finger(holder)
        assert shown.state == "scanning"
        assert bench.box_row(holder) == row
        bench.rig.operator.remove()
        bench.clear()


def test_the_real_centre_is_believed_again(stage: tuple[Bench, list[Holder]]) -> None:
    bench, (*_, holder) = stage
    assert bench.enter(holder).state == "open"
    assert peers(bench) == 1
    assert bench.leave().code == "card-removed"
    assert holder.person == HERE
