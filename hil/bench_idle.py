"""[door] A box at rest, whole: its console too, how soon each unit is READY, and who else idles.

The peers are the two daemons that a desktop has for a card and a finger: pcscd, which the box uses
itself, and fprintd, which it does not; on a bus of its own, with libfprint's virtual sensor.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil.bench_figures import timing
from hil.bench_processes import idle_percent, pids, pss_mb, settle
from hil.box import CONSOLE_UID
from hil.net.process import Process, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.bench_figures import Figures
    from hil.box import Box
    from hil.rig import Rig

READY_UNITS: Final = {"sdbox-agent": "core", "sdbox-tunnel": "tunnel", "sdbox-walls": "walls"}
_FPRINTD: Final = "/usr/libexec/fprintd"
_BROKER: Final = "/usr/bin/dbus-daemon"
_START_S: Final = 10.0
_BUS: Final = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow own="*"/><allow send_type="method_call"/>
<allow send_destination="*"/><allow receive_type="*"/></policy></busconfig>
"""


def ready(box: Box, starts: int) -> Figures:
    """From a unit's start to its READY, as its manager has it; the box is started so often."""
    found: dict[str, list[float]] = {name: [] for name in READY_UNITS.values()}
    for start in range(starts):
        if start:
            box.stop()
            box.start()
        settle(box)
        for unit, seen in box.units().items():
            if unit in READY_UNITS and seen.ready_ms is not None:
                found[READY_UNITS[unit]].append(seen.ready_ms)
    return {f"ready_{name}_ms": timing(each) for name, each in found.items()}


def at_rest(rig: Rig, seconds: float) -> Figures:
    """Memory and processor time of all that runs on a box, and of its peers, at the same time."""
    with console(rig.box) as shown, fprintd(rig.root / "fprintd") as fingers:
        settle(rig.box)
        ours = {**pids(rig.box), "console": (shown,)}
        others = {"launcher": [rig.box.launcher_pid], "pcscd": [rig.pcscd.pid or 0]}
        others |= {"fprintd": [fingers]} if fingers else {}
        memory = {name: sum(map(pss_mb, each)) for name, each in {**ours, **others}.items()}
        shares = idle_percent({**ours, **others}, seconds)
    figures: Figures = {
        "pss_mb": {name: round(memory[name], 1) for name in ours},
        "pss_all_mb": round(sum(memory[name] for name in ours), 1),
        "idle_cpu_percent": round(sum(shares[name] for name in ours), 4),
    }
    for name in others:
        figures[f"idle_cpu_{name}_percent"] = round(shares[name], 4)
        figures[f"pss_{name}_mb"] = round(memory[name], 1)
    return figures


@contextlib.contextmanager
def console(box: Box) -> Iterator[int]:
    """What the box's first screen is shown by, on a terminal of its own; its pid."""
    master, slave = os.openpty()
    words = ("-I", "-m", "sdbox_agent", "--root", str(box.paths.root), "watch", "--console")
    process = Process(
        Unit(
            argv=[sys.executable, *words],
            uid=CONSOLE_UID,
            private_network=True,
            stdin=slave,
            environment={"TERM": "linux", "LANG": "C.UTF-8"},
            output=box.paths.root / "log/console.log",
        )
    )
    os.close(slave)
    try:
        os.set_blocking(master, False)
        _wait(lambda: bool(_read(master)), "the console shows nothing")
        time.sleep(0.5)
        yield process.pid
    finally:
        process.end()
        os.close(master)


@contextlib.contextmanager
def fprintd(directory: Path) -> Iterator[int | None]:
    """Debian's, at rest; its pid, or None where it is not installed."""
    if not Path(_FPRINTD).exists():
        yield None
        return
    directory.mkdir()
    bus, settings = directory / "bus", directory / "bus.conf"
    settings.write_text(_BUS.format(socket=bus))
    environment = {
        "PATH": "/usr/bin",
        "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={bus}",
        "FP_VIRTUAL_IMAGE": str(directory / "image.sock"),
        "STATE_DIRECTORY": str(directory),
    }
    with contextlib.ExitStack() as stack:
        broker = [_BROKER, f"--config-file={settings}", "--nofork"]
        stack.callback(Process(Unit(argv=broker, output=directory / "log")).end)
        _wait(bus.exists, "no bus")
        daemon = Process(
            Unit(argv=[_FPRINTD, "--no-timeout"], environment=environment, output=directory / "log")
        )
        stack.callback(daemon.end)
        _wait(lambda: _is_on(environment), (directory / "log").read_text())
        yield daemon.pid


def _is_on(environment: dict[str, str]) -> bool:
    """Has fprintd its name on the bus?"""
    asked = ["dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus", "/"]
    asked += ["org.freedesktop.DBus.NameHasOwner", "string:net.reactivated.Fprint"]
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
    return "boolean true" in done.stdout


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return b""


def _wait(done: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + _START_S
    while not done():
        if time.monotonic() > end_s:
            raise TimeoutError(what)
        time.sleep(0.05)
