"""The udev rules: well formed, about sensors of libfprint's and of our profiles, and no more."""

import re
from pathlib import Path

import pytest

from sdbox_agent.profile import schema

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "udev/70-sdbox.rules").read_text("utf-8")
HWDB = Path("/usr/lib/udev/hwdb.d/60-autosuspend-libfprint-2.hwdb")
LINES = [line for line in RULES.splitlines() if line and not line.startswith("#")]
# udev(7): a key, perhaps with an attribute, an operator, a quoted value
ITEM = re.compile(
    r"(?P<key>ACTION|SUBSYSTEM|ENV\{\w+\}|ATTR\{\w+\}|OWNER|GROUP|MODE|TAG|GOTO|LABEL)"
    r'(?P<op>==|!=|=|-=)"(?P<value>[^"]*)"'
)
MATCHES = ("==", "!=")


def items(line: str) -> list[tuple[str, str, str]]:
    found = []
    for part in line.split(", "):
        match = ITEM.fullmatch(part)
        assert match, part
        found.append((match["key"], match["op"], match["value"]))
    return found


def sensors() -> set[str]:
    ids = re.findall(r'ATTR\{idVendor\}=="(\w{4})", ATTR\{idProduct\}=="(\w{4})"', RULES)
    return {f"{vendor}:{product}" for vendor, product in ids}


@pytest.mark.parametrize("line", LINES)
def test_every_line_is_a_rule(line: str) -> None:
    for key, op, _ in items(line):
        if key in {"ACTION", "SUBSYSTEM"} or key.startswith("ATTR"):
            assert op in MATCHES, "a rule of ours writes to no device"


def test_every_goto_has_its_label_below_it() -> None:
    for number, line in enumerate(LINES):
        for key, _, value in items(line):
            if key == "GOTO":
                below = [i for rest in LINES[number:] for i in items(rest)]
                assert ("LABEL", "=", value) in below


def test_nothing_but_usb_devices_is_touched_and_nothing_on_remove() -> None:
    guards = [tuple(items(line)[0]) for line in LINES[:3]]
    assert guards == [
        ("ACTION", "==", "remove"),
        ("SUBSYSTEM", "!=", "usb"),
        ("ENV{DEVTYPE}", "!=", "usb_device"),
    ]


def test_a_sensors_node_is_for_the_finger_process_alone() -> None:
    (line,) = [line for line in LINES if "OWNER" in line]
    assert set(items(line)) == {
        ("ENV{SDBOX_ROLE}", "==", "sensor"),
        ("OWNER", "=", "sdbox-finger"),
        ("GROUP", "=", "root"),
        ("MODE", "=", "0600"),
        ("TAG", "-=", "uaccess"),
    }


@pytest.mark.skipif(not HWDB.exists(), reason="libfprint's hardware list is not installed")
def test_every_sensor_named_is_one_of_libfprints() -> None:
    text = HWDB.read_text("utf-8")
    for usb_id in sensors():
        vendor, product = usb_id.upper().split(":")
        assert f"usb:v{vendor}p{product}*" in text
    assert sensors()


def test_every_sensor_of_a_profile_has_its_rule() -> None:
    for path in ROOT.glob("firmware_profiles/*.toml"):
        named = schema.parse_profile(path.read_bytes()).sensor
        sensor = schema.parse_sensor((path.parent / f"sensors/{named}.toml").read_bytes())
        assert set(sensor.usb) <= sensors()


@pytest.mark.skipif(not HWDB.exists(), reason="libfprint's hardware list is not installed")
def test_every_sensors_id_is_libfprints_own() -> None:
    text = HWDB.read_text("utf-8")
    for path in ROOT.glob("firmware_profiles/sensors/*.toml"):
        for usb_id in schema.parse_sensor(path.read_bytes()).usb:
            vendor, product = usb_id.upper().split(":")
            assert f"usb:v{vendor}p{product}*" in text
