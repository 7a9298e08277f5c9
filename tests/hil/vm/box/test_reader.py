"""The card's side of QEMU's reader, against the other end of the wire played by the test."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hil.card.card import PivCard
from hil.vm.box import reader
from hil.vm.box.reader import Broken, Reader
from tests.waiting import until

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
    assert qemu.receive() == (reader.ATR, card.atr)
    qemu.send(reader.APDU, SELECT)
    kind, answer = qemu.receive()
    assert (kind, answer[-2:]) == (reader.APDU, b"\x90\x00")
    ours.remove()
    assert qemu.receive() == (reader.CARD_REMOVE, b"")
    qemu.send(reader.APDU, SELECT)  # nobody is there to answer
    qemu.answering(ours.pull, reader.READER_REMOVE)
    assert ours.apdus == 1
    ours.close()


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
