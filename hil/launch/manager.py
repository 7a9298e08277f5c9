"""[door] The manager: one thread, one selector. It forks, waits, passes descriptors, restarts.

Started as a process of its own (`python -m hil.launch SPEC.json`), so that it has one thread and
PDEATHSIG means what it should: whoever kills it, kills everything it started.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import selectors
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from hil.launch import units
from hil.net import linux
from hil.net.process import CODE, PYTHON, Process, Unit

if TYPE_CHECKING:
    from collections.abc import Callable

BOX_PYTHON: Final = "/usr/lib/sdbox-agent/bin/python"
SESSION_NETNS: Final = "/run/netns/sdbox-session"
OURS: Final = ("/run/sdbox", "/var/lib/sdbox", "/etc/sdbox")
STOP_S: Final = 4.0
BOOT_S: Final = 20.0  # until the walls stand


class Spec(msgspec.Struct, forbid_unknown_fields=True):
    """What differs from rig to rig."""

    root: str  # the box's root directory
    code: str  # the repository
    box_netns: str
    session_netns: str
    environment: dict[str, dict[str, str]] = {}  # unit name -> variables
    options: dict[str, list[str]] = {}  # unit name -> arguments added at the end
    watchdog_s: dict[str, float] = {}  # unit name -> its WatchdogSec, as a drop-in would set it


class Seen(msgspec.Struct):
    """What the manager tells of one unit."""

    pids: list[int]
    starts: int
    ready: bool
    status: str


@dataclass
class Running:
    """One service and its processes."""

    service: units.Service
    listen: list[tuple[str, socket.socket]] = field(default_factory=list)  # name, socket
    kept: dict[str, int] = field(default_factory=dict)  # the descriptor store, by name
    processes: list[Process] = field(default_factory=list)
    starts: int = 0
    ready: bool = False
    status: str = ""
    alive_at: float = 0.0
    start_at: float | None = None  # when to start it again


class Manager:
    """Everything of one box."""

    def __init__(self, spec: Spec) -> None:
        """Enter the box's namespaces and make what units need. Nothing is started yet."""
        self.root = Path(spec.root)
        self._spec = spec
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._before_pid: dict[int, Running] = {}  # an ExecStartPre under way, and whose it is
        with Path(spec.box_netns).open("rb") as namespace:
            linux.setns(namespace.fileno())
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
        linux.mount(spec.code, CODE, flags=linux.MS_BIND | linux.MS_REC)
        directory = CODE / "systemd"
        self._users = units.users(directory / "sdbox.sysusers")
        for path, mode, user, group in units.directories(directory / "sdbox.tmpfiles"):
            if path.startswith(OURS):
                self._directory(path, mode, user, group)
        self.services = {
            path.stem: Running(self._service(path))
            for path in sorted(directory.glob("*.service"))
            if path.stem != "sdbox-netns"  # the rig has made the namespaces
        }
        self._notify = self._notify_socket()
        for file in sorted(directory.glob("*.socket")):
            self._listen(units.socket(file))
        self._control()

    def _service(self, path: Path) -> units.Service:
        service = units.service(path)
        watchdog_s = self._spec.watchdog_s.get(service.name, service.watchdog_s)
        return dataclasses.replace(service, watchdog_s=watchdog_s)

    # -- start-up ----------------------------------------------------------------------------------

    def boot(self) -> None:
        """The walls, until they stand; then the core; the rest wait for a connection."""
        walls = self.services["sdbox-walls"]
        self.start(walls)
        end_s = time.monotonic() + BOOT_S
        while not walls.ready:
            if time.monotonic() > end_s:
                raise units.UnitError("sdbox-walls: not ready")
            self._turn(0.1)
        self.start(self.services["sdbox-agent"])

    def _listen(self, unit: units.Socket) -> None:
        running = self.services[unit.service]
        for path in unit.paths:
            where = self._place(path)
            where.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            where.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            listener.bind(str(where))
            os.chown(where, self._users[unit.user], self._users[unit.group])
            where.chmod(unit.mode)
            listener.listen(8)
            running.listen.append((unit.descriptor, listener))
            if unit.accept:
                self._watch(listener, functools.partial(self._accept, running, listener))
            else:
                self._watch(listener, functools.partial(self.start, running))

    def _directory(self, path: str, mode: int, user: str, group: str) -> None:
        where = self._place(path)
        where.mkdir(mode=0o755, parents=True, exist_ok=True)
        where.chmod(mode)
        os.chown(where, self._users[user], self._users[group])

    def _notify_socket(self) -> socket.socket:
        """sd_notify(3). Who speaks is known by pid, as the kernel tells it."""
        path = self.root / "run/notify"
        path.unlink(missing_ok=True)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        notify.bind(str(path))
        path.chmod(0o666)
        self._watch(notify, self._notified)
        return notify

    # -- one service -------------------------------------------------------------------------------

    def start(self, running: Running) -> None:
        """Start it, unless it runs."""
        running.start_at = None
        if running.processes or self._stopping:
            return
        service = running.service
        for _, listener in running.listen:
            self._unwatch(listener)  # its own from now on
        for command in service.before:
            self._before(running, command)
        passed = [(name, listener.fileno()) for name, listener in running.listen]
        passed += running.kept.items()
        self._spawn(running, passed)

    def _before(self, running: Running, command: tuple[str, ...]) -> None:
        """ExecStartPre=+: as root, before each start; it may fill the descriptor store."""
        notify = {"NOTIFY_SOCKET": str(self.root / "run/notify")}
        argv = self._argv(running.service, command)
        process = Process(Unit(argv=argv, environment=_ENVIRONMENT | notify))
        self._before_pid[process.pid] = running
        while not process.wait(0):
            for key, _ in self._selector.select(0.05):
                if key.fileobj is self._notify:
                    key.data()
        del self._before_pid[process.pid]
        process.end()
        if process.status != 0:
            raise units.UnitError(f"{running.service.name}: ExecStartPre failed")

    def _accept(self, running: Running, listener: socket.socket) -> None:
        """Accept=yes: one process a connection."""
        connection, _ = listener.accept()
        try:
            self._spawn(running, [("connection", connection.fileno())])
        finally:
            connection.close()

    def _spawn(self, running: Running, passed: list[tuple[str, int]]) -> None:
        service = running.service
        user = service.user or "root"
        for path, mode in service.directories:
            self._directory(path, mode, user, user)
        names = ":".join(name for name, _ in passed)
        told = {"NOTIFY_SOCKET": str(self.root / "run/notify"), "LISTEN_FDNAMES": names}
        environment = _ENVIRONMENT | service.environment | told
        if service.watchdog_s:
            environment["WATCHDOG_USEC"] = str(int(service.watchdog_s * 1e6))
        environment |= self._spec.environment.get(service.name, {})
        process = Process(
            Unit(
                argv=self._argv(service, service.start[0]),
                uid=self._users[user],
                gid=self._users[service.group or user],
                capabilities=service.capabilities,
                listen=[descriptor for _, descriptor in passed],
                binds={Path(seen): self._place(lies) for seen, lies in service.binds.items()},
                tun=service.tun,
                lock_memory=service.lock_memory,
                realtime=service.realtime,
                private_network=service.private_network,
                environment=environment,
                output=self.root / "log" / f"{service.name}.log",
                directory=CODE,
            )
        )
        running.processes.append(process)
        running.starts += 1
        running.ready = service.kind != "notify"
        running.alive_at = time.monotonic()
        self._watch(process.pidfd, lambda: self._ended(running, process))

    def _ended(self, running: Running, process: Process) -> None:
        self._unwatch(process.pidfd)
        process.wait(1)
        process.end()
        running.processes.remove(process)
        running.ready = False
        accepts = running.service.name.endswith("@")
        if self._stopping or accepts:
            return
        if running.service.restart_s is not None:
            running.start_at = time.monotonic() + running.service.restart_s

    def _argv(self, service: units.Service, command: tuple[str, ...]) -> list[str]:
        """The unit's own command line, with the box's paths where the rig has them."""
        words = [self._word(word) for word in command]
        if words[0] == BOX_PYTHON:
            words[0] = PYTHON
        if "--root" in words:
            words[words.index("--root") + 1] = str(self.root)
        elif "sdbox_agent" in words:
            words[words.index("sdbox_agent") + 1 : 0] = ["--root", str(self.root)]
        return words + self._spec.options.get(service.name, [])

    def _word(self, word: str) -> str:
        if word == SESSION_NETNS:
            return self._spec.session_netns
        return str(self._place(word)) if word.startswith(OURS) else word

    def _place(self, path: str) -> Path:
        """Where a path of a box lies here."""
        return self.root / path.lstrip("/") if path.startswith(OURS) else Path(path)

    # -- what processes and the rig say ------------------------------------------------------------

    def _notified(self) -> None:
        space = socket.CMSG_SPACE(12) + socket.CMSG_SPACE(4 * 4)
        data, ancillary, _, _ = self._notify.recvmsg(4096, space, socket.MSG_CMSG_CLOEXEC)
        pid, descriptors = _ancillary(ancillary)
        running = self._before_pid.get(pid) or self._of(pid)
        words = dict(line.partition("=")[::2] for line in data.decode().splitlines())
        name = words.get("FDNAME", "")
        if running is not None and "FDSTOREREMOVE" in words and name in running.kept:
            descriptors.append(running.kept.pop(name))
        if running is not None and "FDSTORE" in words and name not in running.kept:
            running.kept[name] = descriptors.pop()  # a full store takes no more
        for descriptor in descriptors:
            os.close(descriptor)
        if running is None:
            return
        if "READY" in words:
            running.ready, running.alive_at = True, time.monotonic()
        if "STATUS" in words:
            running.status = words["STATUS"]
        if "WATCHDOG" in words:
            running.alive_at = time.monotonic()

    def _of(self, pid: int) -> Running | None:
        for running in self.services.values():
            if any(process.pid == pid for process in running.processes):
                return running
        return None

    def _control(self) -> None:
        """The rig asks here; root alone may."""
        path = self.root / "run/manager"
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(4)
        self._watch(listener, lambda: self._take_control(listener))

    def _take_control(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        self._watch(connection, lambda: self._controlled(connection))

    def _controlled(self, connection: socket.socket) -> None:
        try:
            word = connection.recv(64)
        except ConnectionResetError:  # gone without reading its answer
            word = b""
        if word == b"units":
            with contextlib.suppress(OSError):
                connection.send(msgspec.json.encode(self._seen()))
            return
        if word == b"stop":
            self.stop()
            with contextlib.suppress(OSError):
                connection.send(b"{}")
        self._unwatch(connection)
        connection.close()

    def _seen(self) -> dict[str, Seen]:
        return {
            name: Seen([p.pid for p in r.processes], r.starts, r.ready, r.status)
            for name, r in self.services.items()
        }

    # -- the loop ----------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until stopped."""
        while not self._stopping:
            self._turn(self._pause())

    def _turn(self, pause_s: float | None) -> None:
        for key, _ in self._selector.select(pause_s):
            if key.fileobj in self._selector.get_map():
                key.data()
        self._due()

    def _pause(self) -> float | None:
        now = time.monotonic()
        moments = [r.start_at for r in self.services.values() if r.start_at is not None]
        moments += [
            r.alive_at + r.service.watchdog_s
            for r in self.services.values()
            if r.service.watchdog_s and r.ready
        ]
        return max(0.0, min(moments) - now) if moments else None

    def _due(self) -> None:
        now = time.monotonic()
        for running in self.services.values():
            if running.start_at is not None and now >= running.start_at:
                self.start(running)
            watchdog_s = running.service.watchdog_s
            # systemd.service(5), WatchdogSec=: from when the start-up is completed
            if watchdog_s and running.ready and now >= running.alive_at + watchdog_s:
                for process in running.processes:
                    process.kill(signal.SIGKILL)  # systemd: SIGABRT first; no core is kept anyway
                running.alive_at = now

    def stop(self) -> None:
        """The core first and gently, then the others, as at shutdown."""
        self._stopping = True
        order = sorted(self.services.values(), key=lambda r: r.service.name != "sdbox-agent")
        for running in order:
            for process in running.processes:
                process.kill(signal.SIGTERM)
                process.wait(STOP_S)
                process.end()
            self._close_kept(running)

    def _close_kept(self, running: Running) -> None:
        for descriptor in running.kept.values():
            os.close(descriptor)
        running.kept.clear()

    def _watch(self, source: socket.socket | int, handler: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, handler)

    def _unwatch(self, source: socket.socket | int) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(source)


_ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin", "LANG": "C.UTF-8"}


def _ancillary(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, list[int]]:
    pid, descriptors = 0, []
    for _, kind, data in ancillary:
        if kind == socket.SCM_CREDENTIALS:
            pid = int.from_bytes(data[:4], sys.byteorder)
        elif kind == socket.SCM_RIGHTS:
            whole = len(data) - len(data) % 4
            descriptors += [
                int.from_bytes(data[at : at + 4], sys.byteorder) for at in range(0, whole, 4)
            ]
    return pid, descriptors
