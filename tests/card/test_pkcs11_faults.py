"""What goes wrong with a card behind a library, and with the library itself."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sdbox_agent.card.pkcs11 import LibraryToken, Spare
from sdbox_agent.errors import Fault, Refused
from tests.card.double import key
from tests.card.test_conversation import OAEP, RECEIPT, point_of
from tests.waiting import PATIENCE_S

pytest.importorskip("hil.pcscd")

from hil.card.faults import Refuse, TearAt, TearPoint
from tests.card.pkcs11_bench import (
    Desk,
    new_card,
    other,
    play,
    scripted,
)

pytestmark = pytest.mark.rig


def other_point() -> bytes:
    return point_of(ec.generate_private_key(ec.SECP384R1()))


RSA_9D = key("RSA-2048", "9D")


@pytest.mark.parametrize(
    ("kind", "algorithm", "blob"),
    [
        ("P-256", "ecdh", b"\x04" + bytes(64)),  # not on the curve (fault 40)
        ("P-256", "ecdh", other_point()),
        ("P-256", "rsa-oaep-sha256", bytes(256)),
        ("RSA-2048", "rsa-oaep-sha256", bytes(255) + b"\x02"),
        ("RSA-2048", "rsa-oaep-sha256", b"\xff" * 256),
        ("RSA-2048", "rsa-oaep-sha256", RSA_9D.public_key().encrypt(b"k", OAEP)[:-1]),
        ("RSA-2048", "ecdh", other_point()),
    ],
)
def test_every_failure_of_a_message_is_one(
    desk: Desk, kind: str, algorithm: str, blob: bytes
) -> None:
    desk.put(new_card(kind))
    token = desk.logged_in()
    with pytest.raises(Refused) as caught:
        token.unwrap(algorithm, blob)
    assert caught.value.code == "reference-not-for-this-card"
    assert token.child_pid is None
    assert desk.pin_status() == 0x63C5


@pytest.mark.parametrize(
    ("fault", "code"),
    [(Refuse(0x6982, 0x87), "card-key-refused|card-failed"), (Refuse(0x6F00, 0x87), "card-failed")],
)
def test_what_the_card_refuses_ends_the_child(desk: Desk, fault: object, code: str) -> None:
    desk.put(new_card(), fault)
    token = desk.logged_in()
    with pytest.raises(Fault, match=code):
        token.sign(RECEIPT, "9A")
    assert token.child_pid is None
    with pytest.raises(Refused, match="card-removed"):
        token.sign(RECEIPT, "9A")


def test_a_card_pulled_in_a_session_is_told_as_such(desk: Desk) -> None:
    """Fault 3, through a library: at six places spread over a session, in three ways in turn.

    While the library is still finding out which card it is, it may also say "none of mine".
    """
    desk.put(new_card())
    assert play(desk.token()) == "done"
    whole = len(desk.insertion.log) - 1  # without the one that resets it
    places = [whole * i // 6 for i in range(1, 6)] + [whole]
    for n, point in zip(places, [*TearPoint] * 2, strict=True):
        desk.slot.remove()
        desk.seen.gone(desk.slot)
        desk.put(new_card(), TearAt(n, point))
        allowed = {"card-removed"} if n > whole // 2 else {"card-removed", "card-kind-unknown"}
        assert play(desk.token()) in allowed, (n, point)


def hangs(token: LibraryToken) -> None:
    assert token.child_pid
    os.kill(token.child_pid, signal.SIGSTOP)


def test_a_library_that_dies_by_itself_is_told_at_once_and_one_that_is_closed_is_not(
    desk: Desk,
) -> None:
    told = threading.Event()
    desk.put(new_card())
    token = desk.logged_in(ended=told.set)
    token.close()
    assert not told.wait(0.3)
    token = desk.logged_in(ended=told.set)
    assert token.child_pid
    os.kill(token.child_pid, signal.SIGKILL)
    assert told.wait(PATIENCE_S)
    token.close()
    assert desk.pin_status() == 0x63C5


def test_a_library_that_hangs_costs_its_deadline_and_the_next_session_nothing(desk: Desk) -> None:
    desk.put(new_card())
    token = desk.logged_in()
    token._deadline_s = 1.0  # only now: to load the library takes longer on a busy machine
    child = token.child_pid
    hangs(token)
    start_s = time.monotonic()
    with pytest.raises(Fault, match="card-mute"):
        token.sign(RECEIPT, "9A")
    assert 0.9 < time.monotonic() - start_s < PATIENCE_S
    assert not Path(f"/proc/{child}").exists()
    token.close()
    assert desk.pin_status() == 0x63C5
    assert play(desk.token()) == "done"


def test_stop_does_not_wait_for_the_library(desk: Desk) -> None:
    desk.put(new_card())
    token = desk.logged_in()
    hangs(token)
    timer = threading.Timer(0.2, token.stop)
    timer.start()
    with pytest.raises(Refused, match="card-removed"):  # at its deadline it would be mute
        token.sign(RECEIPT, "9A")
    timer.join()


BROKEN = {
    "sleeps": "__attribute__((constructor)) static void load(void) { for (;;) sleep(60); }",
    "dies": "__attribute__((constructor)) static void load(void) { _exit(1); }",
    "crashes": "unsigned long C_GetFunctionList(void **list) { *(volatile int *)0 = 1; return 0; }",
    "refuses": "unsigned long C_GetFunctionList(void **list) { return 5; }",
    "is no library of this kind": "int nothing;",
}


@pytest.mark.parametrize("how", [*BROKEN, "is not there"])
def test_a_broken_library_is_an_error_and_nothing_worse(how: str, tmp_path: Path) -> None:
    module = tmp_path / "module.so"
    if how in BROKEN:
        source = tmp_path / "module.c"
        source.write_text("#include <unistd.h>\n" + BROKEN[how])
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", module, source], check=True, timeout=30)
    token = LibraryToken(scripted, deadline_s=1.0 if how == "sleeps" else 5.0)
    code = "card-mute" if how == "sleeps" else "card-failed"
    with pytest.raises(Fault, match=code):
        token.open((other(module=str(module)),))
    assert token.child_pid is None
    token.close()


def test_a_spare_child_is_taken_once_and_a_dead_one_never() -> None:
    spare = Spare()
    try:
        spare.refill()
        first = spare.take()
        second = spare.take()
        assert first.pid != second.pid
        first.close()
        second.close()
        spare.refill()
        waiting = spare.take()
        spare._child = waiting
        os.kill(waiting.pid, signal.SIGKILL)
        os.waitid(os.P_PID, waiting.pid, os.WEXITED | os.WNOWAIT)
        other_one = spare.take()
        assert other_one.is_alive()
        other_one.close()
    finally:
        spare.close()
