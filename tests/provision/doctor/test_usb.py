"""The rules for USB, as doctor finds them: the profile's, and obeyed by the kernel that runs."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from typing_extensions import override

from sdbox_agent.profile.usbdevices import UsbDevice
from sdbox_agent.provision.doctor import usb
from sdbox_agent.provision.doctor.examine import Examination
from sdbox_agent.provision.doctor.finding import Finding, Result
from sdbox_agent.provision.doctor.look import Look
from sdbox_agent.provision.doctor.places import UDEVD, USB_RULES
from tests.provision.doctor.trees import NOW, grow, spoil, write

READER = UsbDevice("1-1", "08e6:4433", interfaces=("0b0000",))
STICK = UsbDevice("1-2", "0781:5567", interfaces=("080650",), let_in=False)


@dataclass(frozen=True)
class Live(Look):
    """A kernel of which is told what is plugged in."""

    live: bool = True
    there: list[UsbDevice] = field(default_factory=lambda: [READER, STICK])
    shut: bool = True

    @override
    def usb(self) -> tuple[UsbDevice, ...]:
        return tuple(self.there)

    @override
    def usb_closed(self) -> bool:
        return self.shut


def found(look: Look) -> Finding:
    (one,) = Examination(look, NOW, Path("/nonexistent")).findings(frozenset({usb.NAME}))
    return one


@pytest.mark.parametrize("text", [None, "", "# somebody else's\n"])
def test_rules_that_are_not_the_profiles_are_told(tmp_path: Path, text: str | None) -> None:
    look = grow(tmp_path)
    assert found(look).result is Result.OK
    spoil(tmp_path, USB_RULES, text)
    told = found(look)
    assert (told.code, told.detail) == ("usb-rules-other", f"/{USB_RULES}")


def test_a_profile_that_lets_in_another_device_wants_other_rules(tmp_path: Path) -> None:
    look = grow(tmp_path)
    write(tmp_path / "etc/sdbox/profile.d/50-usb.toml", b'[usb]\nallow = ["046d:c31c"]\n')
    assert found(look).code == "usb-rules-other"


def test_a_machine_without_settings_is_not_asked(tmp_path: Path) -> None:
    look = grow(tmp_path)
    spoil(tmp_path, "etc/sdbox/box.toml", None)
    assert (found(look).result, found(look).reason) == (Result.SKIPPED, "needs-settings")


def test_where_udev_rules_the_kernel_is_asked(tmp_path: Path) -> None:
    grow(tmp_path)
    write(tmp_path / "etc/sdbox/rig", b"")
    live = Live(tmp_path)
    assert found(replace(live, shut=False)).result is Result.OK, "no udevd, no kernel to tell"
    write(tmp_path / UDEVD, b"")
    assert found(live).result is Result.OK
    loose = found(replace(live, there=[READER, replace(STICK, let_in=True)]))
    assert (loose.result, loose.code, loose.detail) == (
        Result.FAILED, "usb-rules-idle", "1-2 0781:5567",
    )  # fmt: skip
    assert found(replace(live, there=[replace(READER, let_in=False)])).detail == "1-1 08e6:4433"
    assert found(replace(live, shut=False)).code == "usb-rules-idle"
