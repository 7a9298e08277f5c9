"""What a process tries that has been taken over: each act once, and what came of it, as JSON.

A program by itself, of nothing but the interpreter's own modules: it is started by the service
manager in the place of a unit's own (hil.boot.confinement), and alone as root, where every act must
succeed. Each is tried in a child, so that none leaves a trace in the next.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import mmap
import os
import pwd
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterable  # noqa: TC003  it is run by itself
from pathlib import Path

CENTRE = ("192.0.2.1", 443)  # hil.net.topology
STRANGER = ("192.0.2.9", 80)  # another address on the same cable
CONNECT_S = 2.0
HOMES = ("/root", "/home")  # the trial has put a secret there and made it readable to all
WRITABLE = (
    *("/tmp", "/var/tmp", "/dev/shm", "/run/pcscd"),
    *("/var/lib/sdbox", "/run/sdbox", "/run/sdbox-tunnel", "/run/wireguard"),
    *("/var/lib/sdbox-centre", "/var/lib/sdbox-centre-remembered"),
    *("/var/lib/sdbox-centre-gateway", "/run/sdbox-centre"),
)
SECRET = "secret"
USB = "/dev/bus/usb/001/009"
SYSCTL = "/proc/sys/net/ipv4/ip_forward"
STATE = {
    "/var/lib/sdbox": "sdbox",
    "/etc/sdbox/identity": "sdbox",
    "/run/sdbox-tunnel": "sdbox-tunnel",
    "/var/lib/sdbox-centre": "sdbox-centre-api",
    "/var/lib/sdbox-centre-gateway": "sdbox-centre-gateway",
}
MARK = "sdbox-probe"
_CLONE_NEWUSER = 0x10000000  # linux/sched.h
_PTRACE_SEIZE = 0x4206  # linux/ptrace.h
_INIT_MODULE = {"x86_64": 175, "aarch64": 105}  # asm/unistd_64.h, asm-generic/unistd.h
# What the kernel says once it looks at the module itself: not one, or modules are not compiled in.
_NO_MODULE = {errno.ENOEXEC, errno.ENOSYS}
_NO_DEVICE = {errno.ENXIO, errno.ENODEV}  # the node may be opened, and there is no device behind
_CAME_THROUGH = 0
_libc = ctypes.CDLL(None, use_errno=True)


def _called(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def internet() -> None:
    """A connection out of the box."""
    socket.create_connection(CENTRE, CONNECT_S).close()


def stranger() -> None:
    """A word to somebody who is neither centre nor gateway, answered or turned down by him."""
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection(STRANGER, CONNECT_S).close()


def packet() -> None:
    """Frames past every rule."""
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()


def state() -> None:
    """What another worker keeps: keys, counters, the control of its tunnel."""
    mine = pwd.getpwuid(os.getuid()).pw_name
    _one_of([path for path, user in STATE.items() if user != mine], os.listdir)


def ptrace() -> None:
    """Another process of the same user: a child, whom no other rule protects."""
    pid = os.fork()
    while pid == 0:
        time.sleep(1)  # until it is killed
    try:
        _called(_libc.ptrace(_PTRACE_SEIZE, pid, None, None))
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def memory() -> None:
    """What another process has in its memory: one that is neither this one nor what started it."""
    own = {str(os.getpid()), str(os.getppid())}
    others = sorted(name for name in os.listdir("/proc") if name.isdecimal() and name not in own)
    _one_of([f"/proc/{name}" for name in others], _peek)


def _peek(process: str) -> None:
    """A word of it; of a kernel's thread there is none."""
    with open(f"{process}/mem", "rb", buffering=0) as mem, open(f"{process}/maps") as maps:
        mapped = maps.readline()
        if not mapped:
            raise OSError(errno.ENOENT, "nothing mapped")
        mem.seek(int(mapped.partition("-")[0], 16))
        mem.read(8)


def processes() -> None:
    """Somebody else's entry in /proc."""
    for name in os.listdir("/proc"):
        try:
            if name.isdecimal() and os.stat(f"/proc/{name}").st_uid != os.getuid():
                return
        except FileNotFoundError:
            continue
    raise PermissionError(errno.EACCES, "nobody else in /proc")


def shell() -> None:
    """A shell in its own place."""
    os.execv("/bin/sh", ["sh", "-c", "exit 0"])


def planted() -> None:
    """A program that it has written itself."""
    _one_of([f"{directory}/{MARK}" for directory in WRITABLE], _plant)


def _plant(path: str) -> None:
    """An interpreter of its own, at that path, and whether it runs."""
    shutil.copyfile(sys.executable, path)
    try:
        os.chmod(path, 0o700)
        pid = os.posix_spawn(path, [path, "-I", "-c", ""], {})
        os.waitpid(pid, 0)
    finally:
        os.unlink(path)


def wx() -> None:
    """Memory that is written and executed."""
    mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def module() -> None:
    """Code in the kernel."""
    try:
        number = _INIT_MODULE[os.uname().machine]
        _called(_libc.syscall(number, b"\x7fELF", ctypes.c_ulong(4), b""))
    except OSError as error:
        if error.errno not in _NO_MODULE:
            raise


def usb() -> None:
    """A USB device that is none of its."""
    try:
        os.close(os.open(USB, os.O_RDWR))
    except OSError as error:
        if error.errno not in _NO_DEVICE:
            raise


def etc() -> None:
    """Settings of the machine."""
    path = f"/etc/{MARK}"
    with open(path, "w"):
        os.unlink(path)


def homes() -> None:
    """What people keep."""
    _one_of(HOMES, lambda path: Path(path, SECRET).read_bytes())


def mount() -> None:
    """Another tree over this one."""
    _called(_libc.mount(b"none", b"/tmp", b"tmpfs", ctypes.c_ulong(0), None))
    _libc.umount2(b"/tmp", 2)


def namespace() -> None:
    """A user namespace, and with it every capability inside."""
    _called(_libc.unshare(_CLONE_NEWUSER))


def sysctl() -> None:
    """How the kernel behaves."""
    with open(SYSCTL) as file:
        as_it_is = file.read()
    with open(SYSCTL, "w") as file:
        file.write(as_it_is)


def hostname() -> None:
    """The machine's name."""
    socket.sethostname(socket.gethostname())


def setuid() -> None:
    """A file that makes its user of whoever runs it."""
    path = f"/tmp/{MARK}-s"
    with open(path, "wb"):
        pass
    try:
        os.chmod(path, 0o4755)
    finally:
        os.unlink(path)


ACTS = (
    internet, stranger, packet, state, ptrace, memory, processes, shell, planted, wx, module, usb,
    etc, homes, mount, namespace, sysctl, hostname, setuid,
)  # fmt: skip


def _one_of(paths: Iterable[str], read: Callable[[str], object]) -> None:
    """Done if any could be read; else why the last that is there could not."""
    last = OSError(errno.ENOENT, "none")
    for path in paths:
        try:
            read(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            last = error
        else:
            return
    raise last


def tried(act: Callable[[], None]) -> str:
    """`done`, or the name of the error; in a child."""
    pid = os.fork()
    if pid == 0:
        number = _CAME_THROUGH
        try:
            act()
        except TimeoutError:
            number = errno.ETIMEDOUT
        except OSError as error:
            number = error.errno or errno.EIO
        os._exit(number)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == _CAME_THROUGH:
        return "done"
    return errno.errorcode.get(code, f"signal {-code}")


def standing() -> dict[str, list[str]]:
    """How this process is held: what the kernel tells of it (proc(5), status)."""
    return held("/proc/self")


def held(process: str) -> dict[str, list[str]]:
    """The same of any process."""
    wanted = {
        *("Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "Seccomp_filters"),
        *("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"),
    }
    lines = (line.split() for line in Path(process, "status").read_text().splitlines())
    return {words[0][:-1]: words[1:] for words in lines if words and words[0][:-1] in wanted}


def main() -> None:
    """Entry point: one line."""
    came = {act.__name__: tried(act) for act in ACTS}
    print(json.dumps({MARK: sys.argv[1], "came": came, "standing": standing()}), flush=True)


if __name__ == "__main__":
    main()
