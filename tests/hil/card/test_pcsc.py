"""The card through a real pcscd: what a PC/SC client meets, in order and in disorder."""

import threading
import time
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hil.card.card import Card, PivCard
from hil.card.faults import (
    Fault,
    MuteAt,
    ReplyAt,
    ResetAt,
    SlowBy,
    SwapAt,
    TearAt,
    TearPoint,
)
from hil.card.insertion import Insertion
from hil.card.objects import Tag
from hil.card.slot import Slot
from hil.pcscd import Pcscd
from tests.hil.card.helpers import (
    SELECT_PIV,
    authenticate,
    command,
    exchange,
    get_data,
    self_made,
    template,
    three_n,
    verify,
)
from tests.hil.card.pcsc_client import Client, PcscError
from tests.waiting import until

pytestmark = pytest.mark.rig

# pcsc-lite 1.9.9, pcsclite.h.
SHARING_VIOLATION = 0x8010000B
NOT_TRANSACTED = 0x80100016
RESET = 0x80100068
REMOVED = 0x80100069
STATUS = bytes.fromhex("00200080")


@pytest.fixture
def client() -> Iterator[Client]:
    Pcscd.shared()
    with Client() as made:
        yield made


def connected(client: Client, slot: Slot, card: Card, faults: list[Fault]) -> Insertion:
    insertion = slot.insert(card, faults)
    client.wait(slot.reader_name, present=True)
    client.connect(slot.reader_name)
    return insertion


def test_long_answers_chains_and_agreement_through_pcscd(client: Client, slot: Slot) -> None:
    card = PivCard.create(algorithms={"9A": "P-256", "9D": "P-384", "9E": "RSA-2048"})
    made = self_made(card)
    card.install(made)
    connected(client, slot, card, [])
    assert exchange(client.transmit, SELECT_PIV)[1] == 0x9000
    data, sw = get_data(client.transmit, Tag.CERTIFICATE_9E)
    assert (made["9E"] in data, sw) == (True, 0x9000)
    host = ec.generate_private_key(ec.SECP384R1())
    point = host.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    secret, sw = authenticate(client.transmit, "P-384", 0x9D, template(0x85, point))
    assert (secret, sw) == (host.exchange(ec.ECDH(), card.public_keys()["9D"]), 0x9000)
    block, sw = authenticate(
        client.transmit, "RSA-2048", 0x9E, template(0x81, b"\x00" + b"7" * 255)
    )
    numbers = card.public_keys()["9E"].public_numbers()
    raised = pow(int.from_bytes(block, "big"), numbers.e, numbers.n)
    assert (raised.to_bytes(256, "big"), sw) == (b"\x00" + b"7" * 255, 0x9000)


def test_an_extended_answer_comes_in_one(client: Client, slot: Slot) -> None:
    card = PivCard.create()
    card.install(self_made(card))
    connected(client, slot, card, [])
    client.transmit(SELECT_PIV)
    whole = client.transmit(bytes.fromhex("00CB3FFF0000055C035FC1050000"))
    assert len(whole) > 258
    assert whole[-2:] == b"\x90\x00"
    assert whole[:-2] == get_data(client.transmit, Tag.CERTIFICATE_9A)[0]


def test_a_reset_forgets_the_pin(client: Client, slot: Slot) -> None:
    insertion = connected(client, slot, PivCard.create(pin_policy="once"), [])
    client.transmit(SELECT_PIV)
    assert client.transmit(verify()) == b"\x90\x00"
    client.disconnect()  # with reset
    client.connect(slot.reader_name)
    assert client.transmit(STATUS) == b"\x6d\x00"
    client.transmit(SELECT_PIV)
    assert client.transmit(STATUS) == b"\x63\xc5"
    assert insertion.resets == 1


def test_a_foreign_reset_is_told_to_a_shared_connection(client: Client, slot: Slot) -> None:
    insertion = slot.insert(PivCard.create(pin_policy="once"))
    client.wait(slot.reader_name, present=True)
    client.connect(slot.reader_name, shared=True)
    client.transmit(SELECT_PIV)
    assert client.transmit(verify()) == b"\x90\x00"
    with Client() as foreign:
        foreign.connect(slot.reader_name, shared=True)
        foreign.disconnect()  # with reset
    with pytest.raises(PcscError) as error:
        client.transmit(STATUS)
    assert error.value.code == RESET
    assert insertion.resets == 1
    client.disconnect()
    client.connect(slot.reader_name)
    client.transmit(SELECT_PIV)
    assert client.transmit(STATUS) == b"\x63\xc5"


def test_an_exclusive_connection_lets_no_other_client_reset_the_card(
    client: Client, slot: Slot
) -> None:
    insertion = connected(client, slot, PivCard.create(pin_policy="once"), [])
    client.transmit(SELECT_PIV)
    client.transmit(verify())
    with Client() as foreign, pytest.raises(PcscError) as error:
        foreign.connect(slot.reader_name, shared=True)
    assert error.value.code == SHARING_VIOLATION
    assert client.transmit(STATUS) == b"\x90\x00"
    assert insertion.resets == 0


def test_a_reset_behind_an_exclusive_connection_shows_as_a_card_that_forgot(
    client: Client, slot: Slot
) -> None:
    connected(client, slot, PivCard.create(pin_policy="once"), [ResetAt(3)])
    client.transmit(SELECT_PIV)
    client.transmit(verify())
    assert client.transmit(STATUS) == b"\x6d\x00"


@pytest.mark.parametrize("form", ["raw", "7f2e"])
def test_a_finger_is_compared_through_pcscd(client: Client, slot: Slot, form: str) -> None:
    index, stranger = three_n(1, 60), three_n(2, 60)
    card = PivCard.create(fingers={"96": (2, index)}, verify=form, match_bound=True)
    insertion = connected(client, slot, card, [])
    exchange(client.transmit, SELECT_PIV)
    assert get_data(client.transmit, Tag.BIT_GROUP)[1] == 0x9000

    def compare(probe: bytes) -> str:
        data = probe if form == "raw" else b"\x7f\x2e\x81\xb7\x81\x81\xb4" + probe
        ins = 0x20 if form == "raw" else 0x21
        return client.transmit(command(ins, 0x00, 0x96, data)).hex()

    assert compare(stranger) == "63c4"
    assert client.transmit(STATUS) == b"\x69\x83"
    to_9a = template(0x81, bytes(32))
    assert authenticate(client.transmit, "P-256", 0x9A, to_9a)[1] == 0x6982
    assert compare(index) == "9000"
    assert authenticate(client.transmit, "P-256", 0x9A, to_9a)[1] == 0x9000
    assert all(seen.reply_bytes == 2 for seen in insertion.log if seen.p2 == 0x96)  # no score


@pytest.mark.parametrize("point", [TearPoint.COMMAND, TearPoint.REPLY])
def test_a_finger_torn_away_has_cost_its_try_only_if_it_was_compared(
    client: Client, slot: Slot, point: TearPoint
) -> None:
    card = PivCard.create(fingers={"96": (2, three_n(1))})
    connected(client, slot, card, [TearAt(2, point)])
    client.transmit(SELECT_PIV)
    with pytest.raises((PcscError, AssertionError)):
        assert client.transmit(command(0x20, 0x00, 0x96, three_n(2)))
    assert card.match_tries_left("96") == (5 if point is TearPoint.COMMAND else 4)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("point", [TearPoint.COMMAND, TearPoint.REPLY])
def test_a_tear_ends_the_exchange_without_an_answer(
    client: Client, slot: Slot, n: int, point: TearPoint
) -> None:
    insertion = connected(client, slot, PivCard.create(), [TearAt(n, point)])
    commands = [SELECT_PIV, verify(b"999999\xff\xff"), STATUS]
    for apdu in commands[: n - 1]:
        client.transmit(apdu)
    # pcsc-lite calls it a success and gives nothing: a client must look at the length.
    try:
        answer = client.transmit(commands[n - 1])
    except PcscError:
        answer = b""
    assert answer == b""
    with pytest.raises(PcscError) as error:
        client.transmit(STATUS)
    assert error.value.code in (NOT_TRANSACTED, REMOVED)
    assert insertion.apdus == n


def test_a_tear_in_mid_reply_looks_like_a_short_answer(client: Client, slot: Slot) -> None:
    connected(client, slot, PivCard.create(), [TearAt(2, TearPoint.MID_REPLY)])
    client.transmit(SELECT_PIV)
    torn = client.transmit(bytes.fromhex("00CB3FFF035C017E00"))
    # Data bytes where the status word should be: the first half of 7E12 4F0B A000 ... 9000.
    assert bytes.fromhex("7E124F0BA0000003080000100001005F2F0240009000").startswith(torn)
    assert torn[-2:] != b"\x90\x00"


def test_a_torn_try_is_a_spent_try(client: Client, slot: Slot) -> None:
    card = PivCard.create()
    connected(client, slot, card, [TearAt(2, TearPoint.REPLY)])
    client.transmit(SELECT_PIV)
    with pytest.raises((PcscError, AssertionError)):
        assert client.transmit(verify(b"999999\xff\xff"))
    assert card.pin_tries_left == 4


def test_a_mute_card_holds_the_client_until_it_is_pulled(client: Client, slot: Slot) -> None:
    connected(client, slot, PivCard.create(), [MuteAt(1)])
    pull = threading.Timer(0.3, slot.remove)
    start = time.monotonic()
    pull.start()
    with pytest.raises((PcscError, AssertionError)):
        assert client.transmit(SELECT_PIV)
    assert time.monotonic() - start >= 0.3
    pull.join()


def test_a_slow_card_takes_its_time(client: Client, slot: Slot) -> None:
    connected(client, slot, PivCard.create(), [SlowBy(150, at=1)])
    start = time.monotonic()
    assert client.transmit(SELECT_PIV)[-2:] == b"\x90\x00"
    assert time.monotonic() - start >= 0.15


def test_removal_is_reported_and_stamped(client: Client, slot: Slot) -> None:
    insertion = connected(client, slot, PivCard.create(), [])
    client.disconnect()
    slot.remove()
    client.wait(slot.reader_name, present=False)
    assert insertion.removed_at_ns is not None
    assert 0 < time.monotonic_ns() - insertion.removed_at_ns < 1_000_000_000


def test_after_a_swap_another_card_answers_the_old_connection(client: Client, slot: Slot) -> None:
    first, other = PivCard.create(), PivCard.create()
    insertion = connected(client, slot, first, [SwapAt(2, other)])
    client.transmit(SELECT_PIV)
    with pytest.raises((PcscError, AssertionError)):
        assert client.transmit(STATUS)

    def seen() -> str:
        try:
            client.transmit(SELECT_PIV)
        except PcscError as error:
            return "removal" if error.code == REMOVED else ""
        return "other card"

    if until(seen) == "other card":  # or pcscd's poll was faster
        assert other.guid.bytes in get_data(client.transmit, Tag.CHUID)[0]
        assert insertion.card is other


@pytest.mark.parametrize("raw", [b"\x90", b"\x00" * 300 + b"\x90\x00"])
def test_odd_replies_reach_the_client_or_an_error_does(
    client: Client, slot: Slot, raw: bytes
) -> None:
    connected(client, slot, PivCard.create(), [ReplyAt(1, raw)])
    try:
        answer = client.transmit(SELECT_PIV)
    except PcscError:
        answer = b""
    assert answer in (raw, b"")
