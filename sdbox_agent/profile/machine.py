"""The machine we run on, as the kernel describes it in /sys: read, never asked [door]."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES: Final = 4096  # an attribute of sysfs is a page at most
MAX_DEVICES: Final = 256
_DEVICE: Final = re.compile(r"[0-9]+-[0-9]+(\.[0-9]+)*")  # 1-2.3; not usb1, not 1-2:1.0
_HEX4: Final = re.compile(r"[0-9a-f]{4}")
_HUB: Final = "09"  # USB 2.0 section 11.23.1, bDeviceClass


@dataclass(frozen=True, slots=True)
class Machine:
    """Empty where the kernel says nothing. Names are as the firmware gives them."""

    vendor: str = ""  # DMI
    product: str = ""
    model: str = ""  # device tree
    compatible: tuple[str, ...] = ()
    usb: tuple[str, ...] = ()  # "vvvv:pppp", hubs left out, one a device
    tpm: bool = False
    clock: bool = False
    screen: bool = False

    @property
    def name(self) -> str:
        """For people; empty if it has none."""
        return self.model or f"{self.vendor} {self.product}".strip()


def look(root: Path) -> Machine:
    """What /sys under `root` says. Raises nothing: what can't be read is not there."""
    sys = root / "sys"
    dmi, tree = sys / "class/dmi/id", sys / "firmware/devicetree/base"
    return Machine(
        vendor=_text(dmi / "sys_vendor"),
        product=_text(dmi / "product_name"),
        model=_text(tree / "model"),
        compatible=tuple(_text(tree / "compatible", whole=True).split("\0")[:-1]),
        usb=tuple(_usb(sys / "bus/usb/devices")),
        tpm=bool(_text(sys / "class/tpm/tpm0/tpm_version_major")),
        clock=bool(_text(sys / "class/rtc/rtc0/name")),
        screen=any(_text(path) == "connected" for path in _some(sys / "class/drm", "*/status")),
    )


def _usb(devices: Path) -> Iterator[str]:
    for path in _some(devices, "*"):
        if not _DEVICE.fullmatch(path.name) or _text(path / "bDeviceClass") == _HUB:
            continue
        vendor, product = _text(path / "idVendor"), _text(path / "idProduct")
        if _HEX4.fullmatch(vendor) and _HEX4.fullmatch(product):
            yield f"{vendor}:{product}"


def _some(directory: Path, pattern: str) -> list[Path]:
    return sorted(directory.glob(pattern))[:MAX_DEVICES]


def _text(path: Path, *, whole: bool = False) -> str:
    """Without the newline of sysfs and the NUL of a device tree, unless `whole`; control out."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES)
    except OSError:
        return ""
    text = data.decode("utf-8", "replace")
    if whole:
        return text
    return "".join(char for char in text.rstrip("\0\n") if char.isprintable()).strip()
