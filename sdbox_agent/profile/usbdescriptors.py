"""The kinds of interface that a USB device has, from its descriptors. Pure.

Read as udev's own `usb_id` reads them into ID_USB_INTERFACES, which the rules go by
(profile.usbrules): a device must not be one thing for them and another for who asks beforehand.
"""

from __future__ import annotations

from typing import Final

from sdbox_agent.errors import DecodeError

MAX_BYTES: Final = 18 + 65_535  # what the kernel shows of one device (drivers/usb/core/sysfs.c)
MAX_KINDS: Final = 72  # that ID_USB_INTERFACES has room for (systemd, udev-builtin-usb_id.c)

# USB 2.0, section 9.6: bLength, bDescriptorType, …
_DEVICE_BYTES: Final = 18  # table 9-8
_INTERFACE: Final = 4  # table 9-5
_INTERFACE_BYTES: Final = 9  # table 9-12; class, subclass and protocol at 5, 6 and 7
_LEAST_BYTES: Final = 3


def interfaces(data: bytes) -> tuple[str, ...]:
    """Each kind once, "ccsspp": class, subclass, protocol in hexadecimal. Raises DecodeError."""
    if not _DEVICE_BYTES <= len(data) <= MAX_BYTES:
        raise DecodeError("USB descriptors: length")
    found: dict[str, None] = {}
    at = 0
    while at + _INTERFACE_BYTES < len(data) and len(found) < MAX_KINDS:
        length, kind = data[at], data[at + 1]
        if length < _LEAST_BYTES:
            break
        if length > len(data) - _INTERFACE_BYTES:
            raise DecodeError("USB descriptors: one is longer than all")
        if kind == _INTERFACE:
            found[data[at + 5 : at + 8].hex()] = None
        at += length
    return tuple(found)
