"""Only what is plugged in is played; what is missing is named by its USB id."""

from pathlib import Path

import pytest

from hil.real import hardware
from hil.real.hardware import NotThere, found

PROFILE, READER, SENSOR = "wyse-5070-scr3310-u4000", "04e6:5116", "05ba:0007"
UNMEASURED = "wyse-5070-scr3310-u4500"


def plugged(root: Path, *ids: str) -> Path:
    for number, usb_id in enumerate(ids, 1):
        device = root / f"sys/bus/usb/devices/1-{number}"
        device.mkdir(parents=True)
        vendor, product = usb_id.split(":")
        for name, text in (("idVendor", vendor), ("idProduct", product), ("bDeviceClass", "00")):
            (device / name).write_text(f"{text}\n")
    return root


def test_what_is_plugged_in_is_found_by_its_ids(tmp_path: Path) -> None:
    seen = found(PROFILE, plugged(tmp_path, READER, SENSOR, "1d6b:0002"))
    assert (seen.reader_ids, seen.sensor_ids, seen.is_virtual) == ((READER,), (SENSOR,), False)


@pytest.mark.parametrize(
    ("ids", "missing"),
    [((), ("reader", "sensor")), ((READER,), ("sensor",)), ((SENSOR,), ("reader",))],
)
def test_what_is_missing_is_named(
    tmp_path: Path, ids: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    with pytest.raises(NotThere) as caught:
        found(PROFILE, plugged(tmp_path, *ids))
    said = str(caught.value)
    for what, usb_id in (("reader", READER), ("sensor", SENSOR)):
        assert (f"no {what} of profile {PROFILE} is plugged in" in said) is (what in missing)
        assert (usb_id in said) is (what in missing or usb_id in ids)
    assert ("no USB device" in said) is (not ids)


def test_an_unknown_profile_is_told_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(NotThere, match=rf"profiles: .*{PROFILE}"):
        found("no-such", tmp_path)


def test_a_sensor_that_was_not_measured_is_refused_until_somebody_has(tmp_path: Path) -> None:
    root = plugged(tmp_path, READER, "05ba:000a")
    with pytest.raises(NotThere, match="ppmm: not known"):
        found(UNMEASURED, root)
    own = tmp_path / "own/sensors"
    own.mkdir(parents=True)
    shipped = (hardware.PROFILES / "sensors/uareu-4500.toml").read_text()
    (own / "uareu-4500.toml").write_text(shipped.replace("v = 1", "v = 1\nppmm = 20.1", 1))
    assert found(UNMEASURED, root, own.parent).sensor.ppmm == 20.1


def test_virtual_hardware_is_always_there(tmp_path: Path) -> None:
    assert found("virtual", tmp_path).is_virtual


def test_versions_are_of_what_takes_part() -> None:
    assert hardware.versions().keys() >= {"kernel", "python", "profile set", "pcscd"}
