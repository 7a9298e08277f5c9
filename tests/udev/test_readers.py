"""The rule for readers: every smart card interface to pcscd's user, and nothing else.

That what it matches is set by udev's own rules, before it, is seen where udev is:
tests/hil/vm/box_in_the_field.py.
"""

import fnmatch
import re
from pathlib import Path

import pytest

from hil.launch import units

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "udev/71-sdbox-readers.rules").read_text("utf-8")
LINES = [line for line in RULES.splitlines() if line and not line.startswith("#")]


def rule() -> dict[str, tuple[str, str]]:
    (line,) = [line for line in LINES if "OWNER" in line]
    found = re.findall(r'(\w+(?:\{\w+\})?)(==|-=|=)"([^"]*)"(?:, |$)', line)
    return {key: (op, value) for key, op, value in found}


def test_nothing_but_usb_devices_is_touched_and_nothing_on_remove() -> None:
    assert [line.partition(", ")[0] for line in LINES[:3]] == [
        'ACTION=="remove"',
        'SUBSYSTEM!="usb"',
        'ENV{DEVTYPE}!="usb_device"',
    ]
    assert {line.partition(", ")[2] for line in LINES[:3]} == {'GOTO="sdbox_readers_end"'}
    assert LINES[-1] == 'LABEL="sdbox_readers_end"'


def test_a_readers_node_is_pcscds_alone() -> None:
    user = units.read(ROOT / "systemd/pcscd.service.d/sdbox.conf")["User"][0]
    given = rule()
    matched = given.pop("ENV{ID_USB_INTERFACES}")
    assert matched[0] == "=="
    assert given == {
        "OWNER": ("=", user),
        "GROUP": ("=", "root"),
        "MODE": ("=", "0600"),
        "TAG": ("-=", "uaccess"),
    }


@pytest.mark.parametrize(
    ("interfaces", "is_reader"),
    [
        (":0b0000:", True),  # CCID
        (":030101:0b0000:", True),  # a keyboard with a reader in it
        (":0b0000:ff0000:", True),
        (":030101:", False),
        (":080650:", False),  # storage
        (":ff0b00:", False),  # a subclass of that number
        (":e00101:", False),
    ],
)
def test_what_a_reader_is_stands_in_its_interfaces(interfaces: str, *, is_reader: bool) -> None:
    """udev matches as the shell does; usb_id writes class, subclass and protocol of each."""
    _, pattern = rule()["ENV{ID_USB_INTERFACES}"]
    assert fnmatch.fnmatchcase(interfaces, pattern) == is_reader
