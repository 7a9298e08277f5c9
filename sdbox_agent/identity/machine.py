"""[door] The numbers that this machine's parts bear, as every user may read them.

Setup reads them as root and the core reads them again: so nothing that root alone may read (DMI's
serial numbers) is among them. Disks and network devices on USB are left out: they come and go.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from sdbox_agent.state.record import Fact

MAX_BYTES: Final = 4096  # an attribute of sysfs is a page at most
MAX_DEVICES: Final = 64
_MACHINE_ID: Final = re.compile(r"[0-9a-f]{32}")  # machine-id(5)
_ADDRESS: Final = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
_PERMANENT: Final = "0"  # include/uapi/linux/netdevice.h, NET_ADDR_PERM
_NUMBERS: Final = ("device/cid", "device/serial", "device/wwid", "serial", "wwid")


def facts(root: Path) -> dict[Fact, frozenset[str]]:
    """What /etc/machine-id and /sys under `root` say. Raises nothing: what is not there, is not."""
    machine_id = _text(root / "etc/machine-id")
    found: dict[Fact, set[str]] = {
        "machine-id": {machine_id} if _MACHINE_ID.fullmatch(machine_id) else set(),
        "board": {_text(root / "sys/firmware/devicetree/base/serial-number")},
        "disk": {_disk(path) for path in _some(root / "sys/block")},
        "nic": {_nic(path) for path in _some(root / "sys/class/net")},
    }
    return {name: frozenset(values - {""}) for name, values in found.items() if values - {""}}


def _disk(path: Path) -> str:
    """The first number it has; none for one that is virtual, removable or on USB."""
    if _text(path / "removable") != "0" or not (path / "device").exists() or _on_usb(path):
        return ""
    return next((number for name in _NUMBERS if (number := _text(path / name))), "")


def _nic(path: Path) -> str:
    """The address it was made with; none for one that is virtual or on USB."""
    permanent = _text(path / "addr_assign_type") == _PERMANENT
    if not permanent or not (path / "device").exists() or _on_usb(path):
        return ""
    address = _text(path / "address")
    return address if _ADDRESS.fullmatch(address) else ""


def _on_usb(path: Path) -> bool:
    return any(re.fullmatch(r"usb[0-9]+", part) for part in (path / "device").resolve().parts)


def _some(directory: Path) -> list[Path]:
    return sorted(directory.glob("*"))[:MAX_DEVICES]


def _text(path: Path) -> str:
    """Without the newline of sysfs and the NUL of a device tree."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES)
    except OSError:
        return ""
    return data.decode("ascii", "replace").strip("\0\n ")
