"""The whole bench around a booted box: networks, a centre, people; from `with` to its end.

The same as `hil.rig`, but that readers and pcscd are in the container, and that the container is
Debian's until `install` and `provision` have made a box of it.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Final, Self

from hil import scratch
from hil.boot.box import BootedBox
from hil.boot.machine import Machine
from hil.card.namespace import NetworkNamespace
from hil.card.slot import Slot
from hil.centre import FIRST_WIREGUARD_PORT, PROJECTS, Centre
from hil.issuing import Holder, Issuing
from hil.net.oracle import Oracle, Span
from hil.net.topology import CENTRE4, UPLINK, Topology, allowed
from hil.operator import Operator, Watch
from hil.pcscd import FIRST_PORT
from hil.rig import BOX_NAME, REMOVAL_NOTICED_NS

READER: Final = "Virtual PCD 00 00"  # of Debian's own /etc/reader.conf.d/vpcd
_TCP: Final = Path("/proc/thread-self/net/tcp")
SESSION: Final = "sdbox-session"


class BootRig:
    """One container and one centre."""

    def __init__(self, lower: Path, screen: str, *, by_hand: bool = True) -> None:
        """`lower`: a clean Debian. `screen`: the terminal that is the container's tty1.

        `by_hand`: else set-up is yet to make a box of it, and the centre does not know it.
        """
        self._lower, self._screen, self._by_hand = lower, screen, by_hand
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.root = scratch.made("boot")
            stack.callback(shutil.rmtree, self.root, ignore_errors=True)
            self.topology = stack.enter_context(Topology(vms=len(PROJECTS)))
            self.slot = self._slot(stack)
            ports = range(FIRST_WIREGUARD_PORT, FIRST_WIREGUARD_PORT + len(PROJECTS))
            self.oracle = stack.enter_context(
                Oracle(
                    self.topology.cable,
                    allowed([f"{CENTRE4}:{port}" for port in ports]),
                    self._card_was_in,
                )
            )
            self.issuing = Issuing()
            (self.root / "centre").mkdir(mode=0o755)
            self.centre = Centre(
                self.root / "centre", self.topology, self.issuing, enrols=not self._by_hand
            )
            room = self.root / "machine"
            room.mkdir(mode=0o755)
            self.topology.box.ip(f"addr flush dev {UPLINK}", f"link set {UPLINK} down")
            self.machine = stack.enter_context(
                Machine(self._lower, room, self.topology.box, self._screen)
            )
            stack.callback(self._pull)
            self._stack = stack.pop_all()
        return self

    def _slot(self, stack: contextlib.ExitStack) -> Slot:
        namespace = NetworkNamespace.open(self.topology.box.path)
        stack.callback(namespace.close)
        return Slot(READER, FIRST_PORT, namespace)

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _pull(self) -> None:
        self.slot.remove()

    def install(self, package: Path) -> None:
        """By apt, in the container, which runs. Raises Failed."""
        name = f"/root/{package.name}"
        shutil.copyfile(package, self.machine.root / name.lstrip("/"))
        self.machine.run("apt-get", "install", "-qq", name, within_s=300)

    def provision(self) -> None:
        """Make a box of it, or what the rig needs in one, and halt it."""
        self.box = BootedBox(
            self.machine, BOX_NAME, self.topology, self.issuing, by_hand=self._by_hand
        )
        self.box.walled = self.oracle.walled
        if self._by_hand:
            self.centre.add_box(BOX_NAME, self.box.tls, self.box.statement)
        self.operator = Operator(self.box, self.slot)
        self.machine.halt()

    def enrol(self, name: str, seed: int, projects: tuple[str, ...]) -> Holder:
        """A person the centre knows. Before `start`."""
        holder = self.issuing.holder(name, seed)
        self.centre.add_holder(holder, projects)
        return holder

    def start(self) -> None:
        """Centre first, then the box, which is booted."""
        self.centre.start()
        self._stack.callback(self.centre.stop)
        if self._by_hand:
            self.box.start()
        else:
            self.box.boot()

    def watch(self) -> Watch:
        """Look at the box's local socket from now on."""
        watch = Watch(self.box)
        self._stack.callback(watch.close)
        return watch

    def takes_cards(self) -> bool:
        """Does the virtual reader listen?"""
        listening = f":{FIRST_PORT:04X} 00000000:0000 0A"  # proc(5), net/tcp
        return self.topology.box.run(lambda: listening in _TCP.read_text())

    def residue(self) -> list[str]:
        """What a session left up on the box: nothing, after its end."""
        inside = self.machine.run("ip", "-n", SESSION, "-o", "link").splitlines()
        links = {line.split(": ")[1].split("@")[0] for line in inside} - {"lo"}
        links |= self.topology.box.links() - {"lo", UPLINK}
        routes = self.machine.run("ip", "-n", SESSION, "route", "show", "table", "main").strip()
        return [*sorted(links), *filter(None, [routes])]

    def _card_was_in(self) -> list[Span]:
        return [
            Span(
                stay.inserted_at_ns,
                None if stay.removed_at_ns is None else stay.removed_at_ns + REMOVAL_NOTICED_NS,
            )
            for stay in self.slot.insertions
            if stay.inserted_at_ns is not None
        ]
