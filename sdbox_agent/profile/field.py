"""What has no place on a box in the field: parts of the rig, and readers that work at a distance.

9A and 9D answer on a card's contact interface; a reader with an antenna, even beside a slot, lets a
card speak that nobody has put in. Whose USB id tells that it has one is listed here; of an id that
is not, nothing is known, and the profile's word counts. Pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdbox_agent.profile.schema import Profile, Sensor

VPCD: Final = "virtual pcd"  # as vsmartcard's reader.conf names it
VIRTUAL_DRIVER: Final = "virtual_"  # libfprint's virtual_image, virtual_device, …

# In names of readers: an antenna, alone or beside a slot.
AT_A_DISTANCE: Final = re.compile(
    r"contactless|\b(CL|CLi|NFC|RF|DI|Dual)\b|RFID|PICC|\bProx|-CL\b|CL-?\d{4}|Multi-ISO HF"
    r"|OMNIKEY (AG )?(CardMan )?5\d\d|veriCLASS|3522 embd|VHBR|CSB6|CrazyWriter|[EH]518|H512|H663"
    r"|SpringCore|Puck|ACR12\d\d|SDI01|ePassport|cyberJack (one|go)|TWN4",
    re.IGNORECASE,
)
# libccid 1.5.2, Info.plist: every reader there whose name says so (the test reads it again).
_WITH_ANTENNA: Final = {
    "046a": "00a2 00a5",
    "04e6": "5111 5120 5121 512b 512c 5291 5293 5612 5613 5720 5721 5724 5725 5790 5791 581a",
    "072f": "2200 221a 2224 223b 223e 223f 2259",
    "076b": "5022 5023 502a 5121 5125 5127 5321 5326 5400 5412 5421 5422 5427 5432 5a27 6321",
    "0898": "0101",
    "08ae": "0bdf",
    "08e6": "4042 5503 5504",
    "096e": "0608 0622",
    "09d8": "0427 0428",
    "0b81": "0200 0220",
    "0c4b": "0504 0580 9102",
    "0db5": "0138 0160 0164",
    "1206": "2107",
    "17b9": "400b",
    "19a6": "0009",
    "1b0e": "5a02",
    "1c34": "6012 601a 6112 611a 6122 612a 6132 613a 7113 7121 7123 7124 7141 8141 91b1 a1a1",
    "1c6a": "7050",
    "1db2": "088b",
    "1fd3": "cc1d",
    "1ffa": "0002 000c",
    "21ab": "0010",
    "25dd": "3403 3503",
    "2a18": "5002",
    "2ce4": "5020",
    "2d25": "0000",
    "31aa": "2000 2001 2100 3000 3002 3003 4000 4001 6000 6001",
    "349e": "0430",
    "356f": "22fc",
}
WITH_ANTENNA: Final = frozenset(
    f"{vendor}:{product}" for vendor, row in _WITH_ANTENNA.items() for product in row.split()
)

# As pcscd names a reader, "model [interface] (serial number) 00 00": what may look like anything.
_SERIAL: Final = re.compile(r"\([^)]*\)")


def takes(names: tuple[str, ...], reader: str) -> bool:
    """Does a card in that PC/SC reader count? One that the profile names, and none at a distance.

    However short the beginnings are that the profile gives.
    """
    return reader.startswith(names) and not AT_A_DISTANCE.search(_SERIAL.sub("", reader))


def objections(profile: Profile, sensor: Sensor) -> Iterator[tuple[tuple[str, ...], str]]:
    """Why a box in the field must not have this profile: where it says so, and the reason's name.

    Names are of screen.toml's [profile], where each says what to do, too.
    """
    names = [name.strip().lower() for name in profile.reader.names]
    if any(VPCD in name or VPCD.startswith(name) or "vpcd" in name for name in names):
        yield ("reader", "names"), "vpcd"
    if any(AT_A_DISTANCE.search(name) for name in profile.reader.names):
        yield ("reader", "names"), "at-a-distance"
    if WITH_ANTENNA.intersection(profile.reader.usb):
        yield ("reader", "usb"), "at-a-distance"
    if sensor.driver.startswith(VIRTUAL_DRIVER):
        yield ("sensor",), "virtual-sensor"
    if profile.card.test_issuers:
        yield ("card", "test_issuers"), "test-issuers"
