"""[door] What stands around this box: its gateway on the network, reader and sensor on cables.

As every user may read it, and sending nothing: of the gateway, the link address that the kernel
has found out (so none is known before something has gone its way). IPv4's alone: of a network
without it, the kernel says such things in no file.
"""

from __future__ import annotations

import re
import struct
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from sdbox_agent.state.record import Fact

MAX_BYTES: Final = 64 * 1024
MAX_DEVICES: Final = 256
_TABLES: Final = "proc/self/net"  # of this process's own network namespace
_USB: Final = "sys/bus/usb/devices"
_PORT: Final = re.compile(r"[0-9]+-[0-9]+(?:\.[0-9]+)*")  # 1-2.3; not usb1, not 1-2:1.0
_LINK_ADDRESS: Final = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
_NOBODY: Final = "00:00:00:00:00:00"
_HEX: Final = re.compile(r"(?:0x)?[0-9A-Fa-f]{1,8}")
_METRIC: Final = re.compile(r"[0-9]{1,10}")
# <linux/route.h>, <linux/if_arp.h>
_RTF_UP_GATEWAY: Final = 0x1 | 0x2
_ATF_COM: Final = 0x2  # the neighbour has answered


def facts(
    root: Path, readers: Collection[str], sensors: Collection[str]
) -> dict[Fact, frozenset[str]]:
    """What /proc and /sys under `root` say. Raises nothing: what is not there, is not.

    `readers`, `sensors`: their USB ids, "vvvv:pppp", as the firmware profile names them.
    """
    tables = root / _TABLES
    mac = gateway(_text(tables / "route"), _text(tables / "arp"))
    plugged = tuple(_plugged(root / _USB))
    found: dict[Fact, frozenset[str]] = {
        "gateway": frozenset({mac} - {""}),
        "reader": frozenset(value for usb_id, value in plugged if usb_id in readers),
        "sensor": frozenset(value for usb_id, value in plugged if usb_id in sensors),
    }
    return {name: values for name, values in found.items() if values}


def gateway(routes: str, neighbours: str) -> str:
    """The link address of the default gateway, from proc(5)'s net/route and net/arp; or nothing.

    Of several, the one that the kernel prefers: the lowest metric. Pure; raises nothing.
    """
    ways = sorted(_defaults(routes), key=lambda way: way[0])
    if not ways:
        return ""
    _, device, address = ways[0]
    for line in neighbours.splitlines()[1:]:
        words = line.split()
        if len(words) != 6 or (words[0], words[5]) != (address, device):
            continue
        mac = words[3].lower()
        if _hex(words[2]) & _ATF_COM and _LINK_ADDRESS.fullmatch(mac) and mac != _NOBODY:
            return mac
    return ""


def _defaults(routes: str) -> Iterator[tuple[int, str, str]]:
    """Metric, device and gateway of every default route that is up."""
    for line in routes.splitlines()[1:]:
        words = line.split()
        if len(words) < 8 or (words[1], words[7]) != ("00000000", "00000000"):
            continue
        if _hex(words[3]) & _RTF_UP_GATEWAY == _RTF_UP_GATEWAY and _METRIC.fullmatch(words[6]):
            address = struct.pack("=I", _hex(words[2]))  # the kernel prints what lies in memory
            yield int(words[6]), words[0], str(IPv4Address(address))


def _hex(word: str) -> int:
    """Of 32 bits; 0 for what is no such number."""
    return int(word, 16) if _HEX.fullmatch(word) else 0


def _plugged(devices: Path) -> Iterator[tuple[str, str]]:
    """Each USB device that is let in: its id, and what it is known by (serial number and port)."""
    for path in sorted(devices.glob("*"))[:MAX_DEVICES]:
        if not _PORT.fullmatch(path.name) or _text(path / "authorized") == "0":
            continue
        usb_id = f"{_text(path / 'idVendor')}:{_text(path / 'idProduct')}"
        yield usb_id, f"{usb_id} {_text(path / 'serial')} {path.name}"


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        return ""
