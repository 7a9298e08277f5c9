"""A card that falls silent or is slow: what the worker's loop does meanwhile, and when it ends."""

import threading
import time
from pathlib import Path

import pytest

from sdbox_agent import ipc
from sdbox_agent.card.looks import Look
from sdbox_agent.card.scripted import ScriptedCard
from sdbox_agent.errors import SdboxError
from sdbox_agent.workers import card as worker_module
from sdbox_agent.workers.card import EXIT_MUTE
from tests.card.double import PivDouble
from tests.card.test_service import IN, KINDS, OUT, statement
from tests.waiting import PATIENCE_S, until
from tests.workers.test_card import Bench, ended, running


class Mute:
    """A card that stops answering at GENERAL AUTHENTICATE, until it is let."""

    def __init__(self, piv: PivDouble) -> None:
        self.piv = piv
        self.silent = threading.Event()
        self.speak = threading.Event()

    def __call__(self, frame: bytes) -> bytes | SdboxError:
        if frame[1] == 0x87:
            self.silent.set()
            self.speak.wait(2 * PATIENCE_S)  # longer than anybody waits for the worker
        return self.piv(frame)


def test_a_removal_is_told_at_once_while_the_card_is_mute(tmp_path: Path) -> None:
    with running(tmp_path) as bench:
        bench.answer = mute = Mute(bench.piv)
        core = bench.opened()
        core.send(statement())
        assert mute.silent.wait(PATIENCE_S)
        delays_ms = []
        for looks in (OUT, (Look("reader", True, 3),), (Look("reader", False, 4),)):
            start_s = time.monotonic()
            bench.readers(looks)
            told = core.receive()
            delays_ms.append((time.monotonic() - start_s) * 1000)
            assert isinstance(told, ipc.Removed | ipc.Inserted)
        assert min(delays_ms) < 1000, delays_ms  # alone it takes 0.1 ms
        mute.speak.set()
        core.send(ipc.CloseCard(n=7))
        assert core.receive() == ipc.CardClosed(n=7), "and the late signature is not told"
        core.close()


@pytest.mark.parametrize("silence", ["connecting", "reading", "signing", "resetting"])
def test_a_mute_card_ends_the_worker_in_time(tmp_path: Path, silence: str) -> None:
    """Fault 10, wherever it falls silent; the core is told first."""
    forever = threading.Event()
    bench = Bench(tmp_path, deadline_s=1.0)

    class Card(ScriptedCard):
        def close(self, parting: tuple[bytes, ...] = ()) -> None:
            if silence == "resetting":
                forever.wait(PATIENCE_S)
            super().close(parting)

    def answer(frame: bytes) -> bytes | SdboxError:
        if (silence, frame[1]) in {("reading", 0xCB), ("signing", 0x87)}:
            forever.wait(PATIENCE_S)
        return bench.piv(frame)

    def connect(reader: str, events: int) -> ScriptedCard:
        if silence == "connecting":
            forever.wait(PATIENCE_S)
        return Card(answer, atr=bench.piv.atr)

    bench.worker._connect = connect
    bench.readers(IN)
    core = bench.core()
    start_s = time.monotonic()
    core.send(ipc.Watch())
    core.send(ipc.OpenCard(n=7, insertion=1, kinds=KINDS))
    told = [core.receive() for _ in range(3)]
    if silence in {"signing", "resetting"}:
        assert isinstance(told.pop(), ipc.Opened)
        start_s = time.monotonic()
        core.send(statement() if silence == "signing" else ipc.CloseCard(n=7))
        told.append(core.receive())
    took_s = time.monotonic() - start_s
    assert told[-1] == ipc.Failed(n=7, code="card-mute")
    assert 0.99 < took_s < PATIENCE_S
    bench.thread.join(PATIENCE_S)
    assert bench.status == EXIT_MUTE
    assert ended(core)
    forever.set()
    bench.shut()


def test_a_slow_card_that_answers_each_time_is_not_mute(tmp_path: Path) -> None:
    """The deadline is an exchange's, not a session's: 8 of them here take longer."""
    with running(tmp_path, deadline_s=1.0) as bench:

        def slow(frame: bytes) -> bytes | SdboxError:
            time.sleep(0.2)
            return bench.piv(frame)

        bench.answer = slow
        core = bench.opened()
        assert len(bench.cards[0].frames) * 0.2 > 1.0
        core.close()
        until(lambda: bench.cards[0].resets == 1)


def test_stopping_does_not_wait_for_a_mute_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "CLOSING_S", 0.2)
    bench = Bench(tmp_path)
    bench.answer = mute = Mute(bench.piv)
    core = bench.opened()
    core.send(statement())
    assert mute.silent.wait(PATIENCE_S)
    assert bench.end() == 0
    mute.speak.set()
    core.close()
