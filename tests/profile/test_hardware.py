"""What is said of a machine, or left unsaid; every shipped profile says where it has it from."""

from pathlib import Path

import pytest

from sdbox_agent.profile import load, schema
from sdbox_agent.profile.toml import TomlRefused
from tests.fuzz.fuzz_profile import PROFILE

SHIPPED = Path(__file__).parents[2] / "firmware_profiles"
NAMES = [name for name in load.names([SHIPPED]) if name != "virtual"]


def test_what_is_left_out_is_not_known() -> None:
    profile = schema.parse_profile(PROFILE)
    assert profile.clock.battery is None
    assert profile.tpm.version is None
    assert profile.panel.screen is None
    assert profile.reader.pad is None


@pytest.mark.parametrize(
    "text",
    [
        '[board]\ndevice_tree = ["Raspberry Pi 4 Model B"]',
        '[board]\ndmi = [{ vendor = "", product = "x" }]',
        '[tpm]\nversion = "1.2"',
        "[tpm]\nversion = 2.0",
        "[clock]\nbattery = 1",
        '[panel]\nscreen = "yes"',
        '[usb]\nallow = ["04E6:5116"]',
        '[usb]\nallow = ["04e6:*"]',
    ],
)
def test_a_wrong_fact_is_refused_on_its_line(text: str) -> None:
    data = PROFILE + text.encode()
    with pytest.raises(TomlRefused) as caught:
        schema.parse_profile(data)
    assert caught.value.line == data.count(b"\n") + 1


def test_there_are_profiles_with_a_pin_pad_and_without_on_pcs_and_on_boards() -> None:
    profiles = [load.load_profile(name, [SHIPPED]) for name in NAMES]
    assert len(profiles) >= 6
    assert {profile.reader.pad for profile in profiles} == {True, False}
    assert any(profile.board.dmi for profile in profiles)
    assert any(profile.board.device_tree for profile in profiles)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_profile_names_its_sources_and_reaches_all_it_names(name: str) -> None:
    profile = load.load_profile(name, [SHIPPED])
    sensor = load.find_sensor(profile, [SHIPPED])
    assert load.load_kinds(profile, [SHIPPED])
    assert profile.reader.sources
    assert profile.board.sources
    assert any("resolution" in source for source in sensor.sources)
    assert profile.reader.usb
    assert sensor.usb
