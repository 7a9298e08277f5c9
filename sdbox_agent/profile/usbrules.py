"""udev rules that let in the USB devices a profile names, and refuse every other. Pure.

Refused is not "without a driver": a device that is not authorised gets no interface at all, so that
neither the kernel's drivers nor a program can use it (Linux, Documentation/usb/authorization.rst).
Hubs are let in, what hangs on them is judged by itself. An id is what a device says of itself: one
that says a known id and comes with interfaces that its part has no use for (a "reader" that types)
is refused too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sdbox_agent.profile.schema import Profile, Sensor

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


def rules(profile: Profile, sensor: Sensor) -> str:
    """The file at `Paths.usb_rules` for a box of this profile, in ASCII."""
    lines = [
        _HEAD.format(name=profile.name, revision=profile.revision),
        *_let_in("hub", None, _has(_HUB), _nothing_but(_HUB)),
        *_each("reader", profile.reader.usb, _has(_CARD), _nothing_but(_CARD, "ff")),
        *_each("sensor", sensor.usb, _any(), _nothing_but(*_MAKERS)),
        *_each("allowed", profile.usb.allow, _any(), _nothing_but(_HID)),
        *_each("allowed", profile.usb.allow, _any(), f'!="{_with(_HID)}"'),
    ]
    return "".join(lines) + _TAIL


def _each(part: str, ids: Iterable[str], *interfaces: str) -> Iterator[str]:
    for usb_id in ids:
        yield from _let_in(part, usb_id, *interfaces)


def _let_in(part: str, usb_id: str | None, *interfaces: str) -> Iterator[str]:
    """One rule: these conditions on the interfaces hold together."""
    matches = []
    if usb_id is not None:
        vendor, product = usb_id.split(":")
        matches = [f'ATTR{{idVendor}}=="{vendor}"', f'ATTR{{idProduct}}=="{product}"']
    matches += [f"ENV{{ID_USB_INTERFACES}}{condition}" for condition in interfaces]
    yield ", ".join([*matches, f'ENV{{SDBOX_USB}}="{part}"\n'])


def _any() -> str:
    """The kernel could read which interfaces it has."""
    return '=="*:??????:*"'


def _has(kind: str) -> str:
    return f'=="{_with(kind)}"'


def _with(kind: str) -> str:
    """udev(7) compares as the shell does; usb_id writes `:ccsspp:ccsspp:`, six digits each."""
    return f"*:{kind}????:*"


def _nothing_but(*kinds: str) -> str:
    """None of the interfaces is of another class than these."""
    firsts = "".join(sorted({kind[0] for kind in kinds}))
    others = [f"*:[!{firsts}]?????:*"]
    for first in firsts:
        seconds = "".join(sorted(kind[1] for kind in kinds if kind[0] == first))
        others.append(f"*:{first}[!{seconds}]????:*")
    return f'!="{"|".join(others)}"'
