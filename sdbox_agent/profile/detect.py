"""Which profiles are of this machine: board, reader and sensor, each by its own ids. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sdbox_agent.profile.machine import Machine
    from sdbox_agent.profile.schema import Profile, Sensor


@dataclass(frozen=True, slots=True)
class Fit:
    """What of one profile is there. `differs`: what the machine has otherwise."""

    profile: str
    board: bool
    reader: tuple[str, ...]  # USB ids that are plugged in
    sensor: tuple[str, ...]
    usable: bool  # the sensor's resolution is known
    differs: tuple[str, ...]  # names of screen.toml's [profile]
    foreign: tuple[str, ...]  # USB ids that the profile does not let in

    @property
    def fits(self) -> bool:
        """Everything that a box of this profile needs is there."""
        return self.board and bool(self.reader) and bool(self.sensor) and self.usable


def fits(candidates: Iterable[tuple[Profile, Sensor]], machine: Machine) -> tuple[Fit, ...]:
    """One a profile, the best first; by name among equals."""
    found = (_fit(profile, sensor, machine) for profile, sensor in candidates)
    return tuple(
        sorted(
            found,
            key=lambda fit: (
                -sum((fit.fits, fit.board, bool(fit.reader), bool(fit.sensor))),
                fit.profile,
            ),
        )
    )


def _fit(profile: Profile, sensor: Sensor, machine: Machine) -> Fit:
    known = {*profile.reader.usb, *sensor.usb, *profile.usb.allow}
    return Fit(
        profile=profile.name,
        board=_is_board(profile, machine),
        reader=tuple(usb_id for usb_id in machine.usb if usb_id in profile.reader.usb),
        sensor=tuple(usb_id for usb_id in machine.usb if usb_id in sensor.usb),
        usable=sensor.ppmm is not None,
        differs=tuple(_differences(profile, machine)),
        foreign=tuple(usb_id for usb_id in machine.usb if usb_id not in known),
    )


def _is_board(profile: Profile, machine: Machine) -> bool:
    """DMI names are compared whole; of a device tree, any of the names the machine goes by."""
    named = any(
        (dmi.vendor, dmi.product) == (machine.vendor, machine.product) for dmi in profile.board.dmi
    )
    return named or not set(profile.board.device_tree).isdisjoint(machine.compatible)


def _differences(profile: Profile, machine: Machine) -> Iterator[str]:
    """Only of what the profile says: of the rest nothing is expected."""
    wanted = profile.tpm.version
    if wanted == "2.0" and not machine.tpm:
        yield "tpm-missing"
    if wanted == "none" and machine.tpm:
        yield "tpm-there"
    if profile.clock.battery and not machine.clock:
        yield "clock-missing"
    if profile.panel.screen and not machine.screen:
        yield "screen-missing"
