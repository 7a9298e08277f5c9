"""A booted rig and what every test of it asks. Not a module of tests."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hil.boot.machine import Machine
from hil.boot.rig import BootRig
from hil.issuing import Holder
from hil.operator import Watch
from hil.package import trial
from hil.scenarios import session
from sdbox_agent.daemon.view import View
from tests.console.terminals import Desk, desk
from tests.waiting import until

SEED = 11
FIGURES: list[str] = []  # what a run has measured, told at its end
BOTH = ("p-alpha", "p-beta")


@dataclass
class Bench:
    """The rig, its holder, the first screen, and what the machine was before the package."""

    rig: BootRig
    holder: Holder
    glass: Desk
    debian: set[str]
    accounts: dict[str, set[str]]

    @property
    def machine(self) -> Machine:
        return self.rig.machine

    def enter(self, watch: Watch) -> View:
        """A good session, up to the open tunnel."""
        seen = session.enter(self.rig, watch, self.holder, "p-beta")
        log = self.rig.box.log("sdbox-agent")[-3000:]
        assert seen.state == "open", (seen.state, seen.code, log)
        return seen

    def watch(self) -> Watch:
        """From now on, once the box is idle and knows of its workers."""
        watch = until(self._watched)
        if watch.views[-1].state != "idle":
            watch.state("idle", within_s=60)
        return watch

    def _watched(self) -> Watch | None:
        try:
            watch = self.rig.watch()
            watch.until(lambda _: True, "view")
        except OSError:
            return None
        return watch

    def whole(self) -> None:
        """A session from card to card, and nothing of it left."""
        watch = self.watch()
        self.enter(watch)
        ended = session.leave(self.rig, watch)
        assert (ended.code, self.rig.residue()) == ("card-removed", [])
        watch.close()

    def active(self, unit: str) -> bool:
        return self.machine.show(unit)["ActiveState"] == "active"


@contextlib.contextmanager
def booted(lower: Path, package: Path) -> Iterator[Bench]:
    """Debian is booted, the package installed by apt, a box made of it and booted anew."""
    with desk(80, 25) as glass, BootRig(lower, os.ttyname(glass.slave)) as rig:
        rig.machine.boot()
        debian, accounts = trial.files(rig.machine.root), trial.accounts(rig.machine.root)
        rig.install(package)
        rig.provision()
        holder = rig.enrol("test-holder-01", SEED, BOTH)
        rig.start()
        yield Bench(rig, holder, glass, debian, accounts)
