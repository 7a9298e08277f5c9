"""[door] Named network namespaces: made, entered, removed, and swept up after a killed rig.

Named, so that a person can look inside (`ip netns exec sdbx123.1-box …`) and a helper without
privileges can open the file. A rig holds a lock on /run/sdbox-rig/<pid>.<n>: whoever gets that lock
knows that its owner is dead, whatever has become of the pid.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from hil.net import linux

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMED: Final = Path("/run/netns")  # ip-netns(8)
_LOCKS: Final = Path("/run/sdbox-rig")
_PREFIX: Final = "sdbx"
_claims: Final = itertools.count(1)  # a process may run several rigs

Result = TypeVar("Result")


class Namespace:
    """One named network namespace."""

    def __init__(self, name: str) -> None:
        """Make it, with `lo` up and nothing else."""
        self.name = name
        self.path = NAMED / name
        NAMED.mkdir(mode=0o755, exist_ok=True)
        self.path.touch(mode=0o444)
        _in_thread(self._make)
        self.run(_skip_duplicate_detection)
        self.ip("link set lo up")

    def _make(self) -> None:
        linux.unshare(linux.CLONE_NEWNET)
        linux.mount("/proc/thread-self/ns/net", self.path, flags=linux.MS_BIND)

    def ip(self, *commands: str) -> None:
        """Run iproute2 commands inside, all or an error."""
        batch = "\n".join(commands).encode()
        subprocess.run(
            ["ip", "-n", self.name, "-batch", "-"], input=batch, check=True, capture_output=True
        )

    def show(self, command: str) -> str:
        """What an iproute2 command shows inside, a line an item."""
        argv = ["ip", "-n", self.name, "-o", *command.split()]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    def links(self) -> set[str]:
        """Names of the interfaces inside."""
        return {line.split(": ")[1].split("@")[0] for line in self.show("link").splitlines()}

    def nft(self, text: str) -> str:
        """Feed `nft -f -` inside; its output."""
        nsenter = ["nsenter", f"--net={self.path}", "nft", "-f", "-"]
        done = subprocess.run(nsenter, input=text, check=True, capture_output=True, text=True)
        return done.stdout

    def run(self, do: Callable[[], Result]) -> Result:
        """Call `do` in a thread of its own that is inside: what it opens, stays inside."""

        def inside() -> Result:
            with self.path.open("rb") as file:
                linux.setns(file.fileno())
            return do()

        return _in_thread(inside)

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket of this namespace."""
        return self.run(lambda: socket.socket(family, kind, protocol))

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This very thread inside, for children that must be forked by it."""
        with Path("/proc/thread-self/ns/net").open("rb") as home, self.path.open("rb") as file:
            linux.setns(file.fileno())
            try:
                yield
            finally:
                linux.setns(home.fileno())

    def remove(self) -> None:
        """Forget the name; the namespace goes with its last process and socket."""
        _remove(self.path)


def _skip_duplicate_detection() -> None:
    """IPv6 addresses serve at once, as on a host that has been up for more than a second."""
    Path("/proc/sys/net/ipv6/conf/default/accept_dad").write_text("0")
    Path("/proc/sys/net/ipv6/conf/all/accept_dad").write_text("0")


class Claim:
    """One rig's claim on its names, held until released or dead."""

    def __init__(self) -> None:
        """Sweep up after dead rigs, then take a lock of our own."""
        _LOCKS.mkdir(mode=0o755, exist_ok=True)
        for path in _LOCKS.iterdir():
            with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _sweep(path.name)
                path.unlink(missing_ok=True)
        self._id = f"{os.getpid()}.{next(_claims)}"
        self._path = _LOCKS / self._id
        self._lock = os.open(self._path, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def namespace(self, part: str) -> Namespace:
        """A namespace of this rig."""
        return Namespace(f"{_PREFIX}{self._id}-{part}")

    def release(self) -> None:
        """Remove what is left of ours, and the lock."""
        _sweep(self._id)
        self._path.unlink(missing_ok=True)
        os.close(self._lock)


def _sweep(claim: str) -> None:
    for named in NAMED.glob(f"{_PREFIX}{claim}-*"):
        _remove(named)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        linux.umount(path)
    path.unlink(missing_ok=True)


def _in_thread(do: Callable[[], Result]) -> Result:
    """Namespaces belong to threads: do it in one that ends, and hand on what came of it."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(do())
        except BaseException as error:  # noqa: BLE001  raised again below
            errors.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
