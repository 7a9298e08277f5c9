"""[door] wireguard-go: every child of a tunnel, and the socket it is spoken to over.

Serves the box's helper and the gateway alike: `WireGuardGo` is one interface in a process of its
own. Every error is an `errors.Fault("tunnel-fault")` or a DecodeError, and after one the device is
to be destroyed: a set that failed may have been half done.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Final

from pywireguard.base.userspace.interface import UserspaceInterface
from typing_extensions import override

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.hardening import wipe
from sdbox_agent.tunnel import rtnetlink, uapi

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sdbox_agent.tunnel.config import Endpoint
    from sdbox_agent.tunnel.kernel import Links
    from sdbox_agent.tunnel.uapi import Device, PeerConfig, PeerState

# <linux/prctl.h>
_PR_SET_PDEATHSIG: Final = 1
# ours
BINARY: Final = "/usr/bin/wireguard-go"
START_DEADLINE_S: Final = 2.0  # from spawning to the first answer: 5 ms on a quiet box
UAPI_DEADLINE_S: Final = 0.5  # one set or get: 0.3 ms
STOP_DEADLINE_S: Final = 1.0  # from SIGKILL to reaped: 30 ms, the kernel taking the device down
REPLY_MAX_BYTES: Final = 64 * 1024  # the answer to a get: some 350 bytes a peer

_libc: Final = ctypes.CDLL(None, use_errno=True)


class UapiSocket(UserspaceInterface):  # type: ignore[misc]  # pywireguard is not typed
    """pywireguard's interface over one kept connection: errno, end and deadline are errors."""

    def __init__(
        self,
        sock: socket.socket,
        deadline_s: float = UAPI_DEADLINE_S,
        reply_max_bytes: int = REPLY_MAX_BYTES,
    ) -> None:
        self._sock = sock
        self.deadline_s = deadline_s
        self._reply_max_bytes = reply_max_bytes

    def device(self) -> Device:
        """The interface as it is. The answer holds the private key: its buffer is wiped."""
        buffer = bytearray(self._reply_max_bytes)
        try:
            return uapi.parse_get(buffer, self._exchange(uapi.GET, buffer))
        finally:
            wipe(buffer)

    def set(self, request: bytes | bytearray) -> None:
        """One set. Raises Fault if it is refused, cut short or late."""
        buffer = bytearray(64)
        if uapi.parse_set(buffer, self._exchange(request, buffer)) != 0:
            raise Fault("tunnel-fault")

    @override
    def _command_get(self) -> str:
        raise NotImplementedError  # its answer is a str with the keys in it: use `device`

    @override
    def _command_set(self, command: str) -> None:
        self.set(f"set=1\n{command}\n\n".encode())

    def fileno(self) -> int:
        """The connection's descriptor."""
        return self._sock.fileno()

    def close(self) -> None:
        """Let go of the connection."""
        self._sock.close()

    def _exchange(self, request: bytes | bytearray, buffer: bytearray) -> int:
        """Send, and read to the empty line into `buffer`; how much of it is the answer."""
        end_s = time.monotonic() + self.deadline_s
        try:
            self._sock.settimeout(self.deadline_s)
            self._sock.sendall(request)
            filled = 0
            while not buffer.endswith(b"\n\n", 0, filled):
                self._sock.settimeout(max(end_s - time.monotonic(), 0.001))
                with memoryview(buffer) as view:
                    count = self._sock.recv_into(view[filled:])
                if count == 0:  # the end, or no room left
                    raise Fault("tunnel-fault")
                filled += count
        except OSError as error:  # deadline included
            raise Fault("tunnel-fault") from error
        return filled


class WireGuardGo:
    """One userspace WireGuard interface: a child that dies with us, spoken to over UAPI.

    `directory` is where wireguard-go looks for its socket, /run/wireguard, under any name we reach
    it by. Start from the main thread: the child's death signal follows the thread that forked it.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        binary: str = BINARY,
        reply_max_bytes: int = REPLY_MAX_BYTES,
    ) -> None:
        """`reply_max_bytes`: more where there are many peers."""
        self.name = name
        self._reply_max_bytes = reply_max_bytes
        self._path = directory / f"{name}.sock"
        self._binary = binary
        self._child: subprocess.Popen[bytes] | _Inherited | None = None
        self._uapi: UapiSocket | None = None
        self.pidfd: int | None = None  # readable when the child is dead

    def inherit(self, pid: int, control: socket.socket) -> None:
        """Take over a child that the program before us in this very process started.

        Its death signal follows the process, which execve(2) leaves as it is. Raises OSError.
        """
        self._child = _Inherited(pid)
        self.pidfd = os.pidfd_open(pid)
        self._uapi = UapiSocket(control, reply_max_bytes=self._reply_max_bytes)

    @property
    def control(self) -> UapiSocket:
        """The open connection. Raises Fault when nothing runs."""
        if self._uapi is None:
            raise Fault("tunnel-fault")
        return self._uapi

    @property
    def running(self) -> bool:
        """Is there a child?"""
        return self._child is not None

    @property
    def pid(self) -> int | None:
        """The child's pid, while it is ours to reap."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Start it and wait until its interface is there, in this process's namespace."""
        assert threading.current_thread() is threading.main_thread()
        try:
            with self._listen() as listening:
                self._child = self._spawn(listening.fileno())
                self.pidfd = os.pidfd_open(self._child.pid)
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
                sock.connect(str(self._path))  # waits in the backlog: there is no race to poll for
            self._uapi = UapiSocket(sock, START_DEADLINE_S)
            self._uapi.device()
            self._uapi = UapiSocket(sock, reply_max_bytes=self._reply_max_bytes)
        except BaseException as error:
            self.stop()
            if isinstance(error, (OSError, DecodeError)):
                raise Fault("tunnel-fault") from error
            raise

    def configure(self, private_key: bytearray, fwmark: int = 0, listen_port: int = 0) -> None:
        """Key and mark, before any peer. `private_key` is wiped. Raises Fault."""
        text = uapi.set_identity(private_key, fwmark, listen_port)
        try:
            self.control.set(text)
        finally:
            wipe(text)
            wipe(private_key)

    def set_peers(self, peers: Sequence[PeerConfig], *, replace: bool) -> None:
        """Add or change peers; with `replace`, nobody else remains. Raises Fault."""
        text = uapi.set_peers(peers, replace=replace)
        try:
            self.control.set(text)
        finally:
            wipe(text)

    def move_endpoint(self, public_key: bytes, endpoint: Endpoint) -> None:
        """Where that peer is, once more: its packets find their way and source anew. Raises Fault.

        wireguard-go keeps the source address of the last answer: without this, 15 s of silence.
        """
        self.control.set(uapi.move_endpoint(public_key, endpoint))

    def remove_peer(self, public_key: bytes) -> None:
        """Remove one peer at once. Raises Fault."""
        self.control.set(uapi.remove_peer(public_key))

    def device(self) -> Device:
        """The interface as it is. Raises Fault, DecodeError."""
        return self.control.device()

    def peers(self) -> tuple[PeerState, ...]:
        """The peers as they are. Raises Fault, DecodeError."""
        return self.device().peers

    def stop(self) -> None:
        """No peer, then no process, then no interface. Never raises; safe to call again."""
        if self._uapi is not None:
            self._uapi.deadline_s = 0.05  # a child that hangs is killed, not heard
            with contextlib.suppress(Fault, DecodeError):
                self._uapi.set(uapi.REMOVE_PEERS)
            self._uapi.close()
            self._uapi = None
        if self._child is not None:
            self._child.kill()
            if self.pidfd is not None:  # Popen.wait with a deadline would poll, 50 ms at a time
                dead = select.poll()
                dead.register(self.pidfd, select.POLLIN)
                dead.poll(STOP_DEADLINE_S * 1000)
            self._child.poll()
            self._child = None
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None
        self._path.unlink(missing_ok=True)

    def _listen(self) -> socket.socket:
        self._path.unlink(missing_ok=True)  # of a child that was killed
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            os.fchmod(sock.fileno(), 0o600)
            sock.bind(str(self._path))
            sock.listen(4)
        except OSError:
            sock.close()
            raise
        return sock

    def _spawn(self, listening: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603  a fixed binary and a name of ours
            [self._binary, "-f", self.name],
            env={"WG_UAPI_FD": str(listening), "LOG_LEVEL": "silent"},
            pass_fds=[listening],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            preexec_fn=_DieWith(os.getpid()),  # noqa: PLW1509  one prctl, bound before the fork
        )


class _Inherited:
    """A child that no Popen of ours knows. Until it is reaped here, its pid is nobody else's."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def poll(self) -> None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)


class _DieWith:
    """In the child: die when the parent does, or at once if it already has."""

    def __init__(self, parent: int) -> None:
        self._parent = parent

    def __call__(self) -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != self._parent:
            os._exit(1)


def move(name: str, here: Links, there: Links, namespace: int) -> int:
    """Move the interface to the namespace that descriptor `namespace` names; its number there.

    Raises OSError, and Fault if it did not arrive.
    """
    index = here.index(name)
    if index is None:
        raise Fault("tunnel-fault")
    here.run([rtnetlink.move(index, namespace)])
    index = there.index(name)  # the kernel gives another number where this one is taken
    if index is None:
        raise Fault("tunnel-fault")
    return index
