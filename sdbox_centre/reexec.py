"""Another program in this very process [door]: what is handed over, and the fuse.

execve(2) keeps pid, children, their death signal, open descriptors, the signal mask and the alarm.
So children that are to die with this process do, whenever it ends, and do not while it is replaced.
The hand-over lies in a sealed memfd: on no disk, and nobody writes it any more. If the new program
does not say `done` within FUSE_S, SIGALRM ends the process and all that goes with it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# ours
VARIABLE: Final = "SDBOX_HANDOVER"  # its descriptor; read once, and taken out of the environment
FUSE_S: Final = 20  # from giving up the time to keeping it again: 0.5 s; 1 s with 1,000 leases
HELD: Final = frozenset({signal.SIGHUP, signal.SIGTERM, signal.SIGINT})  # until there are handlers
SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def replace(text: bytes, descriptors: Iterable[int], command: list[str]) -> None:
    """Hand `text` and these descriptors over to `command`; returns only by raising OSError.

    Then everything is as it was before.
    """
    memory = os.memfd_create("sdbox-handover", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(memory, "wb", closefd=False) as file:
            file.write(text)
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, SEALS)
        environment = {**os.environ, VARIABLE: str(memory)}
        with _inherited((memory, *descriptors)), _fused():
            os.execve(sys.executable, command, environment)  # noqa: S606  ourselves
    finally:
        os.close(memory)


def received(most_bytes: int) -> bytes | None:
    """What the program before us handed over, if there was one. Raises DecodeError."""
    number = os.environ.pop(VARIABLE, None)
    if number is None:
        return None
    try:
        memory = int(number)
        if fcntl.fcntl(memory, fcntl.F_GET_SEALS) != SEALS:
            raise DecodeError("a hand-over that can be written")
        with open(memory, "rb") as file:
            file.seek(0)
            text = file.read(most_bytes + 1)
    except (OSError, ValueError):
        raise DecodeError("no hand-over") from None
    if len(text) > most_bytes:
        raise DecodeError("a hand-over too long")
    return text


def keep(descriptors: Iterable[int]) -> None:
    """These are ours again, and no child's. Raises OSError if one is not open."""
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)  # noqa: FBT003  its name says what


def done() -> None:
    """We keep time and hear signals again."""
    signal.alarm(0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)


@contextmanager
def _inherited(descriptors: Sequence[int]) -> Iterator[None]:
    try:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)  # noqa: FBT003
        yield
    finally:
        keep(descriptors)


@contextmanager
def _fused() -> Iterator[None]:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    signal.alarm(FUSE_S)
    try:
        yield
    finally:
        done()
