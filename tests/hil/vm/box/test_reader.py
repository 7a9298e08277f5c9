"""The card's side of QEMU's reader, against the other end of the wire played by the test."""

import contextlib
import socket
import struct
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hil.card.card import PivCard
from hil.vm.box import reader
from hil.vm.box.reader import Broken, Reader
from tests.waiting import until

ROOT = Path(__file__).parents[4]
SELECT = bytes.fromhex("00A404000BA00000030800001000010000")


class Qemu:
    """What hw/usb/ccid-card-passthru.c does at its end."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self.refuses = 0

    def accept(self) -> None:
        self.wire, _ = self._listener.accept()
        self.wire.settimeout(20)

    def send(self, kind: int, data: bytes = b"") -> None:
        self.wire.sendall(reader.message(kind, data))

    def receive(self) -> tuple[int, bytes]:
        kind, number, length = struct.unpack(">III", self.exactly(12))
        assert number == reader.READER
        return kind, self.exactly(length)

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.wire.recv(count - len(data))
            assert part
            data += part
        return data

    def answering(self, do: Callable[[], None], kind: int, code: int = 0) -> None:
        """While `do` asks for something, say yes (0) or no."""

        def answer() -> None:
            assert self.receive() == (kind, b"")
            self.send(reader.ERROR, struct.pack(">I", code))

        thread = threading.Thread(target=answer)
        thread.start()
        do()
        thread.join()

    def close(self) -> None:
        self.wire.close()
        self._listener.close()


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[Reader, Qemu]]:
    qemu = Qemu(tmp_path / "ccid")
    ours = Reader(tmp_path / "ccid")
    qemu.accept()
    kind, greeting = qemu.receive()
    assert (kind, greeting[:4]) == (reader.INIT, b"VSCD")
    qemu.send(reader.INIT, greeting)
    yield ours, qemu
    qemu.close()
    with contextlib.suppress(Broken):
        ours.close()


def test_a_card_goes_in_answers_and_comes_out(ends: tuple[Reader, Qemu]) -> None:
    ours, qemu = ends
    qemu.answering(ours.plug, reader.READER_ADD)
    card = PivCard.create()
    ours.insert(card)
    assert qemu.receive() == (reader.ATR, reader.t0_alone(card.atr))
    qemu.send(reader.APDU, SELECT)
    kind, answer = qemu.receive()
    assert (kind, answer[-2:]) == (reader.APDU, b"\x90\x00")
    ours.remove()
    assert qemu.receive() == (reader.CARD_REMOVE, b"")
    qemu.send(reader.APDU, SELECT)  # nobody is there to answer
    qemu.answering(ours.pull, reader.READER_REMOVE)
    assert ours.apdus == 1
    ours.close()


@pytest.mark.parametrize(
    ("atr", "over_t0"),
    [
        ("3B021450", "3B021450"),  # no interface bytes: T=0 as it is
        ("3B8B8131FE4580F9A00000030800001000", "3B0B80F9A00000030800001000"),
        ("3BF711000140965430040E6CB6D6", "3B075430040E6CB6D6"),  # TA1 to TD1, TC2
        ("3F7F9600000031B865840200000000000000000000", "3F0F0031B8658402000000000000000000"),
    ],
)
def test_an_answer_to_reset_over_t0_has_the_same_historical_bytes(atr: str, over_t0: str) -> None:
    """ISO/IEC 7816-3:2006, 8.2; the historical bytes are those that T0 counts."""
    assert reader.t0_alone(bytes.fromhex(atr)).hex().upper() == over_t0


def test_the_rigs_kind_of_card_is_known_by_what_its_reader_shows() -> None:
    released = ROOT / "firmware_profiles/cards/piv-pin.toml"
    ours = ROOT / "hil/vm/box/rig/etc/sdbox/profiles/cards/piv-pin-t0.toml"
    kinds = [tomllib.loads(path.read_text()) for path in (released, ours)]
    atrs = [bytes.fromhex(kind.pop("atr")) for kind in kinds]
    assert reader.t0_alone(atrs[0]) == atrs[1]
    for kind in kinds:
        del kind["name"], kind["model"]
    assert kinds[1].pop("pad") is False, "QEMU's reader only says that it has one"
    assert kinds[0] == kinds[1], "the same card, but for that"


def test_a_reader_that_qemu_refuses_is_told(
    ends: tuple[Reader, Qemu], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "ANSWER_S", 0.5)
    ours, qemu = ends
    with pytest.raises(Broken, match="plugged"):
        qemu.answering(ours.plug, reader.READER_ADD, code=1)
    with pytest.raises(Broken, match="failed"):
        ours.close()


@pytest.mark.parametrize(
    "raw",
    [
        reader.message(99),
        struct.pack(">III", reader.APDU, 0, reader.MAX_BYTES + 1),
    ],
    ids=["unknown", "too long"],
)
def test_what_is_no_message_of_qemus_is_told(ends: tuple[Reader, Qemu], raw: bytes) -> None:
    ours, qemu = ends
    qemu.wire.sendall(raw)
    until(lambda: ours.failure is not None)
    with pytest.raises(Broken):
        ours.close()
