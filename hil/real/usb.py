"""Debian's pcscd on this machine's USB readers, and who was in them: what a rig wants of a pcscd.

It runs as root in a mount namespace of its own, with the rig's directory over /run/pcscd, and dies
with us. A pcscd of the machine's own holds the readers: it must be stopped first, by who owns it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from hil.card.insertion import Insertion
from hil.card.script import Script
from hil.card.slot import Slot
from hil.pcscd import Pcscd
from hil.real.hardware import NotThere
from sdbox_agent.card import pcsc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hil.card.card import Card
    from hil.card.faults import Fault
    from sdbox_agent.card.looks import Looks

_RULES: Final = Path("/run/udev/rules.d/70-sdbox-hil-real.rules")
SYSTEMS: Final = Path("/run/pcscd/pcscd.comm")
# $1: the pid that must still be our parent; $2: the directory, over which clients find it.
_INSIDE: Final = """
set -eu
[ "$PPID" = "$1" ]
exec 9<"$2"
mkdir -p /run/pcscd
mount --no-canonicalize --bind /proc/self/fd/9 /run/pcscd
exec pcscd --foreground 9<&-
"""


def refuse_a_busy_reader(path: Path = SYSTEMS) -> None:
    """Raises NotThere if a pcscd of the machine's own listens."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return
    raise NotThere("the machine's own pcscd has the readers: systemctl stop pcscd.socket pcscd")


def rules(ids: Sequence[str], gid: int) -> str:
    """udev(7): those devices are the finger process's, in the rig as on a box."""
    lines = [
        f'SUBSYSTEM=="usb", ENV{{DEVTYPE}}=="usb_device", ATTR{{idVendor}}=="{vendor}", '
        f'ATTR{{idProduct}}=="{product}", GROUP="{gid}", MODE="0660"'
        for vendor, product in (usb_id.split(":") for usb_id in ids)
    ]
    return "".join(f"{line}\n" for line in lines)


@contextlib.contextmanager
def sensor_access(ids: Sequence[str], gid: int) -> Iterator[None]:
    """As long as this lasts, and over a plug that is pulled meanwhile."""
    _RULES.parent.mkdir(parents=True, exist_ok=True)
    _RULES.write_text(rules(ids, gid))
    try:
        _udev_again()
        yield
    finally:
        _RULES.unlink(missing_ok=True)
        _udev_again()


def _udev_again() -> None:
    for words in (["control", "--reload"], ["trigger", "--subsystem-match=usb"], ["settle"]):
        subprocess.run(["udevadm", *words], check=True, timeout=30)


class UsbSlot(Slot):
    """Every USB reader as one: cards go in and out by a person's hand, and PC/SC tells of it."""

    def __init__(self) -> None:
        super().__init__("", 0, None)
        self._lock = threading.Lock()

    def told(self, looks: Looks) -> None:
        """PC/SC has seen something; called from its thread."""
        now_ns, present = time.monotonic_ns(), any(look.present for look in looks)
        with self._lock:
            last = self.insertions[-1] if self.insertions else None
            is_in = last is not None and last.removed_at_ns is None
            if present and not is_in:
                stay = Insertion(None, Script(()))  # type: ignore[arg-type]  # not ours to know
                stay.inserted_at_ns = now_ns
                self.insertions.append(stay)
            elif last is not None and is_in and not present:
                last.removed_at_ns = now_ns

    @override
    def insert(
        self, card: Card, faults: Iterable[Fault] = (), *, at_once: bool = False
    ) -> Insertion:
        raise RuntimeError("a person's hand puts this card in")

    @override
    def remove(self) -> Insertion | None:
        return None

    @override
    def replug(self) -> None:
        pass


class UsbPcscd(Pcscd):
    """As Pcscd, with the readers that are plugged in."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, readers=0)
        self._slot = UsbSlot()
        self._slots = [self._slot]
        self._watcher: pcsc.Watcher | None = None

    @override
    def start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self.socket_path.unlink(missing_ok=True)
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount"]
        command += ["--propagation", "private", "sh", "-c", _INSIDE, "pcscd"]
        with self.log_path.open("ab") as log:
            self._child = subprocess.Popen(
                [*command, str(os.getpid()), str(self._directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_listening()
        os.environ |= self.environment  # libpcsclite reads it at its first call, once
        self._watcher = pcsc.Watcher(self._slot.told)

    @override
    def close(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None
        super().close()
