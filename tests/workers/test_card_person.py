"""The card worker over real sockets: a finger compared, a PIN taken, failures that say nothing."""

import os
import socket
import time
from pathlib import Path

import pytest

from sdbox_agent import ipc
from sdbox_agent.card import pinframe
from sdbox_agent.card.pinframe import Status
from tests import kinds
from tests.card.double import PivDouble
from tests.card.test_conversation import POINT, bad_unwraps
from tests.card.test_conversation_person import PROBE
from tests.card.test_occ import GROUP
from tests.workers.test_card import WAIT_S, Bench, running

FAILURE_S = 0.2


def give(bench: Bench, *requests: bytes) -> list[tuple[Status, int | None]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as prompt:
        prompt.settimeout(WAIT_S)
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
            prompt.settimeout(WAIT_S)
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


def unwrap_ms(bench: Bench, piv: PivDouble, algorithm: str, blob: bytes) -> tuple[str, float]:
    bench.piv, bench.answer = piv, piv
    core, finger = bench.opened(), bench.finger()
    core.send(ipc.GrantUnwrap(n=7))
    start_s = time.monotonic()
    finger.send(ipc.Unwrap(n=7, algorithm=algorithm, blob=blob))
    told = finger.receive()
    took_ms = (time.monotonic() - start_s) * 1000
    core.close()
    finger.close()
    return getattr(told, "code", "opened"), took_ms


@pytest.mark.parametrize(
    ("why", "piv", "algorithm", "blob"), [bad for bad in bad_unwraps() if bad[2] != "raw"]
)
def test_a_failed_unwrap_takes_the_same_time_whatever_the_cause(
    tmp_path: Path, why: str, piv: PivDouble, algorithm: str, blob: bytes
) -> None:
    """Never before the period ends, and then at once: no cause is told by the clock."""
    with running(tmp_path, failure_s=FAILURE_S) as bench:
        code, took_ms = unwrap_ms(bench, piv, algorithm, blob)
    assert code == "reference-not-for-this-card"
    assert took_ms >= FAILURE_S * 1000
    assert took_ms % (FAILURE_S * 1000) < 150, took_ms  # the machine is shared; alone below 2


def test_a_good_unwrap_is_not_held_back(tmp_path: Path) -> None:
    with running(tmp_path, failure_s=60.0) as bench:
        code, took_ms = unwrap_ms(bench, PivDouble(), "ecdh", POINT)
    assert (code, took_ms < 2000) == ("opened", True)
