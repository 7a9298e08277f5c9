"""[door] One step of a load test: so many boxes' morning at a fresh centre, renewals, revocations.

Everything lies in one directory and in the rig's namespaces; nothing is reached beyond them.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hil import scratch
from hil.bench_processes import children, cpu_ns
from hil.centre import PORT, PROJECTS, SQLITE, Centre
from hil.issuing import Issuing
from hil.load import clients
from hil.load.clients import Clients, Times
from hil.load.crowd import Party, crowd
from hil.net.topology import CENTRE4, Topology
from hil.postgres import Cluster
from hil.reload import reload_gateway
from sdbox_agent.centre.https import Where
from sdbox_agent.daemon.patience import FIRST_SPREAD_S
from sdbox_centre.authority import pem_of

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

    from hil.load.box import Call
    from sdbox_agent.tunnel.link import UapiSocket

ARRIVALS_S: Final = 50.0  # in which people put their cards in, each when it pleases them
LEASE_S: Final = 60  # renewed at half of it
AWAY_S: Final = 20.0  # the database, at its restart
LOOK_S: Final = 0.002


@dataclass
class Measured:
    """What one step gave; times on the monotonic clock."""

    boxes: int
    calls: list[Call]
    renewals: list[Call] = field(default_factory=list)
    revocation_ms: list[float] = field(default_factory=list)
    restarts: dict[str, Survived] = field(default_factory=dict)
    outlived_s: float | None = None  # the last peer, beyond the lease that a card last signed for
    renewed_s: float = 0.0
    morning_cpu_s: dict[str, float] = field(default_factory=dict)
    renewal_cpu_s: dict[str, float] = field(default_factory=dict)

    @property
    def opened(self) -> list[int]:
        """The boxes that have a lease."""
        return [call.box for call in self.calls if (call.name, call.code) == ("receipt", "done")]


@dataclass(frozen=True)
class Survived:
    """A restart under live sessions."""

    before: int  # peers
    after: int  # when each has been renewed since
    away_s: float


class Bench:
    """A centre and its boxes, from `with` to its end."""

    def __init__(self, boxes: int, *, sqlite: bool = False) -> None:
        """On PostgreSQL, as a centre of some size is, or on SQLite's one file."""
        self._boxes = boxes
        self.cluster = None if sqlite else Cluster()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Bench:
        with contextlib.ExitStack() as stack:
            root = scratch.made("rig")
            stack.callback(shutil.rmtree, root, ignore_errors=True)
            topology = stack.enter_context(Topology(vms=len(PROJECTS)))
            (root / "centre").mkdir(mode=0o755)
            (root / "boxes").mkdir(mode=0o700)
            issuing = Issuing()
            database = SQLITE
            if self.cluster is not None:
                database = stack.enter_context(self.cluster).database()
            at_root = (root / "centre", topology, issuing, LEASE_S)
            self.centre = Centre(*at_root, database=database)
            self.parties = crowd(issuing, self.centre, self._boxes, PROJECTS[0].name)
            authority = root / "boxes/centre.pem"
            authority.write_bytes(pem_of(issuing.servers.certificate))
            where = Where(((CENTRE4, PORT),), "centre.test")
            at = clients.Centre(where, str(authority), PROJECTS[0].name)
            self.clients = Clients(self.parties, at, root / "boxes", topology.box)
            stack.callback(self.clients.close)
            stack.callback(self.centre.stop)
            self.centre.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def control(self) -> Iterator[UapiSocket]:
        """The project's WireGuard."""
        with contextlib.closing(self.centre.control(PROJECTS[0])) as control:
            yield control

    def peers(self) -> int:
        """How many are in, as wireguard-go itself says."""
        with self.control() as control:
            return len(control.device().peers)

    def cpu_s(self) -> dict[str, float]:
        """Processor time so far: the API, the gateway, its interfaces, the database's processes."""
        gateway = self.centre.gateway.pid
        spent_ns = {
            "api": cpu_ns(self.centre.api.pid),
            "gateway": cpu_ns(gateway),
            "wireguard": sum(map(cpu_ns, children(gateway))),
        }
        if self.cluster is not None:
            spent_ns["database"] = sum(map(cpu_ns, children(self.cluster.pid)))
        return {name: ns / 1e9 for name, ns in spent_ns.items()}


def run(
    boxes: int,
    rng: random.Random,
    renewals_s: float,
    revocations: int,
    *,
    restarts: bool = False,
    sqlite: bool = False,
) -> Measured:
    """One step. `renewals_s`: how long renewals are watched before anybody is revoked.

    `restarts`: then each part of the centre is restarted, and at last the leases run out.
    """
    with Bench(boxes, sqlite=sqlite) as bench:
        before = bench.cpu_s()
        made = bench.clients.morning(morning(boxes, rng))
        measured = Measured(boxes, [call for call in made if call.name != "renew"])
        measured.morning_cpu_s = _since(before, bench.cpu_s())
        before, begun_s = bench.cpu_s(), time.monotonic()
        time.sleep(renewals_s)
        measured.renewed_s = time.monotonic() - begun_s
        measured.renewal_cpu_s = _since(before, bench.cpu_s())
        inside = [bench.parties[box] for box in measured.opened]
        measured.revocation_ms = [
            revocation_ms(bench, party)
            for party in rng.sample(inside, min(revocations, len(inside)))
        ]
        if restarts:
            measured.restarts = {name: survived(bench, name) for name in RESTARTS}
        made += bench.clients.stop()
        measured.renewals = [call for call in made if call.name == "renew"]
        if restarts:
            measured.outlived_s = outlived_s(bench, measured.renewals)
    return measured


def morning(boxes: int, rng: random.Random) -> list[Times]:
    """When each box makes its first call, and when its card is put in."""
    from_s = clients.soon_s()
    return [
        Times(from_s + rng.uniform(0, FIRST_SPREAD_S), from_s + rng.uniform(0, ARRIVALS_S))
        for _ in range(boxes)
    ]


def revocation_ms(bench: Bench, party: Party) -> float:
    """From the staff's act to the peer's absence, as wireguard-go itself says."""
    with bench.control() as control:
        before = len(control.device().peers)
        begun_s = time.monotonic()
        bench.centre.revoke_card(party.holder)
        _until(lambda: len(control.device().peers) < before)
    return 1000 * (time.monotonic() - begun_s)


def survived(bench: Bench, name: str) -> Survived:
    """Restart a part of the centre; every lease is renewed over it, or is lost."""
    before, begun_s = bench.peers(), time.monotonic()
    RESTARTS[name](bench)
    away_s = time.monotonic() - begun_s
    time.sleep(LEASE_S)  # any lease that was not renewed since is over by then
    return Survived(before, bench.peers(), away_s)


def _api(bench: Bench) -> None:
    bench.centre.end_api()
    bench.centre.start_api()


def _gateway(bench: Bench) -> None:
    reload_gateway(bench.centre)


def _database(bench: Bench) -> None:
    """Away for a while: ended and started again, or another holds the file."""
    if bench.cluster is not None:
        bench.cluster.stop()
        time.sleep(AWAY_S)
        bench.cluster.start()
        return
    with contextlib.closing(sqlite3.connect(bench.centre.root / SQLITE)) as held:
        held.execute("BEGIN EXCLUSIVE")
        time.sleep(AWAY_S)


RESTARTS: Final[dict[str, Callable[[Bench], None]]] = {
    "api": _api,
    "gateway": _gateway,
    "database": _database,
}


def outlived_s(bench: Bench, renewals: list[Call]) -> float:
    """How long the last peer was in beyond the last lease that a card signed for."""
    signed_s = max(one.sent_s + one.took_ms / 1000 for one in renewals if one.code == "done")
    _until(lambda: bench.peers() == 0, within_s=2 * LEASE_S)
    return time.monotonic() - signed_s - LEASE_S


def _since(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: after[name] - before[name] for name in before}


def _until(so: Callable[[], bool], within_s: float = 30.0) -> None:
    end_s = time.monotonic() + within_s
    while not so():
        if time.monotonic() > end_s:
            raise TimeoutError("the peer is still in")
        time.sleep(LOOK_S)
