"""The machine that becomes a box, as setup's steps find it and change it [door].

Under another root than this machine's own only files count: units are enabled there, and nothing
is started, loaded or swapped off.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sdbox_agent import __version__
from sdbox_agent.centre import wire
from sdbox_agent.centre.reported import MAX_MACHINE, MAX_USB
from sdbox_agent.errors import Fault
from sdbox_agent.profile import detect, field, load, machine
from sdbox_agent.profile.usbrules import UsbRules
from sdbox_agent.provision.doctor.places import RUNS_SYSTEMD, TARGETS, UNITS
from sdbox_agent.provision.setup import command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdbox_agent.paths import Paths
    from sdbox_agent.profile.schema import Profile

SYSTEMCTL: Final = "/usr/bin/systemctl"
_SYSCTL: Final = ("/lib/systemd/systemd-sysctl", "50-sdbox-setup.conf")
_SWAP_OFF: Final = ("/sbin/swapoff", "--all")
_JOURNAL: Final = (SYSTEMCTL, "restart", "systemd-journald.service")
_UPDATE_GRUB: Final = "usr/sbin/update-grub"
_GRUB: Final = "boot/grub/grub.cfg"
# What has a condition that this machine may not meet (no first screen): it need not run.
_MAY_REST: Final = frozenset({"sdbox-console.service"})
_WORKERS: Final = (
    "sdbox-card.service", "sdbox-tunnel.service", "sdbox-finger@*", "sdbox-carrier@*",
    "sdbox-renew.service",  # it may be under way, and write a certificate
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Machine:
    """See ports.System. `root`: `/`, or a disk that is at hand."""

    root: Path

    @property
    def running(self) -> bool:
        """This very machine, under systemd (sd_booted(3))."""
        return self.root == Path("/") and (self.root / RUNS_SYSTEMD).exists()

    def settled(self) -> bool:
        """See `System`."""
        if not self.running:
            return True
        swaps = self._text("proc/swaps").splitlines()[1:]
        kept = self._text("proc/sys/kernel/core_pattern").strip()
        grub = self._text(_GRUB)
        told = not grub or not self._has_grub() or "init_on_free=1" in grub
        return not swaps and kept == "|/bin/false" and told

    def settle(self) -> None:
        """See `System`."""
        if not self.running:
            return
        for argv in (_SYSCTL, _SWAP_OFF, _JOURNAL):
            command.run(*argv)
        if self._has_grub():
            command.run(f"/{_UPDATE_GRUB}")

    def enabled(self, units: Sequence[str]) -> bool:
        """See `System`."""
        must = [unit for unit in units if unit not in _MAY_REST]
        if not self._wanted().issuperset(units):
            return False
        return not self.running or all(map(_is_active, must))

    def disabled(self, units: Sequence[str], keep: Sequence[str]) -> bool:
        """See `System`."""
        if not self._wanted().isdisjoint(units):
            return False
        gone = (unit for unit in units if unit not in keep)
        return not self.running or not any(map(_is_active, gone))

    def enable(self, units: Sequence[str]) -> None:
        """See `System`. Raises Fault("unit-missing") where the package is not installed."""
        if not all(self._is_installed(unit) for unit in units):
            raise Fault("unit-missing")
        command.run(SYSTEMCTL, "--quiet", f"--root={self.root}", "enable", *units)
        if self.running:
            command.run(SYSTEMCTL, "daemon-reload")
            command.said(
                SYSTEMCTL, "reset-failed", *units
            )  # one that was never loaded is no trouble
            command.run(SYSTEMCTL, "start", *units)

    def disable(self, units: Sequence[str], keep: Sequence[str]) -> None:
        """See `System`."""
        there = [unit for unit in units if self._is_installed(unit)]
        if not there:
            return
        command.run(SYSTEMCTL, "--quiet", f"--root={self.root}", "disable", *there)
        if self.running:
            stopped = [unit for unit in there if unit not in keep]
            command.run(SYSTEMCTL, "stop", *stopped, *_WORKERS)

    def _wanted(self) -> set[str]:
        """What some target brings up at boot."""
        places = (self.root / place / target for place in UNITS for target in TARGETS)
        return {path.name for place in places for path in place.glob("*")}

    def _is_installed(self, unit: str) -> bool:
        return any((self.root / place / unit).exists() for place in UNITS)

    def _has_grub(self) -> bool:
        return (self.root / _UPDATE_GRUB).exists() and (self.root / _GRUB).exists()

    def _text(self, name: str) -> str:
        try:
            return (self.root / name).read_text("utf-8", "replace")
        except OSError:
            return ""


@dataclass(frozen=True, slots=True)
class Models:
    """See ports.Profiles. `shipped`: the profiles that came with the program."""

    paths: Paths
    shipped: Path

    def fitting(self) -> tuple[str, ...]:
        """See `Profiles`. Virtual sensors are the rig's, and named."""
        shelves = load.shelves(self.paths, self.shipped)
        loaded = (load.load_profile(name, shelves) for name in load.names(shelves))
        pairs = ((one, load.find_sensor(one, shelves)) for one in loaded)
        real = (pair for pair in pairs if not pair[1].driver.startswith(field.VIRTUAL_DRIVER))
        here = machine.look(self.paths.root)
        return tuple(fit.profile for fit in detect.fits(real, here) if fit.fits)

    def whole(self, name: str) -> Profile:
        """See `Profiles`."""
        return load.whole(name, self.paths, self.shipped).profile

    def usb(self, name: str) -> UsbRules:
        """See `Profiles`."""
        found = load.whole(name, self.paths, self.shipped)
        return UsbRules(found.profile, found.sensor)

    def report(self, box: str, profile: str, keys: str) -> wire.ReportRequest:
        """What the centre is told. `keys`: as people compare them."""
        here, chosen = machine.look(self.paths.root), self.whole(profile)
        return wire.ReportRequest(
            box=box,
            agent_version=__version__,
            profile=chosen.name,
            revision=chosen.revision,
            machine=here.name[:MAX_MACHINE],
            usb=tuple(sorted(here.usb))[:MAX_USB],
            tpm=here.tpm,
            keys=keys,
        )


def _is_active(unit: str) -> bool:
    """One at a time: of several, systemctl is content if any is."""
    return command.said(SYSTEMCTL, "is-active", "--quiet", unit) == 0
