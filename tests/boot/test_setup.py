"""The operator's one command on a Debian that runs: a box, a session, and no box any more."""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.boot import root
from hil.boot.__main__ import PACKAGE
from hil.boot.rig import BootRig
from hil.rig import BOX_NAME
from hil.scenarios import session
from sdbox_agent.provision.doctor.parts import STARTED_AT_BOOT
from tests.boot.bench import FIGURES
from tests.console.terminals import desk
from tests.hil.test_setup import SETUP_S, Field, keys_in
from tests.waiting import until

# What a container has of its host's kernel, and a box of its own: as set-up would leave it.
KERNEL = {
    "/proc/cmdline": "quiet init_on_free=1 nohibernate",
    "/proc/swaps": "Filename Type Size Used Priority",
    "/proc/sys/kernel/core_pattern": "|/bin/false",
    "/sys/power/state": "freeze mem",
}
ANSWERS = "/var/tmp/box.toml"


class Machine(Field):
    """A booted Debian with the package, an operator at it, staff at the centre."""

    def fresh(self) -> None:
        """It is, once."""

    def asked(self, *words: str) -> tuple[int, str]:
        status, said, wrong = self.rig.machine.ask("sdbox-agent", "--language", "en", *words)
        return status, said + wrong

    def given(self) -> str:
        """The files as they came, and the anchor as it was told."""
        answers, anchor, _ = self.order()
        for name in (answers.name, f"{answers.name}.sig"):
            shutil.copyfile(answers.with_name(name), self.rig.machine.root / "var/tmp" / name)
        return anchor

    def kernel(self) -> None:
        """As a machine that has been started once more since step 2."""
        here = [path for path in KERNEL if (self.rig.machine.root / path.lstrip("/")).exists()]
        for path in here:
            copy = f"/run/{Path(path).name}"
            self.rig.machine.write(copy, f"{KERNEL[path]}\n")
            self.rig.machine.run("mount", "--bind", copy, path)

    def active(self) -> set[str]:
        show = self.rig.machine.show
        return {unit for unit in STARTED_AT_BOOT if show(unit)["ActiveState"] == "active"}


def steps(said: str) -> int:
    """How many there are, as each line says."""
    (of,) = set(re.findall(r"^ ?[0-9]+/([0-9]+) ", said, re.MULTILINE))
    return int(of)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    package = Path(os.environ[PACKAGE])
    with (
        desk(80, 25) as glass,
        BootRig(root.clean(), os.ttyname(glass.slave), by_hand=False) as rig,
    ):
        rig.machine.boot()
        rig.install(package)
        rig.provision()
        rig.holder = rig.enrol("test-holder-01", 11, ("p-beta",))  # type: ignore[attr-defined]
        rig.start()
        yield Machine(rig)  # type: ignore[arg-type]


def test_one_command_makes_a_box_that_opens_a_session_and_one_unmakes_it(machine: Machine) -> None:
    anchor = machine.given()
    setup = ("setup", "--answers", ANSWERS, "--wait", "0")
    machine.kernel()
    began_s = time.monotonic()
    status, said = machine.asked(*setup, "--anchor", anchor)
    took_s = time.monotonic() - began_s
    assert (status, said.count(": failed")) == (1, 1), said
    assert "(activation-awaited)" in said
    assert machine.active() == set(STARTED_AT_BOOT)
    assert took_s < SETUP_S
    FIGURES.append(f"setup, until staff are waited for: {took_s:.1f} s")

    machine.staff("box", "activate", BOX_NAME, "--keys", keys_in(said))
    status, said = machine.asked(*setup)
    assert status == 0, said
    status, said = machine.asked(*setup)
    assert (status, said.count(": already so")) == (0, steps(said)), said

    rig = machine.rig
    rig.box.wait_ready()
    rig.box.walled()
    with contextlib.closing(rig.watch()) as watch:
        watch.until(lambda one: one.link is not None and one.link.up, "link")
        assert session.enter(rig, watch, rig.holder).state == "open"  # type: ignore[attr-defined]
        assert session.leave(rig, watch).code == "card-removed"
    rig.oracle.ask()

    status, said = machine.asked("setup", "--retire")
    assert status == 0, said
    assert "could not be told" not in said
    for place in ("etc/sdbox", "var/lib/sdbox"):
        assert not any((rig.machine.root / place).iterdir())
    assert machine.active() == {"sdbox-walls.service"}
    until(lambda: "suspended" in machine.staff_reads("box", "list"))
    status, said = machine.asked("setup", "--retire")
    assert (status, said.count(": already so")) == (0, steps(said)), said
