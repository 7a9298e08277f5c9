"""Four sockets opened inside a namespace arrive at the service manager, each under its name."""

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_agent.provision import session_sockets
from sdbox_agent.tunnel.kernel import NETLINK_GENERIC
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
SIOCGSKNS = 0x894C  # <linux/sockios.h>: the namespace of a socket


class Manager:
    """The service manager's end: keeps descriptors, answers the barrier."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stored: list[tuple[str, int]] = []
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(path))
        self._sock.settimeout(PATIENCE_S)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                text, descriptors, _, _ = socket.recv_fds(self._sock, 1000, 4)
                lines = dict(line.split("=", 1) for line in text.decode().splitlines())
                if lines.get("BARRIER") == "1":
                    os.close(descriptors[0])
                    return
                if lines.get("FDSTOREREMOVE") == "1":
                    self._remove(lines["FDNAME"])
                    continue
                assert lines["FDSTORE"] == "1"
                assert lines["FDPOLL"] == "0"  # else an ICMP error would drop the socket
                self.stored.insert(0, (lines["FDNAME"], descriptors[0]))  # as systemd 252 does

    def _remove(self, name: str) -> None:
        for each in [each for each in self.stored if each[0] == name]:
            self.stored.remove(each)
            os.close(each[1])

    def close(self) -> None:
        self._thread.join(PATIENCE_S)
        self._sock.close()
        for _, descriptor in self.stored:
            os.close(descriptor)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


@pytest.fixture
def namespace() -> Iterator[Path]:
    """A network namespace of ours, alive as long as its one process."""
    libc = ctypes.CDLL(None)
    parent = os.getpid()
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        failed = os.getppid() != parent or libc.unshare(0x40000000)  # CLONE_NEWNET
        os.write(told, b"0" if failed else b"1")
        while not failed:
            signal.pause()
        os._exit(1)
    os.close(told)
    try:
        assert os.read(ready, 1) == b"1"
        yield Path(f"/proc/{pid}/ns/net")
    finally:
        os.close(ready)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def namespace_of(descriptor: int) -> int:
    found = fcntl.ioctl(descriptor, SIOCGSKNS)
    try:
        return os.fstat(found).st_ino
    finally:
        os.close(found)


@pytest.mark.rig
def test_the_manager_gets_four_sockets_of_that_namespace_and_keeps_none_of_another(
    manager: Manager, namespace: Path
) -> None:
    for name in session_sockets.NAMES[1:]:  # of a start before this one
        manager.stored.append((name, os.open("/dev/null", os.O_RDONLY)))
    done = subprocess.run(
        [sys.executable, "-m", "sdbox_agent.provision.session_sockets", str(namespace)],
        check=False,
        capture_output=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "NOTIFY_SOCKET": str(manager.path)},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert tuple(name for name, _ in manager.stored) == session_sockets.NAMES
    inside = namespace.stat().st_ino
    assert inside != Path("/proc/self/ns/net").stat().st_ino
    assert {namespace_of(descriptor) for _, descriptor in manager.stored} == {inside}
    families = []
    for _, descriptor in manager.stored:
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            families.append((sock.family, sock.type, sock.proto))
    assert families == [
        (socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE),
        (socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC),
        (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
        (socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6),
    ]


def test_a_manager_that_never_answers_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_sockets, "BARRIER_S", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf, contextlib.ExitStack() as stack:
        deaf.bind(str(tmp_path / "notify"))
        sockets = [
            stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in session_sockets.NAMES
        ]
        with pytest.raises(TimeoutError):
            session_sockets.hand_over(sockets, str(tmp_path / "notify"))


def test_a_namespace_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        session_sockets.enter(tmp_path / "file")


def test_without_a_manager_it_says_how_it_is_called() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sdbox_agent.provision.session_sockets", "x"],
        check=False,
        capture_output=True,
        timeout=60,
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"},
    )
    assert done.returncode == 2
    assert b"NAMESPACE_FILE" in done.stderr
