"""USB devices that come and go [door], read-only, as udev or the kernel itself tells it.

A device is identified once, on `add`; `change` and `bind` that follow are the same device, and at
`remove` its ids are gone from udev's database: it is known by its sys_path from then on. Readers
are PC/SC's own business; here they are seen so that a pulled reader is told apart from a pulled
card, and so that what udev's rules have refused (profile.usbrules) can be told too: the kernel says
so of the device itself, whatever any rule has noted about it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import pyudev

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Role = Literal["reader", "sensor", "other"]
Source = Literal["udev", "kernel"]

UDEV_CONTROL: Final = Path("/run/udev/control")
MAX_EVENTS: Final = 64  # taken at one go, so that a chattering device can't keep the loop
RECEIVE_BUFFER_BYTES: Final = 1024 * 1024
_PRODUCT: Final = re.compile(r"([0-9a-f]{1,4})/([0-9a-f]{1,4})/[0-9a-f]{1,4}")
_HEX4: Final = re.compile(r"[0-9a-f]{4}")


@dataclass(frozen=True, slots=True)
class UsbDevice:
    """One device as it was when it came."""

    sys_path: str
    usb_id: str  # "vvvv:pppp", lower case
    role: Role
    address: str = ""  # "bus/device": new each time it is plugged in
    refused: bool = False  # the kernel was told to make nothing of it

    @property
    def port(self) -> str:
        """The kernel's name for where it is plugged in: bus, then port by port, as "1-2.3"."""
        return self.sys_path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Came:
    """It was plugged in, or was there already."""

    device: UsbDevice


@dataclass(frozen=True, slots=True)
class Went:
    """It was pulled out."""

    device: UsbDevice


class Table:
    """What is plugged in, by sys_path. Pure: fed by hand in tests, by `Monitor` on a box."""

    def __init__(self, roles: Mapping[str, Role]) -> None:
        """`roles` maps "vvvv:pppp" to a role, from the firmware profile; the rest is `other`."""
        self._roles = roles
        self._devices: dict[str, UsbDevice] = {}

    @property
    def devices(self) -> tuple[UsbDevice, ...]:
        """Everything plugged in now."""
        return tuple(self._devices.values())

    def apply(
        self, action: str, sys_path: str, properties: Mapping[str, str]
    ) -> tuple[Came | Went, ...]:
        """Take one event; returns what is new.

        A `change` counts where it says that a device is let in, or refused, from now on: rules were
        made anew. A second `add` of the very same device is an echo (`udevadm trigger` sends one at
        boot); one of another device at that sys_path means that we missed a `remove`: both are
        told.
        """
        if action == "remove":
            gone = self._devices.pop(sys_path, None)
            return (Went(gone),) if gone else ()
        before, refused = self._devices.get(sys_path), properties.get("authorized") == "0"
        turned = action == "change" and before is not None and before.refused != refused
        usb_id = identify(properties) if turned or action == "add" else None
        if usb_id is None:
            return ()
        role = self._roles.get(usb_id, "other")
        device = UsbDevice(sys_path, usb_id, role, _address(properties), refused)
        if before == device:
            return ()
        self._devices[sys_path] = device
        return (Came(device),) if before is None else (Went(before), Came(device))

    def reconcile(self, present: Mapping[str, Mapping[str, str]]) -> tuple[Came | Went, ...]:
        """Compare with a full listing (at start, and after events were lost)."""
        news: list[Came | Went] = []
        for sys_path in [path for path in self._devices if path not in present]:
            news.extend(self.apply("remove", sys_path, {}))
        for sys_path, properties in present.items():
            news.extend(self.apply("add", sys_path, properties))
        return tuple(news)


def sensors_now(news: Iterable[Came | Went], devices: Iterable[UsbDevice]) -> int | None:
    """How many sensors may be used now; None if nothing that is new is one.

    Whatever else comes and goes, in a burst too, must cost no finger process its warmth.
    """
    if not any(one.device.role == "sensor" for one in news):
        return None
    return sum(device.role == "sensor" and not device.refused for device in devices)


def identify(properties: Mapping[str, str]) -> str | None:
    """The id "vvvv:pppp" of a device: from the kernel's PRODUCT (v/p/bcd), or udev's properties."""
    product = _PRODUCT.fullmatch(properties.get("PRODUCT", ""))
    if product:
        return f"{product[1]:0>4}:{product[2]:0>4}"
    vendor, model = properties.get("ID_VENDOR_ID", ""), properties.get("ID_MODEL_ID", "")
    return f"{vendor}:{model}" if _HEX4.fullmatch(vendor) and _HEX4.fullmatch(model) else None


def _address(properties: Mapping[str, str]) -> str:
    return f"{properties.get('BUSNUM', '')}/{properties.get('DEVNUM', '')}"


class Monitor:
    """The source of events: register `fileno()`, and call `read` when it is readable."""

    def __init__(self, roles: Mapping[str, Role], source: Source | None = None) -> None:
        """Listen first, then list, so that nothing falls between. Raises OSError.

        `source` is udev's own events where udevd runs (its rules have been applied by then), else
        the kernel's.
        """
        self.table = Table(roles)
        self._context = pyudev.Context()
        chosen = source or ("udev" if UDEV_CONTROL.exists() else "kernel")
        self._monitor = pyudev.Monitor.from_netlink(self._context, source=chosen)
        self._monitor.filter_by("usb", "usb_device")
        self._enlarge()
        self._monitor.start()

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return int(self._monitor.fileno())

    def refresh(self) -> tuple[Came | Went, ...]:
        """What changed since the table was last right: everything, at start."""
        listed = self._context.list_devices(subsystem="usb", DEVTYPE="usb_device")
        return self.table.reconcile(
            {str(device.sys_path): _properties(device) for device in listed}
        )

    def read(self) -> tuple[Came | Went, ...]:
        """Take what is waiting, without blocking. After lost events (ENOBUFS), list anew."""
        news: list[Came | Went] = []
        try:
            for device in self._waiting():
                action = str(device.action)
                news.extend(self.table.apply(action, str(device.sys_path), _properties(device)))
        except OSError:
            news.extend(self.refresh())
        return tuple(news)

    def _waiting(self) -> Iterator[pyudev.Device]:
        for _ in range(MAX_EVENTS):
            device = self._monitor.poll(timeout=0)
            if device is None:
                return
            yield device

    def _enlarge(self) -> None:
        try:
            self._monitor.set_receive_buffer_size(RECEIVE_BUFFER_BYTES)
        except OSError:
            return  # needs CAP_NET_ADMIN, which the core has not: `refresh` after a loss


def _properties(device: pyudev.Device) -> dict[str, str]:
    names = ("PRODUCT", "ID_VENDOR_ID", "ID_MODEL_ID", "BUSNUM", "DEVNUM")
    found = {name: device.properties.get(name) for name in names}
    given = {name: value for name, value in found.items() if value is not None}
    authorized = device.attributes.get("authorized")  # sysfs, ABI/testing/sysfs-bus-usb
    return given if authorized is None else {**given, "authorized": authorized.decode()}
