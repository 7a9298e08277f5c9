"""The whole bench: networks, readers, a centre, a box, people. From `with` to its end.

    with Rig() as rig:
        holder = rig.enrol("test-holder-01", seed=1, projects=("p-alpha",))
        rig.start()
        rig.operator.insert(holder.card)

An oracle judges every frame that leaves the box: leaving asks it, and so does whoever wants to know
sooner (`rig.oracle.ask()`).

Everything lies in one directory and in namespaces named after this process; what a killed rig left
behind is swept up by the next one.
"""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Final, Self

from hil import scratch
from hil.box import Box
from hil.centre import FIRST_WIREGUARD_PORT, PROJECTS, Centre
from hil.issuing import Holder, Issuing
from hil.net.carrier import CARRIER_AT
from hil.net.oracle import Oracle, Span
from hil.net.topology import CENTRE4, Topology, allowed
from hil.operator import Operator, Watch
from hil.pcscd import Pcscd
from sdbox_agent.terms import Level

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from hil.card.keys import Algorithm
    from hil.net.allowed import Allowed
    from hil.postgres import Cluster

BOX_NAME: Final = "box-01"
# What a removal may take to be noticed on a busy machine; how soon it is, `make bench` measures.
REMOVAL_NOTICED_NS: Final = 5 * 10**9


class Rig:
    """One box and one centre."""

    def __init__(
        self,
        *,
        lease_s: int = 60,
        readers: int = 2,
        carries: bool = False,
        hostile: bool = False,
        fresh: bool = False,
        chip: bool = False,
        cluster: Cluster | None = None,
        pcscd: Callable[[Path], Pcscd] | None = None,
        profile: str = "virtual",
        drop_in: str = "",
    ) -> None:
        """`carries`: the centre takes WireGuard over TLS, too; `hostile`: see `topology.host`.

        `fresh`: the box is a machine that set-up is yet to make a box of, and the centre does not
        know it. `chip`: it has a security chip. `cluster`: the centre has a database there, instead
        of SQLite's file. `pcscd`, `profile`, `drop_in`: another than the virtual hardware.
        """
        self._pcscd = pcscd or (lambda directory: Pcscd(directory, readers=readers))
        self._profile = (profile, drop_in)
        self._hostile = hostile
        self._fresh = fresh
        self._chip = chip
        self._database = {} if cluster is None else {"database": cluster.database()}
        self._lease_s = lease_s
        self._carries = carries
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.root = scratch.made("rig")
            stack.callback(shutil.rmtree, self.root, ignore_errors=True)
            self.topology = stack.enter_context(Topology(vms=len(PROJECTS), hostile=self._hostile))
            self.pcscd = stack.enter_context(self._pcscd(self._made("pcscd")))
            self.oracle = stack.enter_context(
                Oracle(self.topology.cable, self._allowed(), self._card_was_in)
            )
            self.issuing = Issuing()
            self.centre = Centre(
                self._made("centre"),
                self.topology,
                self.issuing,
                self._lease_s,
                carries=self._carries,
                enrols=self._fresh or self._chip,
                **self._database,
            )
            self.box = Box(
                self._made("box"),
                BOX_NAME,
                self.topology,
                self.issuing,
                self.pcscd.socket_path,
                by_hand=not self._fresh,
                chip=self._chip,
            )
            if self.box.chip is not None:
                stack.callback(self.box.chip.stop)
            self.box.walled = self.oracle.walled
            if not self._fresh:
                self.box.set_profile(*self._profile)
                self.centre.add_box(BOX_NAME, self.box.tls, self.box.statement)
            self.operator = Operator(self.box, self.pcscd.reader(0))
            self._stack = stack.pop_all()
        return self

    def _card_was_in(self) -> list[Span]:
        """No card, no grant: the slots say when there was one, whatever the box may think."""
        return [
            Span(
                stay.inserted_at_ns,
                None if stay.removed_at_ns is None else stay.removed_at_ns + REMOVAL_NOTICED_NS,
            )
            for slot in self.pcscd.slots
            for stay in slot.insertions
            if stay.inserted_at_ns is not None
        ]

    def _made(self, name: str) -> Path:
        path = self.root / name
        path.mkdir(mode=0o755)
        return path

    def enrol(
        self,
        name: str,
        seed: int,
        projects: tuple[str, ...] = (PROJECTS[0].name,),
        algorithms: Mapping[str, Algorithm] | None = None,
        level: Level = Level.HOST_MATCH,
    ) -> Holder:
        """A person the centre knows. Before `start`."""
        holder = self.issuing.holder(name, seed, algorithms=algorithms, level=level)
        self.centre.add_holder(holder, projects)
        return holder

    def start(self) -> None:
        """Centre first, then the box."""
        self.start_centre()
        self.start_box()

    def start_centre(self) -> None:
        """API and gateway."""
        self.centre.start()
        self._stack.callback(self.centre.stop)

    def start_box(self) -> None:
        """Boot it."""
        self._stack.callback(self.box.stop)
        self.box.start()

    def watch(self) -> Watch:
        """Look at the box's local socket from now on."""
        watch = Watch(self.box)
        self._stack.callback(watch.close)
        return watch

    def _allowed(self) -> Allowed:
        """Whom this rig's centre may grant."""
        ports = range(FIRST_WIREGUARD_PORT, FIRST_WIREGUARD_PORT + len(PROJECTS))
        carriers = [CARRIER_AT] if self._carries else []
        return allowed([f"{CENTRE4}:{port}" for port in ports], carriers=carriers)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.operator.remove()
        self._stack.__exit__(kind, error, trace)
