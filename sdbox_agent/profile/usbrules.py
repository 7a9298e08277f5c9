"""udev rules that let in the USB devices a profile names, and refuse every other. Pure.

Refused is not "without a driver": a device that is not authorised gets no interface at all, so that
neither the kernel's drivers nor a program can use it (Linux, Documentation/usb/authorization.rst).
Hubs are let in, what hangs on them is judged by itself. An id is what a device says of itself: one
that says a known id and comes with interfaces that its part has no use for (a "reader" that types)
is refused too. What udev will say of a device can be asked here before it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sdbox_agent.profile.schema import Profile, Sensor
    from sdbox_agent.profile.usbdevices import UsbDevice

REFUSED: Final = "refused"

# bInterfaceClass, usb.org "Defined Class Codes": two hexadecimal digits each
_HUB, _CARD, _HID = "09", "0b", "03"
_MAKERS: Final = ("ff", "00")  # vendor specific; of a sensor (nb1010) also no class at all

_HEAD: Final = """\
# Made of profile {name}, revision {revision}: `sdbox-agent profile rules`. Not to be edited.
SUBSYSTEM!="usb", GOTO="sdbox_usb_end"
ENV{{DEVTYPE}}!="usb_device", GOTO="sdbox_usb_end"
ACTION=="remove|unbind", GOTO="sdbox_usb_end"
# The controllers' own hubs: whatever is plugged in from now on waits for what is said below.
ATTR{{devpath}}=="0", ATTR{{authorized_default}}="0", GOTO="sdbox_usb_end"
ENV{{SDBOX_USB}}="refused"
"""
_TAIL: Final = """\
ENV{SDBOX_USB}=="refused", ATTR{authorized}="0", OWNER="root", GROUP="root", MODE="0600"
ENV{SDBOX_USB}!="refused", ATTR{authorized}="1"
# A name that stays, and the socket behind which the part's program waits, should it be down.
ENV{SDBOX_USB}=="reader", SYMLINK+="sdbox/reader", ENV{SYSTEMD_WANTS}+="pcscd.socket"
ENV{SDBOX_USB}=="sensor", SYMLINK+="sdbox/sensor", ENV{SYSTEMD_WANTS}+="sdbox-finger.socket"
ENV{SDBOX_USB}=="reader|sensor", TAG+="systemd"
LABEL="sdbox_usb_end"
"""


@dataclass(frozen=True, slots=True)
class _Let:
    """One rule that lets in: these conditions on the id and on the interfaces hold together."""

    part: str
    usb_id: str | None  # None: any
    interfaces: tuple[str, ...]  # "==" or "!=", and patterns of udev(7), between them "|"


@dataclass(frozen=True, slots=True)
class UsbRules:
    """Whom a box of this profile lets in."""

    profile: Profile
    sensor: Sensor

    @property
    def text(self) -> str:
        """The file at `Paths.usb_rules`, in ASCII."""
        head = _HEAD.format(name=self.profile.name, revision=self.profile.revision)
        return head + "".join(map(_rule, self._lets())) + _TAIL

    def part(self, device: UsbDevice) -> str:
        """What udev will take it for by these rules: refused, hub, reader, sensor or allowed."""
        kinds = "".join(f":{each}" for each in device.interfaces)
        written = kinds and f"{kinds}:"
        part = REFUSED
        for let in self._lets():
            if let.usb_id in {None, device.usb_id} and all(
                _holds(each, written) for each in let.interfaces
            ):
                part = let.part
        return part

    def obeyed(self, devices: Iterable[UsbDevice]) -> bool:
        """Is each of them let in by the kernel, or not, as these rules have it?"""
        return all(each.let_in == (self.part(each) != REFUSED) for each in devices)

    def _lets(self) -> Iterator[_Let]:
        """The last that fits has the say."""
        reader, sensor, more = self.profile.reader.usb, self.sensor.usb, self.profile.usb.allow
        yield _Let("hub", None, (_has(_HUB), _nothing_but(_HUB)))
        yield from (_Let("reader", one, (_has(_CARD), _nothing_but(_CARD, "ff"))) for one in reader)
        yield from (_Let("sensor", one, (_ANY, _nothing_but(*_MAKERS))) for one in sensor)
        yield from (_Let("allowed", one, (_ANY, _nothing_but(_HID))) for one in more)
        yield from (_Let("allowed", one, (_ANY, f"!={_with(_HID)}")) for one in more)


def _rule(let: _Let) -> str:
    matches = []
    if let.usb_id is not None:
        vendor, product = let.usb_id.split(":")
        matches = [f'ATTR{{idVendor}}=="{vendor}"', f'ATTR{{idProduct}}=="{product}"']
    matches += [f'ENV{{ID_USB_INTERFACES}}{each[:2]}"{each[2:]}"' for each in let.interfaces]
    return ", ".join([*matches, f'ENV{{SDBOX_USB}}="{let.part}"\n'])


def _holds(condition: str, written: str) -> bool:
    """As udev compares: like the shell, any of several patterns (udev(7))."""
    found = any(fnmatchcase(written, each) for each in condition[2:].split("|"))
    return found == (condition[:2] == "==")


_ANY: Final = "==*:??????:*"  # the kernel could read which interfaces it has


def _has(kind: str) -> str:
    return f"=={_with(kind)}"


def _with(kind: str) -> str:
    """usb_id writes `:ccsspp:ccsspp:`, six digits each."""
    return f"*:{kind}????:*"


def _nothing_but(*kinds: str) -> str:
    """None of the interfaces is of another class than these."""
    firsts = "".join(sorted({kind[0] for kind in kinds}))
    others = [f"*:[!{firsts}]?????:*"]
    for first in firsts:
        seconds = "".join(sorted(kind[1] for kind in kinds if kind[0] == first))
        others.append(f"*:{first}[!{seconds}]????:*")
    return f"!={'|'.join(others)}"
