"""[door] Takes a PIN from the person and hands it to the card worker (`sdbox-agent pin`).

A process of its own, under a user of its own: the core never sees a digit. They are in one
bytearray, read byte by byte from the terminal or one line of standard input, and overwritten when
they have been sent; never in an argument, the environment, a log or an exception. Knows no card:
what became of them is the card worker's word.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final

from sdbox_agent import ipc, terminal
from sdbox_agent.card import pin, pinframe
from sdbox_agent.errors import Fault
from sdbox_agent.hardening import close_memory

if TYPE_CHECKING:
    from pathlib import Path

ANSWER_S: Final = 15.0  # the card worker gives up on a card after 10
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
    try:
        terminal.read_pin(descriptor, memoryview(request)[pinframe.FIELD])
    except BaseException:
        pin.wipe(request)
        raise
    return request


def says_yes(descriptor: int) -> bool:
    """Whether the next line is a yes, in full."""
    line = bytearray(terminal.MAX_LINE_BYTES)
    return bytes(line[: terminal.read_line(descriptor, line)]).strip().lower() in _YES


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
