"""The prompt's end and ours: 13 bytes from the right uid, in bytearrays that are overwritten."""

import os
import socket
from collections.abc import Iterator

import pytest

from sdbox_agent import ipc
from sdbox_agent.card import pinframe
from sdbox_agent.card.pindoor import PinChannel
from sdbox_agent.card.pinframe import Status
from sdbox_agent.errors import DecodeError

REQUEST = bytes.fromhex("0000000701") + b"123456\xff\xff"


@pytest.fixture
def ends() -> Iterator[tuple[PinChannel, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    yield PinChannel(ours, os.getuid()), theirs
    ours.close()
    theirs.close()


def test_a_pin_comes_in_and_its_frame_is_overwritten(ends, monkeypatch) -> None:
    channel, theirs = ends
    theirs.send(REQUEST)
    wiped = []
    monkeypatch.setattr("sdbox_agent.card.pin.wipe", wiped.append)
    given = channel.receive()
    assert (given.n, given.last, given.field) == (7, True, REQUEST[5:])
    assert isinstance(given.field, bytearray)
    assert [bytes(buffer[:13]) for buffer in wiped] == [REQUEST]
    assert given.field not in wiped


def test_an_answer_goes_out(ends) -> None:
    channel, theirs = ends
    channel.send(Status.WRONG, 2)
    assert pinframe.read_answer(theirs.recv(9)) == (Status.WRONG, 2)


@pytest.mark.parametrize("frame", [REQUEST[:-1], REQUEST + b"\0", REQUEST * 9, b"x"])
def test_another_frame_is_refused(ends, frame: bytes) -> None:
    channel, theirs = ends
    theirs.send(frame)
    with pytest.raises(DecodeError):
        channel.receive()


def test_nothing_and_nobody_are_told_apart(ends) -> None:
    channel, theirs = ends
    with pytest.raises(BlockingIOError):
        channel.receive()
    theirs.close()
    with pytest.raises(ipc.Closed):
        channel.receive()


def test_a_foreign_uid_is_refused(ends) -> None:
    """Fault 97."""
    channel, theirs = ends
    channel._peer_uid += 1
    theirs.send(REQUEST)
    with pytest.raises(ipc.ForeignPeer):
        channel.receive()


def test_descriptors_are_not_kept(ends) -> None:
    channel, theirs = ends
    before = len(os.listdir("/proc/self/fd"))
    socket.send_fds(theirs, [REQUEST], [0, 1])
    channel.receive()
    assert len(os.listdir("/proc/self/fd")) == before
