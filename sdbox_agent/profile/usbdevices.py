"""The USB devices of a machine, as the kernel lists them: what is plugged in, and what is let in.

Reads by the eyes that it is given, which know where /sys is and what may be followed there. Raises
nothing of its own: what can't be read is not there. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from sdbox_agent.errors import DecodeError
from sdbox_agent.profile import usbdescriptors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PLACE: Final = "sys/bus/usb/devices"
MAX_DEVICES: Final = 256
PORT: Final = re.compile(r"[0-9]+-[0-9]+(\.[0-9]+)*")  # 1-2.3; not usb1, not 1-2:1.0
_CONTROLLER: Final = re.compile(r"usb[0-9]+")  # its own hub, as a device
_HEX4: Final = re.compile(r"[0-9a-f]{4}")
_HUB: Final = "09"  # USB 2.0 section 11.23.1, bDeviceClass
_NO: Final = "0"  # Linux, ABI/testing/sysfs-bus-usb: authorized, authorized_default


class Eyes(Protocol):
    """How a machine's files are read: paths relative to its root."""

    def names(self, directory: str) -> Sequence[str]:
        """What is in there, in order; nothing where there is no such directory."""

    def data(self, name: str) -> bytes:
        """What a file of the kernel's says; empty where there is none."""


@dataclass(frozen=True, slots=True)
class UsbDevice:
    """One device: where it is plugged in, what it says it is, whether the kernel lets it in."""

    port: str  # "1-2.3": bus, then port by port
    usb_id: str  # "vvvv:pppp", lower case
    hub: bool = False
    bus: int = 0
    number: int = 0  # on its bus: new each time it is plugged in
    interfaces: tuple[str, ...] = ()  # usbdescriptors.interfaces
    let_in: bool = True

    @property
    def node(self) -> str:
        """Below the root. Of a device whose number nobody says, there is none."""
        return f"dev/bus/usb/{self.bus:03}/{self.number:03}"


def plugged(eyes: Eyes) -> tuple[UsbDevice, ...]:
    """What is plugged in, in the order of the ports, hubs too; the controllers' own are left out.

    What does not say an id in the kernel's form is none.
    """
    return tuple(islice(_plugged(eyes), MAX_DEVICES))


def closed(eyes: Eyes) -> bool:
    """Does every controller wait to be told whom to let in?"""
    own = [name for name in eyes.names(PLACE) if _CONTROLLER.fullmatch(name)]
    return all(_text(eyes, name, "authorized_default") == _NO for name in own)


def ports_on(path: str) -> tuple[str, ...]:
    """The ports that a path of sysfs passes: a device on USB, and the hubs it hangs on."""
    return tuple(part for part in path.split("/") if PORT.fullmatch(part))


def _plugged(eyes: Eyes) -> Iterator[UsbDevice]:
    for port in filter(PORT.fullmatch, eyes.names(PLACE)):
        vendor, product = _text(eyes, port, "idVendor"), _text(eyes, port, "idProduct")
        if not (_HEX4.fullmatch(vendor) and _HEX4.fullmatch(product)):
            continue
        yield UsbDevice(
            port,
            f"{vendor}:{product}",
            hub=_text(eyes, port, "bDeviceClass") == _HUB,
            bus=_number(_text(eyes, port, "busnum")),
            number=_number(_text(eyes, port, "devnum")),
            interfaces=_interfaces(eyes.data(f"{PLACE}/{port}/descriptors")),
            let_in=_text(eyes, port, "authorized") != _NO,
        )


def _interfaces(data: bytes) -> tuple[str, ...]:
    """None of a device whose descriptors can't be read: so it is for udev."""
    try:
        return usbdescriptors.interfaces(data)
    except DecodeError:
        return ()


def _text(eyes: Eyes, device: str, fact: str) -> str:
    return eyes.data(f"{PLACE}/{device}/{fact}").decode("ascii", "replace").rstrip("\n")


def _number(text: str) -> int:
    return int(text) if re.fullmatch("[0-9]{1,4}", text) else 0
