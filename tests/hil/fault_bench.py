"""What the fault tests share: a whole rig, its record, what every ended session must satisfy."""

import contextlib
import itertools
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from hil.issuing import Holder
from hil.net.namespace import Namespace
from hil.rig import Rig
from hil.scenarios import session
from sdbox_agent import errors
from sdbox_agent.audit import outbox, record
from sdbox_agent.daemon.view import View
from sdbox_agent.tunnel import echo

SHOWN_S = 5.0  # from the refusal to Spent; here also what a busy machine may add to a deadline
ECHO_S = 1.0  # an answer within 1 ms on a quiet machine
BOTH = ("p-alpha", "p-beta")


def now_ms() -> float:
    return time.monotonic() * 1000


def children(pid: int) -> list[int]:
    """Every process below this one."""
    direct = [
        int(child)
        for task in Path(f"/proc/{pid}/task").glob("*/children")
        for child in task.read_text().split()
    ]
    return direct + [grandchild for child in direct for grandchild in children(child)]


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that hangs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def dropping(namespace: Namespace, rule: str) -> Iterator[None]:
    """What matches `rule` and comes into that namespace is lost."""
    namespace.nft(
        f"""
        table inet faults {{
            chain incoming {{
                type filter hook input priority 0
                {rule} drop
            }}
        }}
        """
    )
    try:
        yield
    finally:
        namespace.nft("delete table inet faults")


class Bench:
    """A rig that is up, people to use it, and one watcher."""

    def __init__(self, rig: Rig, holders: list[Holder]) -> None:
        self.rig = rig
        self.holders = holders
        self._unused = {
            granted: itertools.cycle([one for one in holders if one.name.startswith(granted)])
            for granted in ("one", "both")
        }
        self.look()

    def look(self) -> None:
        """Watch anew: the core is another one."""
        self.watch = self.rig.watch()
        self.watch.state("idle")

    def holder(self, granted: str = "one") -> Holder:
        """A person with `one` project or `both`, and a card that was long not used, if ever."""
        return next(self._unused[granted])

    @property
    def audit(self) -> Path:
        return self.rig.box.paths.state / outbox.NAME

    def entries(self, n: int | None = None) -> list[record.Entry]:
        """The record, its chain checked; of session `n` of the newest start alone, if given."""
        if not self.audit.exists():
            return []
        outbox.verify_file(self.audit)
        lines = [record.decode(line) for line in self.audit.read_bytes().splitlines()]
        if n is None:
            return lines
        return [entry for entry in lines if entry.session == f"{lines[-1].boot_id}-{n}"]

    def ended(self, *codes: str, from_ms: float | None = None, within_s: float = SHOWN_S) -> View:
        """The session ends with one of `codes`: in time, recorded, and with nothing left up.

        `within_s`: how long the box may take to find out, from `from_ms` (now) on.
        """
        from_ms = now_ms() if from_ms is None else from_ms
        closing = self.watch.state("closing", within_s=within_s + 5)
        spent = self.watch.state("spent", "broken")
        code = closing.code
        seen = (code, spent.state, spent.code)
        assert code in codes, seen
        assert seen == (code, "spent", code), seen
        took_s = (closing.mono_ms - from_ms) / 1000
        assert took_s <= within_s, f"found out after {took_s:.2f} s"
        assert spent.mono_ms - closing.mono_ms <= SHOWN_S * 1000
        left = session.residue(self.rig)
        assert left == [], left
        explained = errors.table()[code]
        told = [entry.result for entry in self.entries(spent.n) if entry.code == code]
        assert told == [explained.result], (code, told)
        return spent

    def tidy(self) -> None:
        """After a case, failed or not: no card in, nothing going on, nothing old to be seen."""
        self.rig.operator.remove()
        self.rig.box.wait_ready()
        self.watch.close()
        self.watch = self.rig.watch()
        self.watch.until(session.ready, "readiness")  # a fault that is retried may begin once more
        self.rig.oracle.ask()

    def good(self, holder: Holder | None = None) -> None:
        """A session from end to end: the box has taken no harm."""
        seen = session.enter(self.rig, self.watch, holder or self.holder())
        assert (seen.state, seen.code) == ("open", None), (seen.state, seen.code)
        self.rig.operator.remove()
        self.ended("card-removed")

    def to_scanning(self, holder: Holder, faults=()) -> View:
        seen = session.to_finger(self.rig, self.watch, holder, faults)
        assert seen.state == "scanning", (seen.state, seen.code)
        return seen

    def to_open(self, holder: Holder) -> View:
        seen = session.enter(self.rig, self.watch, holder)
        assert seen.state == "open", (seen.state, seen.code)
        return seen

    def machine_answers(self) -> bool:
        """Does the first project's machine answer an echo from inside the session?"""
        shown = self.rig.topology.vm[0].show("-4 addr show dev wg-vm1").split()
        machine = shown[shown.index("inet") + 1].split("/")[0]
        kind = (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
        with self.rig.topology.session.socket(*kind) as echo_socket:
            echo_socket.settimeout(ECHO_S)
            with contextlib.suppress(OSError):
                echo_socket.sendto(echo.request(4, 1, b"test"), (machine, 0))
                return bool(echo_socket.recv(256))
        return False

    def wireguard_go(self) -> int:
        """The tunnel's own process."""
        (pid,) = [
            child
            for child in children(self.rig.box.pid("sdbox-tunnel"))
            if name_of(child).startswith("wireguard")
        ]
        return pid


@contextlib.contextmanager
def opened(
    one: int,
    both: int = 0,
    *,
    lease_s: int = 60,
    watchdog_s: dict[str, float] | None = None,
    **rig_options: bool,
) -> Iterator[Bench]:
    """A bench with so many holders of one project, and of both; all of one person."""
    with Rig(lease_s=lease_s, **rig_options) as rig:
        rig.box.watchdog_s = watchdog_s or {}
        names = [f"one-{k:02d}" for k in range(one)] + [f"both-{k:02d}" for k in range(both)]
        holders = [
            rig.enrol(name, seed=1, projects=BOTH if name.startswith("both") else BOTH[:1])
            for name in names
        ]
        rig.start()
        yield Bench(rig, holders)
