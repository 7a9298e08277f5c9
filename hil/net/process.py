"""[door] Processes as a service manager starts them: user, capabilities, namespaces, sockets.

They die with the thread that started them (PR_SET_PDEATHSIG): start them from the main one.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import stat
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil.net import linux

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hil.net.namespace import Namespace


# Where a process of another user sees the code and its interpreter: it may not be allowed into the
# directory where they lie. /opt is on every Debian, and nothing of ours is in it.
REPOSITORY: Final = Path(__file__).resolve().parents[2]
CODE: Final = Path("/opt")
PYTHON: Final = str(CODE / ".venv/bin/python")


@dataclass(frozen=True)
class Unit:
    """How one process is to run; the words are systemd's.

    With a `uid`, our own interpreter and the code are seen at CODE, and `directory` is CODE too
    unless another is given.
    """

    argv: Sequence[str]
    network: Namespace | None = None
    private_network: bool = False  # a new network namespace with nothing in it
    uid: int | None = None
    gid: int | None = None  # the uid's own number when None
    capabilities: tuple[int, ...] = ()
    stdin: int | None = None  # a descriptor; the rig's own standard input when None
    listen: Sequence[int] = ()  # descriptors it gets from 3 on, told by LISTEN_FDS
    binds: Mapping[Path, Path] = field(default_factory=dict)  # seen at -> lies at
    lock_memory: bool = False  # as much as it likes (RLIMIT_MEMLOCK)
    realtime: int | None = None  # round-robin at this priority, but for its threads and children
    tun: bool = False  # /dev/net/tun as udev leaves it on a box: for everybody
    environment: Mapping[str, str] = field(default_factory=dict)
    output: Path | None = None  # stdout and stderr; the rig's own when None
    directory: Path | None = None  # the present one, or CODE
    last_signal: int = signal.SIGKILL  # when whoever started it is dead


class Process:
    """A started one."""

    def __init__(self, unit: Unit) -> None:
        """Start it. Raises RuntimeError with the child's own words if it can't be."""
        report, told = os.pipe()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _become_unit(unit, parent, told)
        os.close(told)
        self.status: int | None = None
        self.pidfd = os.pidfd_open(self.pid)
        with os.fdopen(report, "rb") as stream:
            if words := stream.read():
                self.end()
                raise RuntimeError(words.decode())

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to it, and to nobody who has its pid later."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def wait(self, timeout_s: float) -> bool:
        """Has it ended within that time?"""
        if self.status is None:
            poll = select.poll()
            poll.register(self.pidfd, select.POLLIN)
            if not poll.poll(timeout_s * 1000):
                return False
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
        return True

    def end(self) -> None:
        """Kill it and wait for it."""
        if self.status is None:
            self.kill()
            self.wait(5)
            os.close(self.pidfd)


def _become_unit(unit: Unit, parent: int, told: int) -> None:
    """In the child, to exec or out."""
    try:
        environment = dict(unit.environment)
        _enter(unit)
        if unit.output is not None:
            output = os.open(unit.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(output, 1)
            os.dup2(output, 2)
        if unit.stdin is not None:
            os.dup2(unit.stdin, 0)
        if unit.listen:
            environment |= {"LISTEN_FDS": str(len(unit.listen)), "LISTEN_PID": str(os.getpid())}
        told = _place(unit.listen, told)
        os.chdir(unit.directory or (CODE if unit.uid is not None else Path.cwd()))
        if unit.lock_memory:
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            with contextlib.suppress(ValueError):  # a container may refuse even root
                resource.setrlimit(resource.RLIMIT_MEMLOCK, unlimited)
        if unit.realtime is not None:
            policy, priority = os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(unit.realtime)
            with contextlib.suppress(PermissionError):  # as above
                os.sched_setscheduler(0, policy, priority)
        if unit.uid is not None:
            linux.become(unit.uid, unit.uid if unit.gid is None else unit.gid, unit.capabilities)
        linux.prctl(linux.PR_SET_PDEATHSIG, unit.last_signal)  # after the user: that clears it
        if os.getppid() != parent:
            os._exit(1)
        seen = unit.uid is not None and unit.argv[0] == sys.executable
        argv = [PYTHON if seen else unit.argv[0], *unit.argv[1:]]
        os.execve(argv[0], argv, environment)
    except BaseException:  # noqa: BLE001  the parent raises it
        os.write(told, traceback.format_exc().encode()[-4000:])
    finally:
        os._exit(127)


def _enter(unit: Unit) -> None:
    """Its namespaces."""
    if unit.network is not None:
        with unit.network.path.open("rb") as file:
            linux.setns(file.fileno())
    if unit.private_network:
        linux.unshare(linux.CLONE_NEWNET)
    if unit.binds or unit.tun or unit.uid is not None:
        _mount(unit)


def _place(listen: Sequence[int], told: int) -> int:
    """Descriptors to 3, 4, …; everything else closes at exec or now. The new place of `told`."""
    high = 200  # above both: nothing is overwritten before it is copied
    copies = [os.dup2(fd, high + at) for at, fd in enumerate([*listen, told])]
    for at, copy in enumerate(copies[:-1]):
        os.dup2(copy, 3 + at)
    last = 3 + len(listen)
    os.dup2(copies[-1], last, inheritable=False)
    os.closerange(last + 1, 4096)
    return last


def _mount(unit: Unit) -> None:
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    binds = dict(unit.binds)
    if unit.uid is not None:
        binds.setdefault(CODE, REPOSITORY)
    for seen, lies in binds.items():
        if not lies.is_file():  # a file is shown in place of one that is there
            seen.mkdir(parents=True, exist_ok=True)
        linux.mount(str(lies), seen, flags=linux.MS_BIND | linux.MS_REC)
    if unit.tun:
        tun = Path("/dev/net/tun")
        tun.parent.mkdir(exist_ok=True)
        linux.mount("tmpfs", tun.parent, "tmpfs", data="mode=755")
        os.mknod(tun, stat.S_IFCHR | 0o666, os.makedev(10, 200))
        tun.chmod(0o666)
