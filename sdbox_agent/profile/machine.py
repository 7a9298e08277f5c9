"""The machine we run on, as the kernel describes it in /sys: read, never asked [door]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent.profile import usbdescriptors, usbdevices

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES: Final = 4096  # an attribute of sysfs is a page at most, but for one
MAX_SCREENS: Final = 64


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
        usb=tuple(each.usb_id for each in usbdevices.plugged(Eyes(root)) if not each.hub),
        tpm=bool(_text(sys / "class/tpm/tpm0/tpm_version_major")),
        clock=bool(_text(sys / "class/rtc/rtc0/name")),
        screen=any(_text(path) == "connected" for path in _some(sys / "class/drm", "*/status")),
    )


@dataclass(frozen=True, slots=True)
class Eyes:
    """See usbdevices.Eyes: on one root, which is believed."""

    root: Path

    def names(self, directory: str) -> tuple[str, ...]:
        """See `Eyes`."""
        return tuple(sorted(path.name for path in (self.root / directory).glob("*")))

    def data(self, name: str) -> bytes:
        """See `Eyes`."""
        return _data(self.root / name, usbdescriptors.MAX_BYTES)


def _some(directory: Path, pattern: str) -> list[Path]:
    return sorted(directory.glob(pattern))[:MAX_SCREENS]


def _text(path: Path, *, whole: bool = False) -> str:
    """Without the newline of sysfs and the NUL of a device tree, unless `whole`; control out."""
    text = _data(path, MAX_BYTES).decode("utf-8", "replace")
    if whole:
        return text
    return "".join(char for char in text.rstrip("\0\n") if char.isprintable()).strip()


def _data(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError:
        return b""
