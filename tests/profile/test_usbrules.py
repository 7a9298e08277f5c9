"""Who is let in by the rules of a profile: judged by a small reader of udev's own language."""

import fnmatch
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.profile import schema
from sdbox_agent.profile.usbdevices import UsbDevice
from sdbox_agent.profile.usbrules import REFUSED, UsbRules

SHIPPED = Path(__file__).parents[2] / "firmware_profiles"
PROFILE = schema.parse_profile((SHIPPED / "wyse-5070-scr3310-u4500.toml").read_bytes())
SENSOR = schema.parse_sensor((SHIPPED / "sensors/uareu-4500.toml").read_bytes())
ALLOWS = schema.parse_profile(
    (SHIPPED / "wyse-5070-scr3310-u4500.toml").read_bytes()
    + b'\n[usb]\nallow = ["046d:c31c", "0424:ec00"]\n'
)
ITEM = re.compile(r'(\w+(?:\{\w+\})?)(==|!=|\+=|=)"([^"]*)"(?:, |\Z)')


TESTS = ("==", "!=")
NAMES = {"reader": "sdbox/reader", "sensor": "sdbox/sensor"}


def judged(text: str, device: dict[str, str]) -> dict[str, str]:
    """What udev sets for a device, by these rules (udev(7): each line in order, GOTO, LABEL)."""
    values, goto = dict(device), None
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        items = ITEM.findall(line)
        written = ", ".join(f'{key}{op}"{value}"' for key, op, value in items)
        assert written == line
        if goto is not None:
            goto = None if ("LABEL", "=", goto) in items else goto
            continue
        if not all(matches(values, *item) for item in items if item[1] in TESTS):
            continue
        for key, op, value in (item for item in items if item[1] not in TESTS):
            if key == "GOTO":
                goto = value
            else:
                values[key] = f"{values.get(key, '')} {value}".lstrip() if op == "+=" else value
    assert goto is None
    return values


def matches(values: dict[str, str], key: str, op: str, pattern: str) -> bool:
    found = any(fnmatch.fnmatchcase(values.get(key, ""), one) for one in pattern.split("|"))
    return found == (op == "==")


def device(usb_id: str, interfaces: str, **more: str) -> dict[str, str]:
    vendor, product = usb_id.split(":")
    return {
        "ACTION": "add",
        "SUBSYSTEM": "usb",
        "ENV{DEVTYPE}": "usb_device",
        "ATTR{devpath}": "1.2",
        "ATTR{idVendor}": vendor,
        "ATTR{idProduct}": product,
        "ENV{ID_USB_INTERFACES}": interfaces,
        **more,
    }


def part(usb_id: str, interfaces: str, profile: schema.Profile = ALLOWS) -> str:
    """What it is taken for; that it is let in exactly if it is not refused is looked at too.

    Who asks beforehand hears what udev will say.
    """
    kinds = tuple(filter(None, interfaces.split(":")))
    rules = UsbRules(profile, SENSOR)
    foretold = rules.part(UsbDevice("1-2", usb_id, interfaces=kinds))
    seen = judged(UsbRules(profile, SENSOR).text, device(usb_id, interfaces))
    refused = seen["ENV{SDBOX_USB}"] == "refused"
    assert seen["ATTR{authorized}"] == ("0" if refused else "1")
    assert ("MODE" in seen) == refused, "who is refused loses what other rules gave it"
    assert seen["ENV{SDBOX_USB}"] == foretold
    assert seen.get("SYMLINK", "") == NAMES.get(seen["ENV{SDBOX_USB}"], "")
    return seen["ENV{SDBOX_USB}"]


@pytest.mark.parametrize(
    ("usb_id", "interfaces", "expected"),
    [
        ("04e6:5116", ":0b0000:", "reader"),
        ("04e6:5116", ":0b0000:ff0000:", "reader"),
        ("04e6:5116", ":ff0000:", "refused"),  # a reader without a card's interface
        ("04e6:5116", ":0b0000:030101:", "refused"),  # a reader that types
        ("04e6:5116", ":080650:0b0000:", "refused"),
        ("04e6:5116", "", "refused"),  # its descriptors could not be read
        ("05ba:000a", ":ffffff:", "sensor"),
        ("05ba:000a", ":000000:", "sensor"),
        ("05ba:000a", ":ff0000:030101:", "refused"),
        ("05ba:000b", ":ffffff:", "refused"),
        ("1234:5678", ":090000:", "hub"),
        ("1234:5678", ":090001:090002:", "hub"),
        ("1234:5678", ":090000:030101:", "refused"),
        ("046d:c31c", ":030101:030000:", "allowed"),  # a keyboard
        ("046d:c31c", ":030101:080650:", "refused"),  # … with something in its belly
        ("046d:c31c", ":020600:0a0000:030101:", "refused"),
        ("0424:ec00", ":020600:0a0000:", "allowed"),  # the board's own network adapter
        ("046d:c31d", ":030101:", "refused"),
        ("0781:5567", ":080650:", "refused"),
        ("0d8c:0014", ":010100:010200:", "refused"),
        ("0bda:8153", ":020600:0a0000:", "refused"),
        ("046d:0825", ":0e0100:0e0200:", "refused"),
        ("0a12:0001", ":e00101:", "refused"),
        ("04e6:5117", ":0b0000:", "refused"),  # a reader of another model
    ],
)
def test_who_is_let_in(usb_id: str, interfaces: str, expected: str) -> None:
    assert part(usb_id, interfaces) == expected


IDS = st.sampled_from(["04e6:5116", "05ba:000a", "046d:c31c", "0424:ec00", "1234:5678"])
CLASSES = st.sampled_from(["00", "01", "02", "03", "08", "09", "0a", "0b", "0e", "e0", "ef", "ff"])


@given(IDS, st.lists(CLASSES, max_size=5))
def test_only_what_a_part_has_a_use_for_comes_in_with_it(usb_id: str, classes: list[str]) -> None:
    had = set(classes)
    wanted = "refused"
    if had == {"09"}:
        wanted = "hub"
    if usb_id == "04e6:5116" and "0b" in had and had <= {"0b", "ff"}:
        wanted = "reader"
    if usb_id == "05ba:000a" and had and had <= {"00", "ff"}:
        wanted = "sensor"
    if usb_id in ALLOWS.usb.allow and had and (had == {"03"} or "03" not in had):
        wanted = "allowed"
    assert part(usb_id, ":" + "".join(f"{one}0650:" for one in classes)) == wanted


def test_a_device_is_let_in_by_the_kernel_as_the_rules_have_it_or_they_are_not_obeyed() -> None:
    rules = UsbRules(PROFILE, SENSOR)
    reader = UsbDevice("1-1", "04e6:5116", interfaces=("0b0000",))
    stick = UsbDevice("1-2", "0781:5567", interfaces=("080650",), let_in=False)
    assert (rules.part(reader), rules.part(stick)) == ("reader", REFUSED)
    assert rules.obeyed([reader, stick])
    assert not rules.obeyed([replace(reader, let_in=False), stick])
    assert not rules.obeyed([reader, replace(stick, let_in=True)])
    assert rules.obeyed([])


def test_a_controllers_own_hub_says_no_to_what_comes() -> None:
    root = device("1d6b:0003", ":090000:", **{"ATTR{devpath}": "0"})
    seen = judged(UsbRules(PROFILE, SENSOR).text, root)
    assert seen["ATTR{authorized_default}"] == "0"
    assert "ATTR{authorized}" not in seen


def test_a_part_that_comes_wakes_the_socket_behind_which_its_program_waits() -> None:
    text = UsbRules(PROFILE, SENSOR).text
    for usb_id, interfaces, unit in (
        ("04e6:5116", ":0b0000:", "pcscd.socket"),
        ("05ba:000a", ":ffffff:", "sdbox-finger.socket"),
    ):
        seen = judged(text, device(usb_id, interfaces))
        assert (seen["TAG"], seen["ENV{SYSTEMD_WANTS}"]) == ("systemd", unit)


@pytest.mark.parametrize(
    "other",
    [
        {"SUBSYSTEM": "net"},
        {"ENV{DEVTYPE}": "usb_interface"},
        {"ACTION": "remove"},
        {"ACTION": "unbind"},
    ],
)
def test_nothing_else_is_touched(other: dict[str, str]) -> None:
    given_ = device("0781:5567", ":080650:", **other)
    assert judged(UsbRules(PROFILE, SENSOR).text, given_) == given_


@pytest.mark.parametrize("action", ["add", "change", "bind", "move"])
def test_a_device_is_judged_alike_at_every_event(action: str) -> None:
    seen = judged(UsbRules(PROFILE, SENSOR).text, device("0781:5567", ":080650:", ACTION=action))
    assert seen["ATTR{authorized}"] == "0"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_every_profiles_rules_name_what_it_names_and_no_more(path: Path) -> None:
    profile = schema.parse_profile(path.read_bytes())
    sensor = schema.parse_sensor((SHIPPED / f"sensors/{profile.sensor}.toml").read_bytes())
    text = UsbRules(profile, sensor).text
    assert text.isascii()
    named = re.findall(r'ATTR\{idVendor\}=="(\w{4})", ATTR\{idProduct\}=="(\w{4})"', text)
    known = {*profile.reader.usb, *sensor.usb, *profile.usb.allow}
    assert {":".join(each) for each in named} == known
