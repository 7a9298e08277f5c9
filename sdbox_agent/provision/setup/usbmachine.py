"""USB as setup finds it and changes it: udev, the kernel's tree, and what rests on a device [door].

Under another root than this machine's own, and where no udevd runs (a container), only files count.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import Fault
from sdbox_agent.profile import usbdevices
from sdbox_agent.profile.machine import Eyes
from sdbox_agent.provision.doctor.places import UDEVD
from sdbox_agent.provision.setup import command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdbox_agent.profile.usbdevices import UsbDevice

UDEVADM: Final = "/usr/bin/udevadm"
_OBEY: Final = (
    ("control", "--reload"),
    ("trigger", "--action=change", "--subsystem-match=usb"),
    ("settle", "--timeout=60"),
)
# Linux, Documentation/admin-guide/kernel-parameters.txt: -1 (as 1), 0 none, 1 all, 2 inside ones
_BY_COMMAND_LINE: Final = "sys/module/usbcore/parameters/authorized_default"
_LETS_ALL_IN: Final = frozenset({"-1", "1"})
_NO: Final = "0"
_IFF_UP: Final = 1  # include/uapi/linux/if.h
# As udev tells a keyboard (udev-builtin-input_id.c): it has the keys from Escape to D, 1 to 31.
_TYPES: Final = 0xFFFFFFFE
_MOUNTED: Final = 2  # proc(5), mountinfo: the third field is the device's number


@dataclass(frozen=True, slots=True)
class UsbMachine:
    """See ports.Usb."""

    root: Path

    @property
    def governed(self) -> bool:
        """See `Usb`."""
        return self.root == Path("/") and (self.root / UDEVD).exists()

    def plugged(self) -> tuple[UsbDevice, ...]:
        """See `Usb`."""
        return usbdevices.plugged(Eyes(self.root)) if self.governed else ()

    def closed(self) -> bool:
        """See `Usb`."""
        return usbdevices.closed(Eyes(self.root))

    def uses(self) -> dict[str, tuple[str, ...]]:
        """See `Usb`."""
        found: dict[str, list[str]] = {}
        for what, place in self._used() if self.governed else ():
            for port in usbdevices.ports_on(str(place.resolve())):
                found.setdefault(port, []).append(what)
        return {port: tuple(dict.fromkeys(what)) for port, what in found.items()}

    def obey(self) -> None:
        """See `Usb`."""
        for words in _OBEY:
            if command.said(UDEVADM, *words) != 0:
                raise Fault("usb-rules-idle")

    def held_back(self) -> bool:
        """See `Usb`."""
        if self._text(_BY_COMMAND_LINE) not in _LETS_ALL_IN:
            return False
        return any(self._text(name) == _NO for name in self._controllers())

    def open(self) -> None:
        """See `Usb`. What comes is let in last: until then it is known that this is not done."""
        command.said(UDEVADM, *_OBEY[0])  # a udevd that does not hear keeps nobody from wiping
        if not self.held_back():
            return
        ports = filter(usbdevices.PORT.fullmatch, Eyes(self.root).names(usbdevices.PLACE))
        there = [f"{usbdevices.PLACE}/{port}/authorized" for port in sorted(ports, key=len)]
        for name in (*there, *self._controllers()):
            if self._text(name) == _NO:
                with contextlib.suppress(OSError):  # one that has gone, or does not answer
                    (self.root / name).write_text("1")

    def _controllers(self) -> list[str]:
        names = Eyes(self.root).names(usbdevices.PLACE)
        own = [name for name in names if name.startswith("usb")]
        return [f"{usbdevices.PLACE}/{name}/authorized_default" for name in own]

    def _used(self) -> Iterator[tuple[str, Path]]:
        """What somebody or something depends on, and where it is in the kernel's tree."""
        sys = self.root / "sys/class"
        for place in sorted(sys.glob("input/input*")):
            keys = self._text(place / "capabilities/key").split()[-1:] or ["0"]
            if int(keys[0], 16) & _TYPES == _TYPES:
                yield "keyboard", place
        with contextlib.suppress(OSError):  # by a serial line on USB, perhaps
            terminal = Path(os.ttyname(0)).name
            yield f"terminal {terminal}", sys / "tty" / terminal
        mounted = self._mounted()
        for place in sorted(sys.glob("block/*")):
            rests = any((place / "holders").glob("*"))
            if rests or self._text(place / "dev") in mounted or place.name in mounted:
                yield f"disk {place.name}", place
        for place in sorted(sys.glob("net/*")):
            if int(self._text(place / "flags") or "0", 16) & _IFF_UP:
                yield f"network {place.name}", place

    def _mounted(self) -> set[str]:
        """Numbers and names of the devices in use: of btrfs the number is nobody's."""
        found: set[str] = set()
        for line in self._text("proc/self/mountinfo").splitlines():
            fields, _, after = line.partition(" - ")
            found |= {fields.split()[_MOUNTED], *map(_name, after.split()[1:2])}
        return found | {_name(line) for line in self._text("proc/swaps").splitlines()[1:]}

    def _text(self, name: str | Path) -> str:
        try:
            return (self.root / name).read_text("ascii", "replace").strip()
        except OSError:
            return ""


def _name(words: str) -> str:
    """The kernel's name of what a path under /dev stands for."""
    first, *_ = words.split()
    return Path(os.path.realpath(first)).name
