"""What a process that holds keys does to itself before it reads any [door].

Under systemd the unit says part of it too; a process is as closed without. `close_memory` and
`lock_memory` are for all that hold keys, `die_with_parent` and `renounce` for a child that runs
somebody else's code.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import socket
import struct
from typing import Final

# linux/prctl.h: what is asked of prctl
PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_SECCOMP: Final = 22
PR_SET_NO_NEW_PRIVS: Final = 38
# mlockall(2). ONFAULT: what is used is locked, not every page of every library.
MCL_CURRENT: Final = 1
MCL_FUTURE: Final = 2
MCL_ONFAULT: Final = 4
# CPython's small-object allocator (Objects/obmalloc.c): sizes in steps of 16, of which 33 bytes of
# a bytes object are not its content. Keys, probes and the frames they travel in are of these sizes.
# Under its unit the card worker does not use that allocator, and the C library fills what is freed.
_BLOCK_SIZES: Final = range(48, 512 + 1, 16)
_BYTES_HEAD: Final = 33
_POOLS_BYTES: Final = 4 * 16 * 1024  # of each size: four of its pools, whole
# capget(2): _LINUX_CAPABILITY_VERSION_3, and three words for each half of the set
_CAPABILITY_VERSION: Final = 0x20080522
_CAPABILITY_WORDS: Final = 6
# sysinfo(2), in longs: the total swap comes after the uptime, three loads and four sizes of RAM.
# The structure has 14 of them on a 64-bit machine.
_SYSINFO_WORDS: Final = 16
_TOTALSWAP: Final = 8
# linux/seccomp.h, linux/bpf_common.h, struct seccomp_data
_SECCOMP_MODE_FILTER: Final = 2
_RET_ALLOW: Final = 0x7FFF0000
_RET_EPERM: Final = 0x00050001
_BPF_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_BPF_IF_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_BPF_IF_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_BPF_RETURN: Final = 0x06
_AT_NUMBER, _AT_ARCH, _AT_FIRST_ARGUMENT = 0, 4, 16
_X32_BIT: Final = 0x40000000

# By machine: AUDIT_ARCH (linux/audit.h), socket(2), and what is refused outright: execve, execveat,
# ptrace, process_vm_readv, process_vm_writev, io_uring_setup (it opens sockets), pidfd_getfd, bpf,
# perf_event_open, userfaultfd, add_key, request_key, keyctl, mount, unshare, setns. Numbers:
# asm/unistd_64.h, asm-generic/unistd.h.
_CALLS: Final[dict[str, tuple[int, int, tuple[int, ...]]]] = {
    "x86_64": (
        0xC000003E,
        41,
        (59, 322, 101, 310, 311, 425, 438, 321, 298, 323, 248, 249, 250, 165, 272, 308),
    ),
    "aarch64": (
        0xC00000B7,
        198,
        (221, 281, 117, 270, 271, 425, 438, 280, 241, 282, 217, 218, 219, 40, 97, 268),
    ),
}


def close_memory() -> None:
    """No core dump, and no debugger of our own uid. Raises OSError."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(PR_SET_DUMPABLE, 0)


def lock_memory() -> None:
    """Keep every page we use out of swap. Raises OSError (it needs LimitMEMLOCK=infinity).

    Who will drop CAP_IPC_LOCK drops it first: else the limit (RLIMIT_MEMLOCK) holds for what is
    mapped afterwards, and a library more is too many.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0:
        raise OSError(ctypes.get_errno(), "mlockall")


def has_swap() -> bool:
    """Whether the machine has any swap now. Raises OSError.

    Asked of the kernel: under a unit with ProcSubset=pid there is no /proc/swaps.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    words = (ctypes.c_ulong * _SYSINFO_WORDS)()
    if libc.sysinfo(words) != 0:
        raise OSError(ctypes.get_errno(), "sysinfo")
    return words[_TOTALSWAP] > 0


def keep_out_of_swap() -> None:
    """Lock memory, or see that there is no swap. Raises OSError if it is neither."""
    try:
        lock_memory()
    except OSError:
        if has_swap():
            raise


def overwrite_freed() -> None:
    """Fill what Python has freed with zeros, as far as it can be had again.

    `bytes` can't be wiped; but their memory, once freed, is given out again by size. So blocks of
    every size that small objects have are taken, many, zeroed, and let go. No promise: a block
    that somebody took meanwhile keeps what he did not write over.
    """
    held = []
    for size in _BLOCK_SIZES:
        held += [bytes(size - _BYTES_HEAD) for _ in range(_POOLS_BYTES // size)]
    del held


def die_with_parent(parent: int) -> None:
    """Be killed when the thread of `parent` that started us ends, however it does.

    Raises OSError, also if that has happened already.
    """
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise ProcessLookupError("the parent has gone")


def renounce() -> None:
    """For good: no capability, no network, no new programme, no byte into any file.

    Sockets are AF_UNIX or refused. Raises OSError, also on a machine whose calls aren't listed.
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    held = (ctypes.c_uint32 * _CAPABILITY_WORDS)()
    if libc.capget(header, held) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    none = (ctypes.c_uint32 * _CAPABILITY_WORDS)()
    if any(held) and libc.capset(header, none) != 0:  # a unit's filter may refuse an idle capset
        raise OSError(ctypes.get_errno(), "capset")
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _filter_calls()


def _filter_calls() -> None:
    if platform.machine() not in _CALLS:
        raise OSError(f"no list of system calls for {platform.machine()}")
    code = ctypes.create_string_buffer(_code(*_CALLS[platform.machine()]))
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(code))  # struct sock_fprog
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), program) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


def _code(arch: int, socket_number: int, refused: tuple[int, ...]) -> bytes:
    """The filter: one refusing return, jumped to from wherever it is deserved."""
    body = [(_BPF_IF_EQUAL, number) for number in refused]
    # The last four: is it socket(2)? then its domain | allow | refuse.
    steps = [
        (_BPF_LOAD, 0, 0, _AT_ARCH),
        (_BPF_IF_EQUAL, 0, len(body) + 6, arch),
        (_BPF_LOAD, 0, 0, _AT_NUMBER),
        (_BPF_IF_AT_LEAST, len(body) + 4, 0, _X32_BIT),
        *((kind, len(body) - i + 3, 0, number) for i, (kind, number) in enumerate(body)),
        (_BPF_IF_EQUAL, 0, 2, socket_number),
        (_BPF_LOAD, 0, 0, _AT_FIRST_ARGUMENT),
        (_BPF_IF_EQUAL, 0, 1, socket.AF_UNIX),
        (_BPF_RETURN, 0, 0, _RET_ALLOW),
        (_BPF_RETURN, 0, 0, _RET_EPERM),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def wipe(buffer: bytearray) -> None:
    """Overwrite key bytes in place."""
    buffer[:] = bytes(len(buffer))
