"""The real door: Debian's pcscd, a virtual card that shares no code with us, and its faults."""

import contextlib
import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sdbox_agent.card import pcsc as door
from sdbox_agent.card.conversation import Conversation
from sdbox_agent.card.looks import Look, Looks
from sdbox_agent.errors import SdboxError
from sdbox_agent.statements import fields, jws
from tests.card import contract
from tests.card.double import certificate_of
from tests.card.test_conversation import KINDS, OAEP, PROOF, RECEIPT, point_of
from tests.waiting import PATIENCE_S, until

pytest.importorskip("hil.pcscd")

from hil.card.card import OtherCard, PivCard
from hil.card.faults import EndlessMore, Refuse, ReplaceObject, SwapAt, TearAt, TearPoint
from hil.card.slot import Slot
from hil.pcscd import SHARED_READERS, Pcscd

pytestmark = pytest.mark.rig
POLLS_S = 1.5  # pcsc-lite looks every 0.4 s


@pytest.fixture(scope="module")
def pcsc() -> ModuleType:
    """The module under test; before its first call libpcsclite must learn where its pcscd is."""
    Pcscd.shared()
    return door


class Seen:
    """A watcher, and everything it said."""

    def __init__(self, pcsc) -> None:
        self._looks: queue.SimpleQueue[Looks] = queue.SimpleQueue()
        self.watcher = pcsc.Watcher(self._looks.put)

    def until(self, condition: Callable[[Looks], bool], within_s: float = PATIENCE_S) -> Looks:
        end_s = time.monotonic() + within_s
        while True:
            looks = self._looks.get(timeout=max(0.01, end_s - time.monotonic()))
            if condition(looks):
                return looks

    def events(self, slot: Slot, *, present: bool = True) -> int:
        """PC/SC's count for that reader, once a card is in it (or out of it)."""
        looks = self.until(lambda looks: look(looks, slot).present is present)
        return look(looks, slot).events

    def gone(self, slot: Slot) -> None:
        """Until PC/SC has counted a removal: counts are odd with a card in, even without.

        When a reset on closing fails, pcscd says "absent" before it has polled, and does not
        notice a card that comes before it does. Where it has missed a removal for that reason, its
        count stays odd for good: then the reader is empty once it has been so for some polls.
        """
        with contextlib.suppress(queue.Empty):
            self.until(
                lambda looks: not look(looks, slot).present and not look(looks, slot).events % 2,
                POLLS_S,
            )
            return
        until(lambda: not look(tuple(one for one, _ in door.look_now()), slot).present)


def look(looks: Looks, slot: Slot) -> Look:
    return next((one for one in looks if one.reader == slot.reader_name), Look("", False, -1))


@pytest.fixture
def seen(pcsc) -> Iterator[Seen]:
    made = Seen(pcsc)
    yield made
    made.watcher.stop()


@pytest.fixture
def slot(seen: Seen) -> Iterator[Slot]:
    taken = Pcscd.shared().reader(0)
    seen.gone(taken)  # the last test's card
    yield taken
    taken.remove()


def new_card(**algorithms: str) -> PivCard:
    kinds = {"9A": "P-256", "9D": "P-256", "9E": "P-256"} | algorithms
    card = PivCard.create(algorithms=kinds)
    card.install({name: certificate_of(public) for name, public in card.public_keys().items()})
    return card


CARD = new_card()


def salt(size: int) -> bytes:
    return bytes(size)


# -- readers -------------------------------------------------------------------------------------


def test_cards_come_and_go(seen: Seen, slot: Slot) -> None:
    slot.insert(CARD)
    came = seen.events(slot)
    slot.remove()
    assert seen.events(slot, present=False) == came + 1


def test_the_watcher_outlives_pcscd(seen: Seen, slot: Slot) -> None:
    """Fault 2. Stopped, killed, started again: told each time, without anybody's help."""
    pcscd = Pcscd.shared()
    slot.insert(CARD)
    seen.events(slot)
    for end in (pcscd.stop, pcscd.kill):
        end()
        try:
            assert seen.until(lambda looks: looks == ()) == ()
        finally:
            pcscd.start()
        seen.events(slot)


def test_a_watcher_ends_when_told(pcsc) -> None:
    for _ in range(5):
        seen = Seen(pcsc)
        seen.until(lambda looks: len(looks) == SHARED_READERS)
        start_s = time.monotonic()
        seen.watcher.stop()
        assert not seen.watcher._thread.is_alive()
        assert time.monotonic() - start_s < PATIENCE_S


# -- one connection --------------------------------------------------------------------------------


def test_a_connection_keeps_the_contract(pcsc, seen: Seen, slot: Slot) -> None:
    insertion = slot.insert(CARD)
    connection = pcsc.Connection(slot.reader_name, seen.events(slot))
    resets = insertion.resets
    contract.closes_for_good(connection)
    assert insertion.resets > resets, "closing resets the card"


def test_a_connection_keeps_the_rest_of_the_contract(pcsc, seen: Seen, slot: Slot) -> None:
    """vpcd has no pad; a reader with one has never been here."""
    slot.insert(CARD)
    connection = pcsc.Connection(slot.reader_name, seen.events(slot))
    contract.shows_its_answer_to_reset(connection)
    contract.has_a_reader_without_a_pad(connection)
    contract.is_stopped_for_good(connection)


def test_a_torn_connection_is_dead_for_good(pcsc, seen: Seen, slot: Slot) -> None:
    insertion = slot.insert(CARD, [TearAt(2, TearPoint.REPLY)])
    connection = pcsc.Connection(slot.reader_name, seen.events(slot))
    contract.answers(connection)
    with pytest.raises(SdboxError, match="card-removed"):
        connection.exchange(contract.SELECT)
    insertion.wait_ended()  # we may know before the card's own thread has noted it
    slot.insert(CARD)  # and not on the next card either
    contract.is_dead(connection)


def test_only_one_connection_at_a_time(pcsc, seen: Seen, slot: Slot) -> None:
    slot.insert(CARD)
    events = seen.events(slot)
    first = pcsc.Connection(slot.reader_name, events)
    with pytest.raises(SdboxError, match="card-in-use"):
        pcsc.Connection(slot.reader_name, events)
    contract.closes_for_good(first)
    contract.closes_for_good(pcsc.Connection(slot.reader_name, events))


def test_a_connection_is_to_the_insertion_it_was_asked_for(pcsc, seen: Seen, slot: Slot) -> None:
    slot.insert(CARD)
    events = seen.events(slot)
    for wrong in (events - 1, events + 1):
        with pytest.raises(SdboxError, match="card-removed"):
            pcsc.Connection(slot.reader_name, wrong)
    slot.remove()
    seen.events(slot, present=False)
    with pytest.raises(SdboxError, match="card-removed"):
        pcsc.Connection(slot.reader_name, events)


def test_no_reader_is_told_as_such(pcsc) -> None:
    with pytest.raises(SdboxError, match="reader-missing"):
        pcsc.Connection("No Such Reader 00 00", 0)


def test_a_connection_does_not_outlive_pcscd(pcsc, seen: Seen, slot: Slot) -> None:
    slot.insert(CARD)
    connection = pcsc.Connection(slot.reader_name, seen.events(slot))
    contract.answers(connection)
    Pcscd.shared().restart()
    with pytest.raises(SdboxError, match="reader-missing"):
        connection.exchange(contract.SELECT)
    contract.is_dead(connection)


# -- conversations ---------------------------------------------------------------------------------


@contextlib.contextmanager
def talking(pcsc, seen: Seen, slot: Slot, card: object, *faults: object) -> Iterator[Conversation]:
    slot.insert(card, faults)
    conversation = Conversation(pcsc.Connection(slot.reader_name, seen.events(slot)), salt)
    try:
        yield conversation
    finally:
        conversation.close()


@pytest.mark.parametrize("kind", ["P-256", "P-384", "RSA-2048", "RSA-3072"])
def test_the_card_signs_what_the_centre_accepts(pcsc, seen: Seen, slot: Slot, kind: str) -> None:
    card = new_card(**{"9A": kind, "9E": "P-256"})
    with talking(pcsc, seen, slot, card) as conversation:
        face = conversation.open(KINDS)
        assert face.guid == card.guid.bytes
        for statement, key in ((PROOF, "9E"), (RECEIPT, "9A")):
            done = conversation.sign(statement, key)
            message = jws.assemble(done.payload, [(done.protected, done.signature)])
            der = face.certificates[key]
            assert jws.open_statement(fields.typ_of(statement), message, [der]) == statement


@pytest.mark.parametrize("kind", ["P-256", "P-384"])
def test_the_card_agrees_on_the_secret_that_cryptography_finds(
    pcsc, seen: Seen, slot: Slot, kind: str
) -> None:
    card = new_card(**{"9D": kind})
    public = card.public_keys()["9D"]
    assert isinstance(public, ec.EllipticCurvePublicKey)
    mine = ec.generate_private_key(public.curve)
    with talking(pcsc, seen, slot, card) as conversation:
        conversation.open(KINDS)
        assert conversation.unwrap("ecdh", point_of(mine)) == mine.exchange(ec.ECDH(), public)


@pytest.mark.parametrize("kind", ["RSA-2048", "RSA-3072"])
def test_the_card_opens_what_cryptography_wrapped(pcsc, seen: Seen, slot: Slot, kind: str) -> None:
    card = new_card(**{"9D": kind})
    with talking(pcsc, seen, slot, card) as conversation:
        conversation.open(KINDS)
        block = card.public_keys()["9D"].encrypt(b"k" * 32, OAEP)
        assert conversation.unwrap("rsa-oaep-sha256", block) == b"k" * 32


@pytest.mark.parametrize(
    ("card", "fault", "code"),
    [
        (OtherCard(), None, "not-a-piv-card"),
        (CARD, EndlessMore(4), "card-data-invalid"),  # fault 11
        (CARD, ReplaceObject(0x5FC10B, None), "card-data-invalid"),  # fault 15
        (CARD, ReplaceObject(0x5FC102, b"\x30\x00"), "card-data-invalid"),
        (CARD, Refuse(0x6982, 0x87), "card-key-refused"),
        (CARD, Refuse(0x6983, 0x87), "card-blocked"),
    ],
)
def test_a_bad_card_is_told(
    pcsc, seen: Seen, slot: Slot, card: object, fault: object, code: str
) -> None:
    with talking(pcsc, seen, slot, card, *([fault] if fault else [])) as conversation:
        assert play(conversation) == code


def play(conversation: Conversation) -> str:
    """A proof and a receipt: "done", or the code of the error."""
    try:
        conversation.open(KINDS)
        conversation.sign(PROOF, "9E")
        conversation.sign(RECEIPT, "9A")
    except SdboxError as error:
        return error.code
    finally:
        conversation.close()
    return "done"


@pytest.mark.parametrize("silently", [False, True])
def test_a_swapped_card_is_caught(pcsc, seen: Seen, slot: Slot, silently: bool) -> None:
    """Fault 9: between proof and receipt, once behind a connection that notices nothing."""
    with talking(pcsc, seen, slot, CARD) as conversation:
        conversation.open(KINDS)
        conversation.sign(PROOF, "9E")
        before = slot._thread.insertion.apdus
    slot.remove()
    seen.gone(slot)
    fault = SwapAt(before + 1, new_card(), silently=silently)  # the CHUID before the receipt
    with talking(pcsc, seen, slot, CARD, fault) as conversation:
        assert play(conversation) == "card-removed"


def test_a_card_torn_at_every_apdu_is_told_as_removed(pcsc, seen: Seen) -> None:
    """Fault 3, enumerated: each APDU, before it, without a reply, and in mid-reply."""
    slots = [Pcscd.shared().reader(index) for index in range(SHARED_READERS)]
    seen.until(lambda looks: len(looks) == SHARED_READERS and not any(o.present for o in looks))
    with talking(pcsc, seen, slots[0], CARD) as conversation:
        assert play(conversation) == "done"
    apdus = slots[0].remove().apdus
    seen.gone(slots[0])
    wanted = [(n, point) for n in range(1, apdus + 1) for point in TearPoint]
    assert len(wanted) > 30

    def tear(index: int) -> list[tuple[int, TearPoint, str]]:
        own, told = Seen(pcsc), []
        for n, point in wanted[index::SHARED_READERS]:
            with talking(pcsc, own, slots[index], CARD, TearAt(n, point)) as torn:
                told.append((n, point, play(torn)))
            slots[index].remove()
            own.gone(slots[index])
        own.watcher.stop()
        return told

    with ThreadPoolExecutor(SHARED_READERS) as pool:
        told = [one for result in pool.map(tear, range(SHARED_READERS)) for one in result]
    assert len(told) == len(wanted)
    assert [one for one in told if one[2] != "card-removed"] == []
