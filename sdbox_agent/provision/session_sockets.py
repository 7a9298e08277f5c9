"""Four sockets inside the session namespace, handed to the service manager to keep.

The tunnel helper may configure the namespace but never enter it. So root opens, once and inside, a
route and a generic netlink socket and two echo sockets, and leaves them in the helper's descriptor
store (sd_notify(3), FDSTORE): `python -m sdbox_agent.provision.session_sockets NAMESPACE_FILE`.
"""

from __future__ import annotations

import array
import ctypes
import os
import select
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

NAMES: Final = ("route", "wireguard", "echo4", "echo6")
BARRIER_S: Final = 5

_CLONE_NEWNET: Final = 0x40000000  # <linux/sched.h>
_NETLINK_GENERIC: Final = 16  # <linux/netlink.h>
_PING_GROUP_RANGE: Final = Path("/proc/sys/net/ipv4/ping_group_range")  # of the namespace: icmp(7)


def enter(namespace: Path) -> None:
    """Move this thread into a network namespace (setns(2)). Raises OSError."""
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(descriptor)


def open_sockets() -> list[socket.socket]:
    """The sockets, in the order of NAMES, in the namespace we are in. Raises OSError."""
    _PING_GROUP_RANGE.write_text("0 0")  # root's group, for the moment of opening them
    kinds = (
        (socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE),
        (socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC),
        (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
        (socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6),
    )
    return [socket.socket(*kind) for kind in kinds]


def hand_over(sockets: list[socket.socket], notify_socket: str) -> None:
    """Put each in the manager's store under its name, and wait until the manager has them.

    It keeps a store over a restart, and the namespace may be another one by then: whatever has such
    a name is removed first. Raises OSError, also if the manager does not answer in 5 s.
    """
    address = "\0" + notify_socket[1:] if notify_socket.startswith("@") else notify_socket
    with ExitStack() as stack:
        manager = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        manager.connect(address)
        for name in NAMES:
            manager.send(f"FDSTOREREMOVE=1\nFDNAME={name}".encode())
        # systemd 252 hands a store back last in, first out; who reads the names need not care.
        for name, sock in reversed(list(zip(NAMES, sockets, strict=True))):
            _send(manager, f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", sock.fileno())
        ours, theirs = os.pipe()
        stack.callback(os.close, ours)
        _send(manager, "BARRIER=1", theirs)  # the manager closes it once all before is done
        os.close(theirs)
        _wait_closed(ours)


def _send(manager: socket.socket, text: str, descriptor: int) -> None:
    rights = array.array("i", [descriptor])
    manager.sendmsg([text.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


def _wait_closed(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLHUP)
    if not poll.poll(BARRIER_S * 1000):
        raise TimeoutError("the service manager took no descriptor")


def main() -> int:
    """Entry point."""
    notify_socket = os.environ.get("NOTIFY_SOCKET")
    if len(sys.argv) != 2 or not notify_socket:
        sys.stderr.write("session_sockets: NAMESPACE_FILE, under a service manager\n")
        return 2
    enter(Path(sys.argv[1]))
    sockets = open_sockets()
    hand_over(sockets, notify_socket)
    return 0


if __name__ == "__main__":
    sys.exit(main())
