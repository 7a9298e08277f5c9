"""What the library's process answers, and that no digit stays in its buffer."""

import os
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from sdbox_agent.card import pkcs11_child as child
from sdbox_agent.card import pkcs11_frames as frames
from sdbox_agent.errors import Fault, Refused
from tests.waiting import PATIENCE_S

SHOWN = frames.Shown(b"9A", b"9D", b"9E", left=2, pad=False)
OPEN = frames.encode(frames.Open("/usr/lib/x.so", ""))
PIN = bytes([frames.PIN]) + b"123456\xff\xff"


class Recorded:
    """A library that notes what it is given; `views` are kept to look at later."""

    made: "Recorded"

    def __init__(self, module: str) -> None:
        if module == "/none.so":
            raise Fault("card-failed")
        Recorded.made = self
        self.asked: list[object] = [module]
        self.views: list[memoryview] = []
        self.left: int | None = None

    def open(self, serial: str) -> frames.Shown:
        if serial == "other":
            raise Refused("card-kind-unknown")
        return SHOWN

    def login(self, digits: memoryview | None) -> int | None:
        self.asked.append(None if digits is None else bytes(digits))
        if digits is not None:
            self.views.append(digits)
        return self.left

    def sign(self, key: str, scheme: str, digest: bytes) -> bytes:
        return f"{key} {scheme}".encode() + digest

    def unwrap(self, algorithm: str, blob: bytes) -> bytes:
        return algorithm.encode() + blob


Ask = Callable[[bytes], frames.Reply | None]


@pytest.fixture
def ask(monkeypatch) -> Iterator[Ask]:
    """One frame, its reply; None once it has ended."""
    monkeypatch.setattr("sdbox_agent.card.pkcs11_library.Library", Recorded)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(PATIENCE_S)

    def run() -> None:
        with theirs:
            child.serve(theirs)

    thread = threading.Thread(target=run)
    thread.start()

    def exchange(frame: bytes) -> frames.Reply | None:
        try:
            ours.send(frame)
            reply = ours.recv(frames.MAX_FRAME_BYTES)
        except (BrokenPipeError, ConnectionResetError):
            return None
        return frames.decode_reply(reply) if reply else None

    yield exchange
    ours.close()
    thread.join(PATIENCE_S)
    assert not thread.is_alive(), "it ends with the worker"


def test_a_session(ask: Ask) -> None:
    assert ask(OPEN) == SHOWN
    assert ask(PIN) == frames.Done()
    assert ask(frames.encode(frames.Login())) == frames.Done()
    assert Recorded.made.asked == ["/usr/lib/x.so", b"123456", None]
    digest = bytes(32)
    assert ask(frames.encode(frames.Sign("9A", "pss", digest))) == frames.Done(b"9A pss" + digest)
    assert ask(frames.encode(frames.Unwrap("ecdh", b"point"))) == frames.Done(b"ecdhpoint")


@pytest.mark.parametrize("digits", [b"12345678", b"123456\xff\xff", b"\xff" * 8, b""])
def test_the_padding_is_not_part_of_the_pin(ask: Ask, digits: bytes) -> None:
    assert ask(OPEN) == SHOWN
    assert ask(bytes([frames.PIN]) + digits) == frames.Done()
    assert Recorded.made.asked[-1] == digits.rstrip(b"\xff")


def test_no_digit_stays_in_the_buffer(ask: Ask) -> None:
    """Looked at through what the library was given, once the next answer is out."""
    assert ask(OPEN) == SHOWN
    Recorded.made.left = 1
    assert ask(PIN) == frames.Wrong(1)
    assert ask(frames.encode(frames.Sign("9E", "ecdsa", bytes(32)))) is not None
    whole = Recorded.made.views[0].obj
    assert isinstance(whole, bytearray)
    assert b"1234" not in whole


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (frames.encode(frames.Open("/none.so", "")), "card-failed"),
        (frames.encode(frames.Open("/x.so", "other")), "card-kind-unknown"),
        (frames.encode(frames.Login()), "card-failed"),
        (PIN, "card-failed"),
        (b"{}", "card-failed"),
    ],
)
def test_an_error_is_its_last_word(ask: Ask, frame: bytes, code: str) -> None:
    assert ask(frame) == frames.Failed(code)
    assert ask(OPEN) is None


def test_it_opens_once(ask: Ask) -> None:
    assert ask(OPEN) == SHOWN
    assert ask(OPEN) == frames.Failed("card-failed")
    assert ask(OPEN) is None


@pytest.mark.parametrize("set_before", [None, "/etc/opensc/box.conf"])
def test_opensc_is_told_to_hold_the_card_alone(monkeypatch, set_before: str | None) -> None:
    """Unless whoever runs the box has settings of his own."""
    monkeypatch.setenv("OPENSC_CONF", set_before or "")
    if set_before is None:
        monkeypatch.delenv("OPENSC_CONF")
    child._configure_opensc()
    path = os.environ["OPENSC_CONF"]
    if set_before:
        assert path == set_before
        return
    with open(path, encoding="ascii") as file:
        assert "connect_exclusive = true" in file.read()
    os.close(int(path.rsplit("/", 1)[1]))
