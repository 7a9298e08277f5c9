"""What no box in the field may have, and only that."""

import plistlib
from pathlib import Path

import msgspec
import pytest

from sdbox_agent.profile import field, load, schema
from tests.fuzz.fuzz_profile import PROFILE, SENSOR

SHIPPED = Path(__file__).parents[2] / "firmware_profiles"
LIBCCID = Path("/usr/lib/pcsc/drivers/ifd-ccid.bundle/Contents/Info.plist")
GOOD = schema.parse_profile(PROFILE)
REAL = schema.parse_sensor(SENSOR)


def where(profile: schema.Profile = GOOD, sensor: schema.Sensor = REAL) -> list[str]:
    return [".".join(keys) for keys, _ in field.objections(profile, sensor)]


def with_reader(**values: object) -> schema.Profile:
    reader = msgspec.structs.replace(GOOD.reader, **values)
    return msgspec.structs.replace(GOOD, reader=reader)


def test_the_rigs_profile_is_refused_for_each_part_of_the_rig() -> None:
    profile = load.load_profile("virtual", [SHIPPED])
    sensor = load.find_sensor(profile, [SHIPPED])
    assert where(profile, sensor) == ["reader.names", "sensor", "card.test_issuers"]


@pytest.mark.parametrize("name", [n for n in load.names([SHIPPED]) if n != "virtual"])
def test_every_other_profile_is_fit_for_the_field(name: str) -> None:
    profile = load.load_profile(name, [SHIPPED])
    assert where(profile, load.find_sensor(profile, [SHIPPED])) == []


@pytest.mark.parametrize(
    "name", ["Virtual PCD", "virtual pcd 00 01", "Virtual", "v", " ", "My vpcd reader"]
)
def test_vpcd_is_refused_by_any_name_that_lets_it_in(name: str) -> None:
    assert where(with_reader(names=("R", name))) == ["reader.names"]


@pytest.mark.parametrize(
    "name",
    [
        "Identiv uTrust 3700 F CL Reader",
        "HID OMNIKEY 5427 CK",
        "OMNIKEY AG CardMan 5121",
        "Gemalto Prox Dual USB PC Link Reader",
        "SCM Microsystems Inc. SDI011 Contactless Reader",
    ],
)
def test_a_reader_that_works_at_a_distance_is_refused_by_name(name: str) -> None:
    assert where(with_reader(names=(name,))) == ["reader.names"]


def test_and_by_its_id_whatever_the_profile_calls_it() -> None:
    assert where(with_reader(usb=("08e6:3437", "076b:5422"))) == ["reader.usb"]


@pytest.mark.parametrize(
    ("reader", "ours"),
    [
        ("SCM Microsystems Inc. SCR 3310 (53312043201234) 00 00", True),
        ("SCM Microsystems Inc. SCR 3310 (CL-5022 NFC) 00 00", True),  # a serial number
        ("Virtual PCD 00 00", False),
        ("My SCM Microsystems Inc. SCR 3310 00 00", False),
        ("HID Global OMNIKEY 5022 Smart Card Reader [OMNIKEY 5022 Smart Card Reader] 00 00", False),
        ("", False),
    ],
)
def test_a_card_counts_in_a_reader_that_the_profile_names(reader: str, ours: bool) -> None:
    """Even where it names all of a maker's, none with an antenna is one."""
    assert field.takes(("SCM Microsystems Inc. SCR 3310", "HID Global"), reader) is ours


@pytest.mark.parametrize("driver", ["virtual_image", "virtual_device", "virtual_device_storage"])
def test_a_virtual_sensor_is_refused(driver: str) -> None:
    assert where(sensor=msgspec.structs.replace(REAL, driver=driver)) == ["sensor"]


@pytest.mark.skipif(not LIBCCID.exists(), reason="libccid's list of readers is not installed")
def test_the_list_of_ids_is_what_libccids_names_say() -> None:
    plist = plistlib.loads(LIBCCID.read_bytes())
    columns = (plist["ifdVendorID"], plist["ifdProductID"], plist["ifdFriendlyName"])
    named = {
        f"{int(vendor, 16):04x}:{int(product, 16):04x}"
        for vendor, product, name in zip(*columns, strict=True)
        if field.AT_A_DISTANCE.search(name)
    }
    assert named == field.WITH_ANTENNA
    assert len(named) > 90


@pytest.mark.skipif(not LIBCCID.exists(), reason="libccid's list of readers is not installed")
@pytest.mark.parametrize("name", [n for n in load.names([SHIPPED]) if n != "virtual"])
def test_every_reader_of_a_profile_is_one_of_libccids_by_id_and_name(name: str) -> None:
    plist = plistlib.loads(LIBCCID.read_bytes())
    columns = (plist["ifdVendorID"], plist["ifdProductID"], plist["ifdFriendlyName"])
    names = {
        f"{int(vendor, 16):04x}:{int(product, 16):04x}": called
        for vendor, product, called in zip(*columns, strict=True)
    }
    reader = load.load_profile(name, [SHIPPED]).reader
    for usb_id in reader.usb:
        assert names[usb_id].startswith(reader.names), usb_id
    for beginning in reader.names:
        assert any(names[usb_id].startswith(beginning) for usb_id in reader.usb)
