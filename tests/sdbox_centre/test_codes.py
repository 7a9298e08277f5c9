"""Sessions at card-pin, and what the centre keeps for them."""

import base64
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select, update

from sdbox_agent.centre import wire
from sdbox_agent.errors import Fault, Refused, SdboxError
from sdbox_agent.terms import Band, Level
from sdbox_centre import codes, rows, sessions, tables
from sdbox_centre.codes import Codes
from sdbox_centre.onetime import STEP_S
from sdbox_centre.store import Store
from tests.sdbox_centre import world as w
from tests.sdbox_centre.databases import BOTH
from tests.sdbox_centre.parties import Device
from tests.sdbox_centre.world import World, session
from tests.waiting import PATIENCE_S

ENGINES = BOTH

NAME = "test-enrolment-02"
PIN = {"enrolment": NAME, "level": Level.CARD_PIN, "reference_sha256": None}


def refused(code: str):
    return pytest.raises(SdboxError, match=f"^{code}$")


@pytest.fixture
def card(world: World) -> w.Card:
    return w.make_card(world.cards, 2, world.now)


@pytest.fixture
def device(world: World, card: w.Card) -> Device:
    return Device(world.admit_without_finger(card, 2), world.clock)


def proved(world: World, card: w.Card, n: int = 1) -> w.Session:
    one = session(world, n, card=card)
    one.hello()
    one.prove()
    return one


def failures(world: World, card: w.Card) -> int:
    with world.store.begin() as tx:
        wanted = select(tables.cards.c.failures).where(tables.cards.c.auth_sha256 == card.name)
        return int(tx.execute(wanted).scalar_one())


def test_a_person_without_a_finger_comes_in_by_pin_and_code(
    world: World, card: w.Card, device: Device
) -> None:
    one = session(world, card=card)
    one.hello()
    answer = one.prove()
    assert (answer.level, answer.reference, answer.enrolment) == (Level.CARD_PIN, None, NAME)
    told = one.attempt(otp=device.code())
    assert (told.code_right, told.left, failures(world, card)) == (True, 9, 1)
    assert one.receipt(**PIN).lease_s == w.LEASE_S
    assert failures(world, card) == 0
    one.renew()
    with world.store.begin() as tx:
        acts = tx.exec_driver_sql(
            "SELECT act, level FROM trace WHERE level IS NOT NULL ORDER BY seq"
        )
        acts = [tuple(row) for row in acts]
    assert acts == [(act, "card-pin") for act in ("proof", "attempt", "receipt", "lease")]


def test_a_band_without_a_finger_is_no_receipt(world: World, card: w.Card, device: Device) -> None:
    one = proved(world, card)
    one.attempt(otp=device.code())
    with pytest.raises(Refused, match="request-invalid"):
        one.receipt(Band.WEAK, **PIN)
    with world.store.begin() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM ageing").scalar_one() == 0
    assert one.receipt(**PIN).lease_s == w.LEASE_S, "nothing was spent by it"


def test_a_wrong_code_leaves_its_attempt_spent_and_opens_nothing(
    world: World, card: w.Card, device: Device
) -> None:
    one = proved(world, card)
    told = one.attempt(otp=device.wrong())
    assert (told.code_right, told.left, failures(world, card)) == (False, 9, 1)
    with refused("statement-invalid"):
        one.receipt(**PIN)
    assert ("attempt", "code-wrong") in world.trace()
    assert one.attempt(otp=device.code()).code_right is True
    assert failures(world, card) == 2
    with refused("statement-invalid"):
        one.receipt(**PIN, attempt=1)  # the one whose code was wrong
    one.receipt(**PIN, attempt=2)


def test_only_the_newest_attempts_code_counts(world: World, card: w.Card, device: Device) -> None:
    one = proved(world, card)
    assert one.attempt(otp=device.code()).code_right is True
    assert one.attempt(otp=device.wrong()).code_right is False
    for attempt in (1, 2):
        with refused("statement-invalid"):
            one.receipt(**PIN, attempt=attempt)
    assert not world.peers.peers


def test_a_used_code_is_told_as_a_wrong_one_is(world: World, card: w.Card, device: Device) -> None:
    """The same answer, the same trace: nobody who guesses learns that a guess was once right."""
    one = proved(world, card)
    one.attempt(otp=device.code())
    told = [one.attempt(otp=code) for code in (device.code(), device.wrong())]
    kept = [(answer.attempt, answer.code_right) for answer in told]
    assert kept == [(2, False), (3, False)]
    with world.store.begin() as tx:
        rows = tx.exec_driver_sql(
            "SELECT code, level, motive FROM trace WHERE act = 'attempt' ORDER BY seq"
        ).all()
    assert rows[1] == rows[2] == ("code-wrong", "card-pin", None)
    assert rows[0] == ("done", "card-pin", None)


def test_a_code_is_used_once_across_sessions_and_restarts(
    world: World, card: w.Card, device: Device
) -> None:
    one = proved(world, card)
    code = device.code()
    one.attempt(otp=code)
    one.receipt(**PIN)
    one.end()
    world.store.close()
    world.store = Store(world.database)
    world.centre = w.dataclasses.replace(world.centre, store=world.store)
    two = proved(world, card, 2)
    assert two.attempt(otp=code).code_right is False
    world.clock.move(STEP_S)
    assert two.attempt(otp=code).code_right is False  # still in the window, but used
    assert two.attempt(otp=device.code()).code_right is True
    two.receipt(**PIN, attempt=3)


def test_an_earlier_code_is_no_good_after_a_later_one(
    world: World, card: w.Card, device: Device
) -> None:
    one = proved(world, card)
    assert one.attempt(otp=device.code(1)).code_right is True  # a device that runs ahead
    assert one.attempt(otp=device.code(0)).code_right is False
    assert one.attempt(otp=device.code(1)).code_right is False


def test_the_same_attempt_again_has_the_same_answer(
    world: World, card: w.Card, device: Device
) -> None:
    one = proved(world, card)
    request = wire.AttemptRequest(session=one.name, challenge=one.challenge, otp=device.code())
    first = one.client.attempt(request)
    assert one.client.attempt(request) == first
    assert first.code_right is True
    assert failures(world, card) == 1


def test_attempts_with_one_code_at_once_are_right_once(
    world: World, card: w.Card, device: Device
) -> None:
    one = proved(world, card)
    request = wire.AttemptRequest(session=one.name, challenge=one.challenge, otp=device.code())

    def ask(n: int) -> bytes | str:
        digest = bytes([n]) * 32  # other bytes each, on one challenge
        try:
            return sessions.attempt(world.centre, world.box.fingerprint, request, digest)
        except Refused as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(16)))
    given = [answer for answer in answers if answer != "challenge-used"]
    assert len(given) == 1
    assert wire.decode(given[0], wire.AttemptAnswer).code_right is True
    assert failures(world, card) == 1


def test_two_processes_never_take_one_code_twice(world: World, device: Device) -> None:
    """Two connections to the database, as two processes have, in as many threads."""
    stores = [Store(world.database) for _ in range(2)]
    together = threading.Barrier(2)
    code = device.code()

    def ask(store: Store) -> bool:
        together.wait(PATIENCE_S)
        with store.begin() as tx:
            return world.centre.codes.use(tx, NAME, code, world.clock.utc)

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(ask, stores)) == [False, True]
    for store in stores:
        store.close()


def test_codes_are_asked_for_at_card_pin_and_nowhere_else(
    world: World, card: w.Card, device: Device
) -> None:
    one = proved(world, card)
    with refused("request-invalid"):
        one.attempt()
    assert one.attempt(otp=device.code()).attempt == 1  # nothing was spent
    two = session(world, 2)
    two.hello()
    two.prove()
    with refused("request-invalid"):
        two.attempt(otp=device.code())
    assert two.attempt().code_right is None


def test_wrong_codes_end_in_the_same_lock_as_wrong_fingers(
    world: World, card: w.Card, device: Device
) -> None:
    one = proved(world, card)
    for _ in range(3):
        one.attempt(otp=device.wrong())
    with refused("attempts-exhausted"):
        one.attempt(otp=device.code())
    two = proved(world, card, 2)
    for _ in range(2):
        two.attempt(otp=device.wrong())
    with refused("too-soon"):
        two.attempt(otp=device.code())
    with world.store.begin() as tx:
        tx.exec_driver_sql("UPDATE cards SET failures = 10")
    with refused("card-locked"):
        two.attempt(otp=device.code())


@pytest.mark.parametrize(
    "change",
    [
        {"level": Level.HOST_MATCH},
        {"reference_sha256": w.hashlib.sha256(w.SEALED).digest()},
        {"level": Level.CARD_MATCH},
        {"attempt": 2},
        {"enrolment": "test-enrolment-01"},
    ],
)
def test_a_receipt_by_pin_says_no_more_than_that(
    world: World, card: w.Card, device: Device, change: dict[str, object]
) -> None:
    one = proved(world, card)
    one.attempt(otp=device.code())
    with pytest.raises(Refused, match=r"^(statement-invalid|card-not-match-bound)$"):
        one.receipt(**{**PIN, **change})
    assert not world.peers.peers


def test_a_project_says_whether_it_takes_a_pin(world: World, card: w.Card, device: Device) -> None:
    world.believe_rows()
    with world.store.begin() as tx:
        tx.exec_driver_sql("UPDATE projects SET levels = 'host-match card-match'")
    one = session(world, card=card)
    one.hello()
    with refused("level-not-accepted"):
        one.prove()


@pytest.mark.parametrize("lacks", ["secret", "key", "offer"])
def test_nobody_comes_in_at_card_pin_without_all_of_it(
    world: World, card: w.Card, lacks: str
) -> None:
    world.admit_without_finger(card, 2, code=lacks != "secret")
    if lacks == "key":
        world.centre = w.dataclasses.replace(world.centre, codes=None)
    one = session(world, card=card)
    one.hello()
    request = world.box.proof(card, one.name, one.challenge)
    levels = w.LEVELS[: 2 if lacks == "offer" else 3]
    with refused("level-not-accepted"):
        one.client.proof(msgspec.structs.replace(request, levels=levels))


def test_a_new_device_starts_afresh_and_the_old_one_is_void(
    world: World, card: w.Card, device: Device
) -> None:
    one = proved(world, card)
    assert one.attempt(otp=device.code()).code_right is True
    again = Device(world.provision(NAME), world.clock)
    assert one.attempt(otp=device.code(1)).code_right is False
    assert one.attempt(otp=again.code()).code_right is True  # of the step the old one used up


def test_a_step_is_never_used_backwards(world: World, device: Device) -> None:
    """The table's own rule, should two transactions ever read before either writes."""
    with world.store.begin() as tx:
        told = [rows.use_step(tx, NAME, step) for step in (5, 5, 4, 6)]
        assert told == [True, False, False, True]
        assert not rows.use_step(tx, "nobody", 7)


def test_a_secret_gone_within_a_session_takes_no_code(
    world: World, card: w.Card, device: Device
) -> None:
    one = proved(world, card)
    with world.store.begin() as tx:
        tx.exec_driver_sql("DELETE FROM codes")
    assert one.attempt(otp=device.code()).code_right is False


def test_a_secret_that_cant_be_opened_is_a_fault_and_spends_nothing(
    world: World, card: w.Card, device: Device
) -> None:
    """Another key, or a row moved to another enrolment: no word about the code."""
    one = proved(world, card)
    keeper = world.centre.codes
    world.centre = w.dataclasses.replace(world.centre, codes=Codes(b"x" * 32))
    one.client = world.talk()
    with refused("centre-fault"):
        one.attempt(otp=device.code())
    assert failures(world, card) == 0
    with world.store.begin() as tx:
        tx.exec_driver_sql("UPDATE codes SET enrolment = 'test-enrolment-01'")
        with refused("centre-fault"):
            keeper.use(tx, "test-enrolment-01", device.code(), world.clock.utc)
        tx.execute(update(tables.codes).values(sealed=bytes(1)))
        with refused("centre-fault"):
            keeper.use(tx, "test-enrolment-01", device.code(), world.clock.utc)


def test_no_secret_is_in_database_trace_or_log(
    world: World, card: w.Card, device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    one = proved(world, card)
    code = device.code()
    one.attempt(otp=code)
    one.receipt(**PIN)
    request = wire.AttemptRequest(session=one.name, challenge=one.challenge, otp=code)
    assert code not in repr(request)
    stored = world.stored()
    for secret in (device.secret, base64.b32encode(device.secret), device.secret.hex().encode()):
        assert secret not in stored
        assert secret.decode("latin-1") not in caplog.text
    assert NAME.encode() in stored  # the search finds what is there


def test_a_key_file_is_made_once_for_its_owners_eyes(tmp_path: Path) -> None:
    path = tmp_path / "otp.key"
    codes.make_key(path, os.urandom)
    assert path.stat().st_mode & 0o777 == 0o600
    assert isinstance(codes.load(path), Codes)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="otp"):
        codes.make_key(path, os.urandom)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("size", "mode"), [(32, 0o640), (32, 0o604), (31, 0o600), (33, 0o600)])
def test_a_key_file_that_is_not_right_is_not_used(tmp_path: Path, size: int, mode: int) -> None:
    path = tmp_path / "otp.key"
    path.write_bytes(bytes(size))
    path.chmod(mode)
    with pytest.raises(Fault, match="config-invalid") as caught:
        codes.load(path)
    assert "otp.key" in str(caught.value.__cause__)
    with pytest.raises(Fault, match="config-invalid"):
        codes.load(tmp_path / "absent")
