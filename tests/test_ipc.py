"""Frames: what passes, what is refused, who may send."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent import ipc
from sdbox_agent.centre import wire
from sdbox_agent.errors import DecodeError
from sdbox_agent.statements import fields
from tests import kinds


def pair(peer_uid: int | None = None) -> tuple[ipc.Channel, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    uid = os.getuid() if peer_uid is None else peer_uid
    return ipc.Channel(ours, ipc.FromCore, uid), theirs


def test_a_message_arrives_as_it_was_sent() -> None:
    channel, theirs = pair()
    other = ipc.Channel(theirs, ipc.FromCard, os.getuid())
    other.send(ipc.OpenCard(n=3, insertion=4, kinds=(kinds.FREE,)))
    assert channel.receive() == ipc.OpenCard(n=3, insertion=4, kinds=(kinds.FREE,))
    channel.close()
    with pytest.raises(ipc.Closed):
        other.receive()
    other.close()


@pytest.mark.parametrize(
    "frame",
    [
        b"{}",
        b"[]",
        b'{"v":2,"n":0,"t":"watch"}',
        b'{"v":1,"n":-1,"t":"watch"}',
        b'{"v":1,"n":0,"t":"watch","x":1}',
        b'{"v":1,"n":0,"t":"verdict","match":true}',
        b'{"v":1,"n":0,"t":"open","insertion":"4"}',
        b"[" * 50_000,
        b"\xff\xfe",
        b'{"v":1,"n":0,"t":"\xb0"}',
        b'{"v":1,"n":0,"t":"open","\xb0":1}',
    ],
)
def test_anything_else_is_refused(frame: bytes) -> None:
    channel, theirs = pair()
    theirs.send(frame)
    with pytest.raises(DecodeError):
        channel.receive()
    channel.close()
    theirs.close()


@given(st.binary(min_size=1, max_size=300))
def test_arbitrary_bytes_give_a_message_or_one_error(frame: bytes) -> None:
    channel, theirs = pair()
    theirs.send(frame)
    try:
        assert isinstance(channel.receive(), ipc.Message)
    except DecodeError:
        pass
    finally:
        channel.close()
        theirs.close()


def test_a_string_that_is_not_utf8_is_refused() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel: ipc.Channel[ipc.FromCard] = ipc.Channel(ours, ipc.FromCard, os.getuid())
    theirs.send(b'{"v":1,"n":0,"t":"removed","reader":"\xf0A","insertion":1}')
    with pytest.raises(DecodeError):
        channel.receive()
    channel.close()
    theirs.close()


def test_a_frame_too_large_is_refused() -> None:
    channel, theirs = pair()
    theirs.send(b'"' + b"a" * ipc.MAX_FRAME_BYTES + b'"')
    with pytest.raises(DecodeError):
        channel.receive()
    channel.close()
    theirs.close()


def test_a_foreign_uid_is_refused() -> None:
    channel, theirs = pair(peer_uid=os.getuid() + 1)
    theirs.send(b'{"v":1,"n":0,"t":"watch"}')
    with pytest.raises(ipc.ForeignPeer):
        channel.receive()
    channel.close()
    theirs.close()


def test_more_descriptors_than_a_frame_may_carry_are_refused_and_closed() -> None:
    """The kernel drops those there is no room for; a message with half of them is no message."""
    channel, theirs = pair()
    other = ipc.Channel(theirs, ipc.FromCard, os.getuid())
    before = len(os.listdir("/proc/self/fd"))
    for many in (ipc.MAX_DESCRIPTORS + 1, 4 * ipc.MAX_DESCRIPTORS):
        other.send(ipc.Watch(), (0,) * many)
        with pytest.raises(DecodeError, match="too large"):
            channel.receive_with_descriptors()
    assert len(os.listdir("/proc/self/fd")) == before
    channel.close()
    theirs.close()


def test_descriptors_arrive_and_are_closed_when_the_frame_is_bad() -> None:
    channel, theirs = pair()
    other = ipc.Channel(theirs, ipc.FromCard, os.getuid())
    reader, writer = os.pipe()
    other.send(ipc.Watch(), (writer,))
    message, descriptors = channel.receive_with_descriptors()
    assert message == ipc.Watch()
    os.write(descriptors[0], b"x")
    assert os.read(reader, 1) == b"x"
    os.close(descriptors[0])
    before = len(os.listdir("/proc/self/fd"))
    socket.send_fds(theirs, [b"nonsense"], [writer])
    with pytest.raises(DecodeError):
        channel.receive()
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(reader)
    os.close(writer)
    channel.close()
    other.close()


def test_an_end_is_seen_behind_what_is_still_unread() -> None:
    channel, theirs = pair()
    theirs.send(b"{}")
    assert not channel.ended
    theirs.close()
    assert channel.ended
    channel.close()


def test_a_message_shows_no_field_when_printed() -> None:
    assert "secret" not in repr(ipc.Unwrapped(n=1, key=b"secret" * 5))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (ipc.Code, "no-match"),
        (wire.Code, "no-match"),
        (wire.Name, "box-1"),
        (fields.Name, "box-1"),
    ],
)
def test_a_word_ends_where_it_ends(kind: object, text: str) -> None:
    """In a pattern, `$` would let a newline follow."""
    assert msgspec.convert(text, kind) == text
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text + "\n", kind)


LISTENER = """
import os, sys
from sdbox_agent import ipc
os.environ["LISTEN_PID"] = str(os.getpid())
names = tuple(sys.argv[1:])
try:
    print([sock.getsockname() for sock in ipc.listen_descriptors(names)])
except ipc.DecodeError:
    print("refused")
"""


@pytest.mark.parametrize(
    ("given", "names", "order"),
    [
        ("b:a", ("a", "b"), "['a', 'b']"),
        ("b:a", (), "['b', 'a']"),
        (None, ("a", "b"), "['b', 'a']"),
        ("b:a", ("a", "c"), "refused"),
        ("a:a", ("a", "b"), "refused"),
        ("a", ("a",), "refused"),
    ],
)
def test_descriptors_come_in_the_order_of_their_names(
    tmp_path: Path, given: str | None, names: tuple[str, ...], order: str
) -> None:
    """The manager passes b, then a."""
    sockets = []
    for name in ("b", "a"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind(str(tmp_path / name))
        sockets.append(sock)
    environment = {**os.environ, "PYTHONPATH": ".", "LISTEN_FDS": "2"}
    environment |= {"LISTEN_FDNAMES": given} if given else {}
    first, second = (os.dup(sock.fileno()) for sock in sockets)
    script = (
        f"import os\nos.dup2({first}, 3 + 60); os.dup2({second}, 4 + 60)\n"
        "os.dup2(63, 3); os.dup2(64, 4)\n" + LISTENER
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *names],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
        pass_fds=(first, second),
        cwd=Path(__file__).parents[1],
    )
    assert done.stdout.strip().replace(f"{tmp_path}/", "") == order
    for descriptor in (first, second, *(sock.detach() for sock in sockets)):
        os.close(descriptor)
