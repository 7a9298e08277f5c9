"""The card worker over real sockets: a finger compared, a PIN taken, failures that say nothing."""

import os
import socket
from pathlib import Path

from sdbox_agent import ipc
from sdbox_agent.card import pinframe
from sdbox_agent.card.pinframe import Status
from tests import kinds
from tests.card.test_conversation_person import PROBE
from tests.card.test_occ import GROUP
from tests.waiting import PATIENCE_S
from tests.workers.test_card import Bench, running

FAILURE_S = 0.2


def give(bench: Bench, *requests: bytes) -> list[tuple[Status, int | None]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as prompt:
        prompt.settimeout(PATIENCE_S)
        prompt.connect(str(bench.directory / "pin"))
        told = []
        for request in requests:
            prompt.send(request)
            told.append(pinframe.read_answer(prompt.recv(9)))
        return told


def request(digits: bytes, *, n: int = 7, last: bool = False) -> bytes:
    made = bytearray(5) + digits.ljust(8, b"\xff")
    pinframe.write_head(made, n, last=last)
    return bytes(made)


def test_a_pin_goes_from_the_prompt_to_the_card(tmp_path: Path) -> None:
    with running(tmp_path) as bench:
        core = bench.opened()
        assert give(bench, request(b"123456")) == [(Status.NOT_NOW, None)]
        core.send(ipc.GrantPin(n=7))
        wait = request(b"123456", n=8)
        told = give(bench, wait, b"x", request(b"12345"), request(b"000000"), request(b"123456"))
        assert told == [
            (Status.NOT_NOW, None),
            (Status.MALFORMED, None),
            (Status.MALFORMED, None),
            (Status.WRONG, 2),
            (Status.NOT_NOW, None),
        ]
        assert core.receive() == ipc.PinRefused(n=7, left=2)
        core.send(ipc.GrantPin(n=7))
        assert give(bench, request(b"123456")) == [(Status.ACCEPTED, None)]
        assert core.receive() == ipc.PinEntered(n=7)
        core.close()


def test_a_prompt_that_has_gone_is_no_matter(tmp_path: Path) -> None:
    with running(tmp_path) as bench:
        core = bench.opened()
        core.send(ipc.GrantPin(n=7))
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as prompt:
            prompt.connect(str(bench.directory / "pin"))
            prompt.send(request(b"000000"))
        assert core.receive() == ipc.PinRefused(n=7, left=2)
        core.close()


def test_a_pin_frame_of_a_foreign_uid_is_not_heard(tmp_path: Path) -> None:
    with running(tmp_path) as bench:
        core = bench.opened()
        core.send(ipc.GrantPin(n=7))
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as prompt:
            prompt.settimeout(PATIENCE_S)
            prompt.connect(str(bench.directory / "pin"))
            prompt.send(b"x")
            assert pinframe.read_answer(prompt.recv(9)) == (Status.MALFORMED, None)
            (peer,) = bench.worker._prompts.peers
            peer._peer_uid = os.getuid() + 1
            prompt.send(request(b"123456"))
            assert prompt.recv(9) == b""
        assert bench.piv.left[0x80] == 3
        core.close()


def test_a_finger_is_compared_on_the_card(tmp_path: Path) -> None:
    with running(tmp_path) as bench:
        bench.piv.hold(GROUP.hex(), PROBE)
        core, finger = bench.opened(kinds.MATCH), bench.finger()
        core.send(ipc.GrantCompare(n=7, comparisons=2))
        for probe, told in (
            (PROBE[::-1], ipc.Compared(n=7, match=False, left=4)),
            (PROBE, ipc.Compared(n=7, match=True)),
            (PROBE, ipc.Failed(n=7, code="not-allowed")),
        ):
            finger.send(ipc.OnCardCompare(n=7, key="96", minutiae=probe))
            assert finger.receive() == told
        core.close()
        finger.close()
