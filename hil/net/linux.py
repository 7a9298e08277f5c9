"""[door] The system calls Python 3.11 lacks: namespaces, mounts, capabilities."""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

# <linux/sched.h>, <linux/mount.h>, <linux/prctl.h>, <linux/capability.h>
CLONE_NEWNS: Final = 0x00020000
CLONE_NEWNET: Final = 0x40000000
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 1 << 18
MNT_DETACH: Final = 2
PR_SET_PDEATHSIG: Final = 1
PR_SET_KEEPCAPS: Final = 8
PR_CAPBSET_DROP: Final = 24
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_RAISE: Final = 2
CAP_NET_ADMIN: Final = 12
CAP_LAST: Final = 40
_CAP_VERSION_3: Final = 0x20080522
_SIOCETHTOOL: Final = 0x8946  # <linux/sockios.h>, <linux/ethtool.h>
_ETHTOOL_STXCSUM: Final = 0x17

_libc: Final = ctypes.CDLL(None, use_errno=True)
for _name in ("setns", "unshare", "mount", "umount2", "prctl", "capset"):
    getattr(_libc, _name)  # bound before any fork


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def setns(descriptor: int, kind: int = CLONE_NEWNET) -> None:
    """Enter a namespace (this thread only)."""
    _check(_libc.setns(descriptor, kind), "setns")


def unshare(kind: int) -> None:
    """Leave for a new namespace (this thread only)."""
    _check(_libc.unshare(kind), "unshare")


def mount(source: str, target: Path | str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount, with the arguments of the system call."""
    arguments = (source.encode(), str(target).encode(), kind.encode() or None)
    _check(_libc.mount(*arguments, ctypes.c_ulong(flags), data.encode() or None), "mount")


def umount(target: Path) -> None:
    """umount2(2), detached."""
    _check(_libc.umount2(str(target).encode(), MNT_DETACH), "umount")


def prctl(option: int, second: int = 0, third: int = 0) -> None:
    """Change something about this thread."""
    _check(_libc.prctl(option, *map(ctypes.c_ulong, (second, third, 0, 0))), "prctl")


def become(uid: int, gid: int, capabilities: tuple[int, ...]) -> None:
    """This user, these capabilities (ambient too, so that they outlive exec), and never more."""
    for capability in range(CAP_LAST + 1):
        if capability not in capabilities:
            prctl(PR_CAPBSET_DROP, capability)
    prctl(PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    mask = sum(1 << capability for capability in capabilities)
    header = struct.pack("=Ii", _CAP_VERSION_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = struct.pack("=6I", low, low, low, high, high, high)  # effective, permitted, inheritable
    _check(_libc.capset(header, data), "capset")
    for capability in capabilities:
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def checksum_at_once(interface: str) -> None:
    """A virtual device leaves checksums and segmentation undone (ethtool -K … tx on): not this."""
    value = array.array("I", [_ETHTOOL_STXCSUM, 0])
    request = struct.pack("16sP8x", interface.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCETHTOOL, request)


def sent_along(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, list[int]]:
    """Who sent a message, by pid (0: not said), and the descriptors that came with it."""
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
