"""What of a profile is plugged in, and what runs it: ids and versions, nothing of this very device.

Raises NotThere with a sentence for each thing that is missing.
"""

from __future__ import annotations

import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil.real.report import without_serial
from sdbox_agent.card import pcsc
from sdbox_agent.profile import detect, load, machine, sets
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    from sdbox_agent.profile.machine import Machine
    from sdbox_agent.profile.schema import Profile, Sensor

PROFILES: Final = Path(__file__).resolve().parents[2] / "firmware_profiles"
VIRTUAL_READER: Final = "Virtual PCD"
_PACKAGES: Final = ("pcscd", "libpcsclite1", "libccid", "libfprint-2-2", "vsmartcard-vpcd")


class NotThere(Exception):  # noqa: N818  a sentence for people
    """No run without it."""


@dataclass(frozen=True)
class Hardware:
    """A profile, and what of it is here."""

    profile: Profile
    sensor: Sensor
    machine: Machine
    reader_ids: tuple[str, ...]
    sensor_ids: tuple[str, ...]

    @property
    def is_virtual(self) -> bool:
        """The rig's own readers and sensor: always there."""
        return self.profile.reader.names == (VIRTUAL_READER,)

    def facts(self) -> dict[str, str | list[str]]:
        """For the report; PC/SC must be up."""
        names = [without_serial(look.reader) for look, _ in pcsc.look_now()]
        return {
            "machine": self.machine.name,
            "reader": list(self.reader_ids) or ["virtual"],
            "reader names": sorted(set(names)),
            "sensor": list(self.sensor_ids) or ["virtual"],
            "sensor driver": self.sensor.driver,
            "sensor ppmm": str(self.sensor.ppmm),
        }


def found(name: str, root: Path = Path("/"), own: Path | None = None) -> Hardware:
    """What that profile names, on the machine under `root`. `own`: files that count before ours.

    Raises NotThere.
    """
    directories = (PROFILES,) if own is None else (own, PROFILES)
    try:
        profile = load.load_profile(name, directories)
        sensor = load.find_sensor(profile, directories)
        hardware = _plugged(profile, sensor, machine.look(root))
        load.load_sensor(profile, directories)  # its resolution must be known
    except FileRefused as error:
        known = ", ".join(load.names(directories))
        raise NotThere(f"{error.diagnosis} (--own DIR); profiles: {known}") from None
    return hardware


def _plugged(profile: Profile, sensor: Sensor, here: Machine) -> Hardware:
    (fit,) = detect.fits([(profile, sensor)], here)
    hardware = Hardware(profile, sensor, here, fit.reader, fit.sensor)
    if hardware.is_virtual:
        return hardware
    missing = [
        f"no {what} of profile {profile.name} is plugged in (USB {' or '.join(ids) or 'unknown'})"
        for what, ids, seen in (
            ("reader", profile.reader.usb, fit.reader),
            ("sensor", sensor.usb, fit.sensor),
        )
        if not seen
    ]
    if missing:
        raise NotThere("; ".join([*missing, f"seen: {', '.join(here.usb) or 'no USB device'}"]))
    return hardware


def versions() -> dict[str, str]:
    """Of what takes part."""
    asked = ["dpkg-query", "--showformat=${Package} ${Version}\\n", "--show", *_PACKAGES]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    packages = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    return {
        "kernel": platform.release(),
        "python": platform.python_version(),
        "profile set": str(sets.version(PROFILES)),
        **{name: version for name, version in packages.items() if version},
    }
