"""The worker's loop over real sockets: who gets in, what happens at once, how it ends.

The card is a double; tests/card/test_pcsc.py and the rig part below have the real PC/SC.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from sdbox_agent import ipc
from sdbox_agent.card.door import MAX_PEERS
from sdbox_agent.card.looks import Look, Looks
from sdbox_agent.card.scripted import ScriptedCard
from sdbox_agent.cardkind import CardKind
from sdbox_agent.errors import SdboxError
from sdbox_agent.workers.card import CardWorker, Doors
from sdbox_centre.staff import payload
from tests.card.double import PivDouble
from tests.card.test_service import IN, KINDS, OUT, POINT, statement
from tests.sdbox_centre.staff.members import unlock
from tests.waiting import PATIENCE_S, until

ACT = payload.encode(unlock())  # what a core that was taken over would ask of a staff member's card


def listener(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.bind(str(path))
    sock.listen(16)
    ipc.name_senders(sock)
    return sock


class Bench:
    """A worker in a thread, with its two sockets and a double in its reader."""

    def __init__(self, directory: Path, **options: object) -> None:
        self.directory = directory
        self.piv = PivDouble()
        self.answer: Callable[[bytes], bytes | SdboxError] = self.piv
        self.cards: list[ScriptedCard] = []
        self.status: int | None = None
        uids = {"core_uid": os.getuid(), "finger_uid": os.getuid(), "prompt_uid": os.getuid()}
        for name in uids:
            if name in options:
                uids[name] = options.pop(name)
        doors = Doors(*(listener(directory / name) for name in ("core", "finger", "pin")), **uids)
        self.doors = doors
        self.worker = CardWorker(doors, self._connect, **options)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _connect(self, reader: str, events: int) -> ScriptedCard:
        self.cards.append(ScriptedCard(self._answer, atr=self.piv.atr))
        return self.cards[-1]

    def _answer(self, frame: bytes) -> bytes | SdboxError:
        return self.answer(frame)  # as it is now: tests change it

    def _run(self) -> None:
        self.status = self.worker.run()

    def readers(self, looks: Looks) -> None:
        self.worker.readers(looks)

    def core(self) -> ipc.Channel:
        return self._client("core", ipc.FromCard)

    def finger(self) -> ipc.Channel:
        return self._client("finger", ipc.ToFingerFromCard)

    def prompt(self) -> ipc.Channel:
        return self._client("pin", ipc.Failed)

    def _client(self, name: str, accepts: object) -> ipc.Channel:
        channel = ipc.connect(self.directory / name, accepts, os.getuid())
        channel.sock.settimeout(PATIENCE_S)
        return channel

    def opened(self, *wanted: CardKind) -> ipc.Channel:
        self.readers(IN)
        core = self.core()
        core.send(ipc.Watch())
        core.send(ipc.OpenCard(n=7, insertion=1, kinds=wanted or KINDS))
        told = [core.receive() for _ in range(3)]
        assert [type(t) for t in told] == [ipc.Inserted, ipc.ReadersChanged, ipc.Opened]
        return core

    def end(self) -> int | None:
        self.worker.stop()
        self.thread.join(PATIENCE_S)
        self.shut()
        return self.status

    def shut(self) -> None:
        for sock in (self.doors.core, self.doors.finger, self.doors.prompt):
            sock.close()


@contextlib.contextmanager
def running(directory: Path, **options: object) -> Iterator[Bench]:
    bench = Bench(directory, **options)
    try:
        yield bench
    finally:
        bench.end()
        assert not bench.thread.is_alive()


def ended(channel: ipc.Channel) -> bool:
    try:
        channel.receive()
    except ipc.Closed:
        channel.close()
        return True
    return False


def test_a_session_from_card_in_to_card_out(tmp_path: Path) -> None:
    with running(tmp_path) as bench:
        core, finger = bench.opened(), bench.finger()
        core.send(statement())
        assert isinstance(core.receive(), ipc.Signed)
        core.send(ipc.GrantUnwrap(n=7))
        finger.send(ipc.Unwrap(n=7, algorithm="ecdh", blob=POINT))
        assert isinstance(finger.receive(), ipc.Unwrapped)
        core.send(statement("receipt", "9A"))
        assert isinstance(core.receive(), ipc.Signed)
        bench.readers(OUT)
        assert core.receive() == ipc.Removed(reader="reader", insertion=1)
        core.send(ipc.CloseCard(n=7))
        assert core.receive() == ipc.CardClosed(n=7)
        assert bench.cards[0].resets == 1
        core.close()
        finger.close()


def test_a_grant_is_seen_before_the_request_that_rests_on_it(tmp_path: Path) -> None:
    """Both frames wait in their sockets before the worker looks, and it is shown them backwards."""
    with running(tmp_path) as bench:
        core, finger = bench.opened(), bench.finger()
        select = bench.worker._selector.select
        bench.worker._selector.select = lambda patience_s: select(patience_s)[::-1]
        until(lambda: len(bench.worker._fingers.peers) == 1)
        stop, entered = threading.Event(), threading.Event()
        bench.worker.post(lambda: (entered.set(), stop.wait(PATIENCE_S)))
        assert entered.wait(PATIENCE_S)
        core.send(ipc.GrantUnwrap(n=7))
        finger.send(ipc.Unwrap(n=7, algorithm="ecdh", blob=POINT))
        stop.set()
        assert isinstance(finger.receive(), ipc.Unwrapped)
        core.close()
        finger.close()


@pytest.mark.parametrize("who", ["core", "finger", "prompt"])
def test_a_foreign_uid_is_shut_out(tmp_path: Path, who: str) -> None:
    """Fault 97: it is not heard, and it disturbs nobody."""
    with running(tmp_path, **{f"{who}_uid": os.getuid() + 1}) as bench:
        foreign = {"core": bench.core, "finger": bench.finger, "prompt": bench.prompt}[who]()
        with contextlib.suppress(ipc.Closed):
            foreign.send(ipc.Watch())
        assert ended(foreign)


def test_a_foreign_uid_does_not_displace_the_core(tmp_path: Path) -> None:
    with running(tmp_path) as bench:
        core = bench.opened()
        object.__setattr__(bench.doors, "core_uid", os.getuid() + 1)  # from here on I am foreign
        assert ended(bench.core())
        core.send(statement())
        assert isinstance(core.receive(), ipc.Signed)
        core.close()


def test_a_frame_of_a_foreign_uid_ends_the_connection(tmp_path: Path) -> None:
    """Somebody of the right uid connected and handed the socket on: each frame is checked."""
    with running(tmp_path) as bench:
        core = bench.opened()
        bench.worker._core.peer_uid = os.getuid() + 1
        core.send(statement())
        assert ended(core)
        until(lambda: bench.cards[0].resets == 1)


def test_a_new_core_replaces_the_old_and_closes_its_card(tmp_path: Path) -> None:
    with running(tmp_path) as bench:
        old = bench.opened()
        new = bench.core()
        assert ended(old)
        until(lambda: bench.cards[0].resets == 1)
        new.send(ipc.Watch())
        assert isinstance(new.receive(), ipc.Inserted)
        assert isinstance(new.receive(), ipc.ReadersChanged)
        new.send(ipc.OpenCard(n=1, insertion=1, kinds=KINDS))
        assert isinstance(new.receive(), ipc.Opened)
        new.close()


def test_the_end_of_the_core_closes_the_card(tmp_path: Path) -> None:
    with running(tmp_path) as bench:
        bench.opened().close()
        until(lambda: bench.cards[0].resets == 1)
        again = bench.core()
        again.send(ipc.Watch())
        assert isinstance(again.receive(), ipc.Inserted)
        again.close()


@pytest.mark.parametrize(
    "frame",
    [
        b'{"v":1,"n":7,"t":"statement","typ":"hash","fields":{},"key":"9A"}',
        b'{"v":1,"n":7,"t":"statement","typ":"staff","fields":%s,"key":"9A"}' % ACT,
        b'{"v":1,"n":7,"t":"statement","typ":"proof","fields":{},"key":"9D"}',
        b'{"v":1,"n":7,"t":"sign","hash":"AAAA"}',
        b'{"v":1,"n":7,"t":"unwrap","algorithm":"ecdh","blob":"AAAA"}',
        b"garbage",
    ],
)
def test_a_core_that_breaks_the_protocol_is_dropped(tmp_path: Path, frame: bytes) -> None:
    """A statement of an unknown type among them: nothing is signed, and the card is closed."""
    with running(tmp_path) as bench:
        core = bench.opened()
        used = len(bench.cards[0].frames)
        core.sock.send(frame)
        assert core.receive() == ipc.Failed(code="worker-protocol")
        assert ended(core)
        until(lambda: bench.cards[0].resets == 1)
        assert len(bench.cards[0].frames) == used


@pytest.mark.parametrize("frame", [b"garbage", b'{"v":1,"n":7,"t":"watch"}'])
def test_a_finger_process_that_breaks_the_protocol_is_dropped(tmp_path: Path, frame: bytes) -> None:
    with running(tmp_path) as bench:
        core, finger = bench.opened(), bench.finger()
        finger.sock.send(frame)
        assert ended(finger)
        core.send(statement())
        assert isinstance(core.receive(), ipc.Signed)
        core.close()


def patient(bench: Bench) -> ipc.Message:
    """A finger process that tries again while those in the queue before it are turned away."""

    def answer() -> ipc.Message | None:
        with contextlib.closing(bench.finger()) as finger, contextlib.suppress(ipc.Closed):
            finger.send(ipc.Unwrap(n=7, algorithm="ecdh", blob=POINT))
            return finger.receive()
        return None

    return until(answer)


def test_a_thousand_connections_change_nothing(tmp_path: Path) -> None:
    """Fault 96."""
    with running(tmp_path) as bench:
        core = bench.opened()
        crowd = []
        for _ in range(1000):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            sock.connect(str(tmp_path / "finger"))  # waits while the queue is full
            crowd.append(sock)
        core.send(statement())
        assert isinstance(core.receive(), ipc.Signed)
        until(lambda: len(bench.worker._fingers.peers) == MAX_PEERS)
        for sock in crowd:
            sock.close()
        core.send(ipc.GrantUnwrap(n=7))
        assert isinstance(patient(bench), ipc.Unwrapped)
        core.close()


def test_an_idle_worker_does_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as bench:
        until(lambda: bench.worker._patience_s() is None)
        core = bench.opened()
        until(lambda: bench.worker._patience_s() is None)
        core.close()


def test_stopping_closes_the_card_first(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    core = bench.opened()
    assert bench.end() == 0
    assert bench.cards[0].resets == 1
    assert ended(core)


def test_a_core_that_does_not_read_is_given_up(tmp_path: Path) -> None:
    """Its buffer fills; the worker never waits for it, and the card is closed."""
    with running(tmp_path) as bench:
        core = bench.opened()  # and never read from again
        for events in range(2, 3000):
            bench.readers((Look("reader", True, 1), Look("other", events % 2 == 0, events)))
        until(lambda: bench.cards[0].resets == 1)
        core.close()


def test_a_statement_is_taken_as_the_core_wrote_it() -> None:
    """msgspec.Raw carries the core's own bytes, so the one form is checked, not re-made."""
    decoder = msgspec.json.Decoder(ipc.FromCore)
    frame = b'{"t":"statement","v":1,"n":7,"typ":"proof","fields":{ "a":1},"key":"9A"}'
    assert bytes(decoder.decode(frame).fields) == b'{ "a":1}'
