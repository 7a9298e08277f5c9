"""The probe in a unit's place: the manager starts it as it would start the unit's own program.

A drop-in exchanges the program and nothing that confines: user, capabilities, namespaces, filters
of calls, control group and mounts are the unit's. What it proves: whoever has taken such a process
over can do these acts or not. That the unit's own process is held by the same is then asked of the
kernel (`standing`), before the exchange.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil.boot import probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.boot.machine import Machine

PROBE: Final = "/run/sdbox-probe/probe.py"
_EXCHANGE: Final = """[Service]
Type=oneshot
ExecStart=
ExecStart=/usr/bin/python3 -I {probe} {unit}
ExecStop=
Restart=no
RemainAfterExit=no
WatchdogSec=0
"""
_INTERPRETER: Final = "BindReadOnlyPaths=/usr/bin/python3.11:/usr/bin/python3\n"  # pcscd has none
_ALONE: Final = "--job-mode=replace-irreversibly"  # whatever a socket would start meanwhile
CONTROL: Final = "nobody's"
_PREY: Final = "sdbox-prey.service"
# As our processes that hold keys: closed to those of their own user. What is left is the unit's.
_CLOSED: Final = """
import time
from sdbox_agent import hardening, notify
hardening.close_memory()
notify.ready()
time.sleep(3600)
"""
_RIGS_OWN: Final = "rig.conf"


@dataclass(frozen=True)
class Told:
    """What the probe has told from one unit."""

    came: dict[str, str]  # act -> "done", or the name of an error
    standing: dict[str, list[str]]


def prepare(machine: Machine) -> None:
    """The probe's file, and prey that nothing protects but confinement."""
    machine.write(PROBE, Path(probe.__file__).read_text())
    for home in probe.HOMES:
        machine.write(f"{home}/{probe.SECRET}", "secret\n")
    machine.run("chmod", "0755", *probe.HOMES)
    node = Path(probe.USB)
    machine.run("mkdir", "-p", str(node.parent))
    # mknod(1) by the container's root, whom no device rule holds; the mode is udev's for USB.
    if not (machine.root / probe.USB.lstrip("/")).exists():
        machine.run("mknod", "-m", "0664", probe.USB, "c", "189", "8")


def control(machine: Machine) -> Told:
    """As root, held by nothing."""
    words = ("systemd-run", "--quiet", "--wait", "--pipe", "/usr/bin/python3", "-I", PROBE)
    return told(machine.run(*words, CONTROL), CONTROL)


def taken_over(machine: Machine, unit: str) -> Told:
    """`unit`, a service or an instance of one, exchanged, started, put back. Raises Failed."""
    name, at, _ = unit.removesuffix(".service").partition("@")
    directory = f"{name}{at}.service.d"
    rigs = machine.root / f"etc/systemd/system/{directory}/{_RIGS_OWN}"
    aside = rigs.with_suffix(".aside")
    drop_in = machine.root / f"run/systemd/system/{directory}/zz-probe.conf"
    text = _EXCHANGE.format(probe=PROBE, unit=unit)
    machine.ask("systemctl", "stop", _ALONE, unit)  # as it ends itself; what counts is the restart
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text(text + (_INTERPRETER if name == "pcscd" else ""))
    widened = rigs.exists()
    if widened:
        rigs.rename(aside)
    try:
        machine.run("systemctl", "daemon-reload")
        with _prey(machine, machine.show(unit)):
            machine.run("systemctl", "restart", _ALONE, unit)
    finally:
        drop_in.unlink()
        if widened:
            aside.rename(rigs)
        machine.run("systemctl", "daemon-reload")
    machine.run("journalctl", "--sync")
    said = machine.run("journalctl", "--boot", f"--unit={unit}", "--output=cat", "--no-pager")
    return told(said, unit)


@contextlib.contextmanager
def _prey(machine: Machine, shown: dict[str, str]) -> Iterator[None]:
    """A process of the unit's user and group that is none of the unit's."""
    words = ["--quiet", f"--unit={_PREY}", "--property=Type=notify"]
    words += [f"--property={name}={shown[name]}" for name in ("User", "Group") if name in shown]
    machine.run("systemd-run", *words, "/usr/lib/sdbox-agent/bin/python", "-I", "-c", _CLOSED)
    try:
        yield
    finally:
        machine.run("systemctl", "kill", "--signal=SIGKILL", _PREY)
        machine.ask("systemctl", "stop", _PREY)
        machine.ask("systemctl", "reset-failed", _PREY)


def told(text: str, unit: str) -> Told:
    """The last word of the probe in there. Raises ValueError where there is none."""
    for line in reversed(text.splitlines()):
        if line.startswith("{") and (said := json.loads(line)).get(probe.MARK) == unit:
            return Told(said["came"], said["standing"])
    raise ValueError(f"{unit}: the probe has said nothing")
