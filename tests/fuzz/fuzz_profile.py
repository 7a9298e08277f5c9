"""Firmware profiles and box.toml: a value, or TomlRefused with a line of the file."""

import contextlib

from sdbox_agent.profile import schema
from sdbox_agent.profile.toml import TomlRefused

BOX = b"""v = 1
box = "box-test-01"
profile = "virtual"

[centre]
host = "centre.test"
port = 8443
addresses = ["10.0.0.1", "fd00::1"]
"""
PROFILE = b"""v = 1
name = "x"
model = "X"
levels = ["host-match", "card-match"]
[reader]
names = ["R"]
usb = ["08e6:4433"]
[sensor]
driver = "elan"
ppmm = 19.7
min_width_px = 96
max_width_px = 300
min_height_px = 96
max_height_px = 300
[card]
kinds = ["piv-pin"]
"""
SEEDS: list[bytes] = [BOX, PROFILE]


def target(data: bytes) -> None:
    """Both parsers on the same bytes."""
    for parse in (schema.parse_profile, schema.parse_box):
        with contextlib.suppress(TomlRefused):
            parse(data)
