"""[door] Takes a PIN from the person and hands it to the card worker (`sdbox-agent pin`).

A process of its own, under a user of its own: the core never sees a digit. They are in one
bytearray, read byte by byte from the terminal or one line of standard input, and overwritten when
they have been sent; never in an argument, the environment, a log or an exception. Knows no card:
what became of them is the card worker's word.
"""

from __future__ import annotations

import contextlib
import os
import socket
import termios
from typing import TYPE_CHECKING, Final

from sdbox_agent import ipc
from sdbox_agent.card import pin, pinframe
from sdbox_agent.errors import Fault
from sdbox_agent.hardening import close_memory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANSWER_S: Final = 15.0  # the card worker gives up on a card after 10
_MAX_LINE_BYTES: Final = 64
_ENDS: Final = frozenset(b"\r\n")
_YES: Final = (b"yes", b"oui")


def become(uid: int, path: Path) -> None:
    """As root: be the prompt's user from here on, in the group the socket at `path` lets in.

    Nobody else may look into this process. Raises Fault("agent-unreachable"), OSError.
    """
    if os.geteuid() == 0:
        try:
            group = path.stat().st_gid
        except OSError:
            raise Fault("agent-unreachable") from None
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(uid, uid, uid)
    close_memory()


def read_digits(descriptor: int) -> bytearray:
    """A request without its head: one line of digits, which the caller overwrites.

    A terminal shows none of them. Raises DecodeError for anything but 6 to 8 digits.
    """
    request = bytearray(pinframe.REQUEST_BYTES)
    field = memoryview(request)[pinframe.FIELD]
    line = bytearray(_MAX_LINE_BYTES)
    try:
        with _unseen(descriptor):
            size = _read_line(descriptor, line)
        # Too long a line makes no field, so that `check` refuses it too.
        field[:] = bytes([pin.PADDING]) * pin.FIELD_BYTES
        if size <= pin.FIELD_BYTES:
            field[:size] = memoryview(line)[:size]
        pin.check(field)
    except BaseException:
        pin.wipe(request)
        raise
    finally:
        pin.wipe(line)
    return request


def says_yes(descriptor: int) -> bool:
    """Whether the next line is a yes, in full."""
    line = bytearray(_MAX_LINE_BYTES)
    return bytes(line[: _read_line(descriptor, line)]).strip().lower() in _YES


def give(path: Path, card_uid: int, request: bytearray) -> tuple[pinframe.Status, int | None]:
    """Hand it over, overwrite it, and tell what became of it, and the tries left.

    Raises Fault("agent-unreachable"), DecodeError for what is no answer of the card worker's.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(ANSWER_S)
            ipc.name_senders(sock)
            sock.connect(str(path))
            sock.send(request)
            pin.wipe(request)
            answer, ancillary, _, _ = sock.recvmsg(pinframe.ANSWER_BYTES + 1, socket.CMSG_SPACE(64))
    except OSError:
        raise Fault("agent-unreachable") from None
    finally:
        pin.wipe(request)
    uid, descriptors = ipc.read_ancillary(ancillary)
    for descriptor in descriptors:
        os.close(descriptor)
    if not answer:  # shut out, or the worker has ended
        raise Fault("agent-unreachable")
    if uid != card_uid:
        raise ipc.ForeignPeer("answer from a foreign uid")
    return pinframe.read_answer(answer)


def _read_line(descriptor: int, line: bytearray) -> int:
    """Read up to the end of the line, whose first bytes come to `line`; how many they are.

    One byte a call: whatever else reads from there gets what follows. A longer line fills `line`.
    """
    size = 0
    one = bytearray(1)
    try:
        while os.readv(descriptor, [one]) and one[0] not in _ENDS:
            if size < len(line):
                line[size] = one[0]
                size += 1
    finally:
        pin.wipe(one)
    return size


@contextlib.contextmanager
def _unseen(descriptor: int) -> Iterator[None]:
    """No echo, where it is a terminal; what was typed before is forgotten."""
    if not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(descriptor, termios.TCSAFLUSH, silent)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
