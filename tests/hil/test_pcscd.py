"""pcscd in its namespaces: who reaches it, who does not, and what is left when it ends."""

import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil import scratch
from hil.card.card import PivCard
from hil.card.namespace import NetworkNamespace
from hil.card.slot import Slot
from hil.card.vpcd import ReaderGoneError
from hil.launch import units
from hil.pcscd import FIRST_PORT, Pcscd, PcscdError
from tests.hil.card.pcsc_client import Client, PcscError
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.rig

REPOSITORY = Path(__file__).parents[2]
# A test process of its own: starts pcscd, inserts a card, says its pid, and waits to be killed.
VICTIM = """
import sys, time
from pathlib import Path
from hil.card.card import PivCard
from hil.pcscd import Pcscd
pcscd = Pcscd(Path(sys.argv[1]))
pcscd.start()
pcscd.reader(0).insert(PivCard.create()).wait_powered()
print(pcscd.pid, flush=True)
time.sleep(60)
"""

LISTER = """
from tests.hil.card.pcsc_client import Client, PcscError
try:
    print(",".join(Client().readers()), end="")
except PcscError as error:
    print(error, end="")
"""
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short enough for a socket's path, and open to every uid, as pytest's own are not."""
    made = scratch.made("test")
    yield made
    scratch.removed(made)


@pytest.fixture
def pcscd(directory: Path) -> Iterator[Pcscd]:
    with Pcscd(directory, readers=2) as running:
        yield running


def opensc(pcscd: Pcscd, *command: str, uid: str = "root") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["setpriv", f"--reuid={uid}", "--clear-groups", *command],
        env={**os.environ, **pcscd.environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def readers_seen(pcscd: Pcscd) -> str:
    """By a process of its own: this one may be bound to another socket."""
    return subprocess.run(
        [sys.executable, "-c", LISTER],
        env={**os.environ, **pcscd.environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        cwd=REPOSITORY,
    ).stdout


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_it_goes_up_and_down(directory: Path) -> None:
    pcscd = Pcscd(directory)
    pcscd.start()
    pid = pcscd.pid
    assert pid is not None
    pcscd.close()
    assert not alive(pid)
    assert pcscd.pid is None
    assert not pcscd.socket_path.exists()


def test_it_is_who_a_box_makes_it_and_can_be_nobody_else(pcscd: Pcscd) -> None:
    """systemd/pcscd.service.d/sdbox.conf: its user, no capability and no way to one."""
    unit = units.read(REPOSITORY / "systemd/pcscd.service.d/sdbox.conf")
    uid = units.users(REPOSITORY / "systemd/sdbox.sysusers")[unit["User"][0]]
    lines = Path(f"/proc/{pcscd.pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines)
    assert status["Uid"].split() == status["Gid"].split() == [str(uid)] * 4
    assert status["Groups"].split() == []
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"
    assert "pcscd" in status["Name"]


@pytest.mark.parametrize("uid", ["root", "nobody", "61002"])
def test_every_uid_reaches_it_by_path(pcscd: Pcscd, uid: str) -> None:
    pcscd.reader(1).insert(PivCard.create()).wait_powered()
    answer = opensc(pcscd, "opensc-tool", "--reader", "1", "-n", uid=uid)
    assert answer.stdout == "Personal Identity Verification Card\n"


def test_nothing_listens_outside_its_namespace(pcscd: Pcscd) -> None:
    with socket.socket() as outside, pytest.raises(ConnectionRefusedError):
        outside.connect(("127.0.0.1", FIRST_PORT))
    with pytest.raises(ReaderGoneError):
        Slot("outside", FIRST_PORT, None).insert(PivCard.create())
    pcscd.reader(0).insert(PivCard.create())


def test_the_machines_own_run_directory_is_not_touched(pcscd: Pcscd) -> None:
    assert not Path("/run/pcscd/pcscd.comm").exists()
    mounts = Path("/proc/self/mounts").read_text()
    assert str(pcscd.socket_path.parent) not in mounts


def test_six_readers_are_six_and_each_has_its_own_card(directory: Path) -> None:
    with Pcscd(directory, readers=6) as pcscd:
        cards = [PivCard.create() for _ in range(6)]
        insertions = [pcscd.reader(i).insert(card) for i, card in enumerate(cards)]
        for insertion in insertions:
            insertion.wait_powered()
        listed = opensc(pcscd, "opensc-tool", "-l").stdout
        for i, card in enumerate(cards):
            assert f"Yes             {pcscd.reader(i).reader_name}\n" in listed
            serial = opensc(pcscd, "piv-tool", "--reader", str(i), "--serial").stdout
            assert bytes.fromhex(serial[:47]) == card.guid.bytes


def test_no_readers_is_a_state_too(directory: Path) -> None:
    with Pcscd(directory, readers=0) as pcscd:
        assert readers_seen(pcscd) == "0x8010002e"  # SCARD_E_NO_READERS_AVAILABLE


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_cards_stay_in_their_slots_when_it_goes_and_comes_back(pcscd: Pcscd, end: str) -> None:
    card = PivCard.create()
    insertion = pcscd.reader(0).insert(card)
    insertion.wait_powered()
    getattr(pcscd, end)()
    assert pcscd.pid is None
    assert readers_seen(pcscd) == "0x8010001d"  # SCARD_E_NO_SERVICE
    assert insertion.removed_at_ns is None
    pcscd.start()

    def serial() -> str:
        said = opensc(pcscd, "piv-tool", "--reader", "0", "--serial")
        return said.stdout[:47] if said.returncode == 0 else ""

    assert bytes.fromhex(until(serial)) == card.guid.bytes


def test_it_can_stand_in_a_namespace_of_the_callers(directory: Path) -> None:
    namespace = NetworkNamespace.create()
    with Pcscd(directory, namespace=namespace) as pcscd:
        assert (
            os.fstat(namespace.fileno()).st_ino == Path(f"/proc/{pcscd.pid}/ns/net").stat().st_ino
        )
        pcscd.reader(0).insert(PivCard.create()).wait_powered()
    os.fstat(namespace.fileno())  # still the caller's
    namespace.close()


def test_a_restart_is_another_process(pcscd: Pcscd) -> None:
    before = pcscd.pid
    pcscd.restart()
    assert pcscd.pid not in (None, before)


@pytest.fixture
def reaper() -> Iterator[None]:
    """Orphans become ours, so that none is left behind as a zombie."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    yield
    libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.mark.usefixtures("reaper")
def test_killing_the_process_that_started_it_ends_it(directory: Path) -> None:
    command = [sys.executable, "-c", VICTIM, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as victim:
        assert victim.stdout is not None
        pid = int(victim.stdout.readline())
        watch = os.pidfd_open(pid)
        victim.send_signal(signal.SIGKILL)
        victim.wait(PATIENCE_S)
        ended = select.select([watch], [], [], PATIENCE_S)[0]
        os.close(watch)
        assert ended, "pcscd outlives the process that started it"
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    with Pcscd(directory) as successor:  # over the files that were left
        successor.reader(0).insert(PivCard.create()).wait_powered()


def test_it_is_not_started_from_a_thread_it_would_die_with(directory: Path) -> None:
    pcscd = Pcscd(directory)
    raised: list[Exception] = []

    def start() -> None:
        try:
            pcscd.start()
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    pcscd.close()
    assert len(raised) == 1


def test_a_pcscd_that_does_not_come_up_says_why(directory: Path, monkeypatch) -> None:
    monkeypatch.setattr("hil.pcscd._INSIDE", "echo cannot >&2; exit 3")
    pcscd = Pcscd(directory)
    with pytest.raises(PcscdError, match="cannot"):
        pcscd.start()
    pcscd.close()


def test_paths_and_numbers_out_of_bounds_are_refused(directory: Path) -> None:
    with pytest.raises(ValueError, match="too long"):
        Pcscd(directory / ("x" * 120))
    with pytest.raises(ValueError, match="16 readers"):
        Pcscd(directory, readers=17)


def test_one_process_speaks_to_one_socket_ever(pcscd: Pcscd, monkeypatch) -> None:
    """Why there is `shared`: libpcsclite keeps the path it read first."""
    shared = Pcscd.shared()
    with Client() as client:
        assert len(client.readers()) == 8
    monkeypatch.setenv("PCSCLITE_CSOCK_NAME", str(pcscd.socket_path))
    with Client() as client:
        assert len(client.readers()) == 8
    shared.stop()
    with pytest.raises(PcscError):
        Client()
    assert Pcscd.shared() is shared
    with Client() as client:
        assert len(client.readers()) == 8
