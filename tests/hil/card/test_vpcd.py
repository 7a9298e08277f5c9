"""The card's thread and the slot, against a reader that speaks vpcd's side over loopback."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from hil.card.apdu import Command, Reply
from hil.card.card import OtherCard, PivCard
from hil.card.chip import Chip
from hil.card.faults import MuteAt, ReplyAt, ResetAt, SlowBy, SwapAt, TearAt, TearPoint
from hil.card.slot import CardError, Slot
from hil.card.vpcd import ReaderGoneError
from tests.hil.card.helpers import SELECT_PIV, verify
from tests.waiting import PATIENCE_S

STATUS = bytes.fromhex("00200080")
OFF, ON, RESET, ATR = b"\x00", b"\x01", b"\x02", b"\x04"


class Reader:
    """vpcd's side: one slot, whose card is whatever connected last."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.slot = Slot("test reader", self._listener.getsockname()[1], None)
        self._card: socket.socket | None = None

    def take(self) -> None:
        """Notice the card that was inserted."""
        self._listener.settimeout(PATIENCE_S)
        if self._card is not None:
            self._card.close()
        self._card, _ = self._listener.accept()
        self._card.settimeout(PATIENCE_S)

    def send(self, frame: bytes) -> None:
        assert self._card is not None
        # Length and body apart, as vpcd does.
        self._card.sendall(len(frame).to_bytes(2, "big"))
        self._card.sendall(frame)

    def receive(self) -> bytes:
        """A whole frame; what there was of it, if the card went away."""
        length = self._upto(2)
        return self._upto(int.from_bytes(length, "big")) if len(length) == 2 else length

    def ask(self, frame: bytes) -> bytes:
        self.send(frame)
        return self.receive()

    def close(self) -> None:
        if self._card is not None:
            self._card.close()
        self._listener.close()

    def _upto(self, count: int) -> bytes:
        assert self._card is not None
        data = b""
        while len(data) < count and (part := self._card.recv(count - len(data))):
            data += part
        return data


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader()
    try:
        yield made
    finally:
        try:
            made.slot.remove()
        finally:
            made.close()


class Buggy:
    """A card whose code fails at VERIFY."""

    atr = PivCard.create().atr
    chainable: frozenset[int] = frozenset()

    def power_on(self) -> Chip:
        return Chip(self)

    def handle(self, command: Command) -> Reply:
        if command.ins == 0x20:
            raise ZeroDivisionError
        return Reply()


def test_controls_and_commands_are_answered_as_vpcd_expects(reader: Reader) -> None:
    card = PivCard.create(pin_policy="once")
    insertion = reader.slot.insert(card)
    reader.take()
    assert reader.ask(ATR) == card.atr
    reader.send(ON)
    insertion.wait_powered()
    assert reader.ask(SELECT_PIV)[-2:] == b"\x90\x00"
    assert reader.ask(verify()) == b"\x90\x00"
    assert reader.ask(STATUS) == b"\x90\x00"
    for control in (RESET, OFF, ON):
        reader.send(control)
        assert reader.ask(STATUS) == b"\x6d\x00"  # nothing selected, nobody verified
        assert reader.ask(SELECT_PIV)[-2:] == b"\x90\x00"
        assert reader.ask(STATUS) == b"\x63\xc5"
        assert reader.ask(verify()) == b"\x90\x00"
    assert insertion.resets == 1


def test_the_log_has_headers_lengths_and_status_and_no_data(reader: Reader) -> None:
    insertion = reader.slot.insert(PivCard.create())
    reader.take()
    reader.ask(SELECT_PIV)
    reader.ask(verify())
    assert insertion.apdus == 2
    entry = insertion.log[1]
    assert (entry.n, entry.cla, entry.ins, entry.p1, entry.p2) == (2, 0x00, 0x20, 0x00, 0x80)
    assert (entry.command_bytes, entry.reply_bytes, entry.sw) == (13, 2, 0x9000)
    assert entry.at_ns > insertion.log[0].at_ns
    assert "123456" not in repr(insertion.log)
    assert "31, 32" not in repr(insertion.log)


def test_removal_is_the_end_of_the_stream_and_its_time_is_known(reader: Reader) -> None:
    insertion = reader.slot.insert(PivCard.create())
    reader.take()
    before = time.monotonic_ns()
    reader.slot.remove()
    assert reader.receive() == b""
    assert insertion.removed_at_ns is not None
    assert before < insertion.removed_at_ns < time.monotonic_ns()
    insertion.wait_ended(0.1)


def test_the_pin_counter_survives_removal(reader: Reader) -> None:
    card = PivCard.create()
    reader.slot.insert(card)
    reader.take()
    reader.ask(SELECT_PIV)
    assert reader.ask(verify(b"999999\xff\xff")) == b"\x63\xc4"
    reader.slot.remove()
    reader.slot.insert(card, at_once=True)
    reader.take()
    reader.ask(SELECT_PIV)
    assert reader.ask(STATUS) == b"\x63\xc4"


def test_a_card_goes_in_only_when_the_reader_must_have_seen_the_last_one_go(reader: Reader) -> None:
    reader.slot.insert(PivCard.create())
    gone = reader.slot.remove()
    again = reader.slot.insert(PivCard.create())
    assert gone is not None
    assert again.inserted_at_ns - gone.removed_at_ns >= 500_000_000


def test_a_slot_holds_one_card(reader: Reader) -> None:
    reader.slot.insert(PivCard.create())
    with pytest.raises(RuntimeError, match="there is a card"):
        reader.slot.insert(PivCard.create())


def test_an_empty_slot_has_nothing_to_remove(reader: Reader) -> None:
    assert reader.slot.remove() is None


def test_no_reader_is_an_error_of_its_own(reader: Reader) -> None:
    reader.close()
    with pytest.raises(ReaderGoneError):
        reader.slot.insert(PivCard.create())


@pytest.mark.parametrize(
    ("point", "received"),
    [(TearPoint.COMMAND, b""), (TearPoint.REPLY, b""), (TearPoint.MID_REPLY, b"\x90")],
)
def test_a_torn_card_is_gone_by_itself(reader: Reader, point: TearPoint, received: bytes) -> None:
    insertion = reader.slot.insert(PivCard.create(), faults=[TearAt(2, point)])
    reader.take()
    reader.ask(SELECT_PIV)
    assert reader.ask(verify()) == received
    insertion.wait_ended()
    assert insertion.removed_at_ns is not None
    assert [entry.sw for entry in insertion.log] == [0x9000, None]
    reader.slot.insert(PivCard.create(), at_once=True)  # the slot is free again


def test_a_mute_card_says_nothing_until_it_is_pulled(reader: Reader) -> None:
    reader.slot.insert(PivCard.create(), faults=[MuteAt(1)])
    reader.take()
    reader.send(SELECT_PIV)
    pull = threading.Timer(0.1, reader.slot.remove)
    start = time.monotonic()
    pull.start()
    assert reader.receive() == b""
    assert time.monotonic() - start >= 0.1
    pull.join()


def test_a_slow_card_is_late_and_can_be_pulled_meanwhile(reader: Reader) -> None:
    reader.slot.insert(PivCard.create(), faults=[SlowBy(80, at=1), SlowBy(60_000, at=2)])
    reader.take()
    start = time.monotonic()
    assert reader.ask(SELECT_PIV)[-2:] == b"\x90\x00"
    assert time.monotonic() - start >= 0.08
    reader.send(STATUS)
    start = time.monotonic()
    reader.slot.remove()
    assert time.monotonic() - start < PATIENCE_S


def test_a_swapped_card_is_in_the_reader_at_once(reader: Reader) -> None:
    first, other = PivCard.create(), OtherCard()
    insertion = reader.slot.insert(first, faults=[SwapAt(2, other)])
    reader.take()
    reader.ask(SELECT_PIV)
    assert reader.ask(STATUS) == b""
    reader.take()
    assert reader.ask(ATR) == other.atr
    assert reader.ask(SELECT_PIV) == b"\x6a\x82"
    assert insertion.card is other
    assert (insertion.apdus, insertion.removed_at_ns) == (3, None)


def test_a_silently_swapped_card_answers_on_the_same_connection(reader: Reader) -> None:
    other = PivCard.create()
    insertion = reader.slot.insert(PivCard.create(), faults=[SwapAt(2, other, silently=True)])
    reader.take()
    reader.ask(SELECT_PIV)
    assert reader.ask(STATUS) == b"\x6d\x00"
    assert insertion.card is other


def test_a_frame_can_be_shorter_than_a_status_word(reader: Reader) -> None:
    reader.slot.insert(PivCard.create(), faults=[ReplyAt(1, b"\x90")])
    reader.take()
    assert reader.ask(SELECT_PIV) == b"\x90"


def test_a_failing_card_says_so_and_the_rig_hears_of_it(reader: Reader) -> None:
    reader.slot.insert(Buggy())
    reader.take()
    assert reader.ask(verify()) == b"\x6f\x00"
    assert reader.ask(SELECT_PIV) == b"\x90\x00"  # it lives on
    with pytest.raises(CardError, match="ZeroDivisionError"):
        reader.slot.remove()


def test_a_reader_that_goes_leaves_the_card_in_its_slot(reader: Reader) -> None:
    insertion = reader.slot.insert(PivCard.create())
    reader.take()
    assert reader._card is not None
    reader._card.close()
    with pytest.raises(RuntimeError, match="there is a card"):
        reader.slot.insert(PivCard.create())
    with pytest.raises(TimeoutError):
        insertion.wait_ended(0.05)
    assert insertion.removed_at_ns is None
    reader.slot.replug()
    reader.take()
    assert reader.ask(SELECT_PIV)[-2:] == b"\x90\x00"
    reader.slot.remove()
    assert insertion.removed_at_ns is not None


def test_a_reset_within_forgets_what_was_proved_and_answers_in_its_place(reader: Reader) -> None:
    insertion = reader.slot.insert(PivCard.create(pin_policy="once"), [ResetAt(3)])
    reader.take()
    reader.ask(SELECT_PIV)
    assert reader.ask(verify()) == b"\x90\x00"
    assert reader.ask(STATUS) == b"\x6d\x00"
    assert (insertion.apdus, insertion.resets) == (3, 0)  # the reader asked for none
    reader.ask(SELECT_PIV)
    assert reader.ask(STATUS) == b"\x63\xc5"
