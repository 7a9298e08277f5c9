"""What setup's steps ask of machine and centre: ports, whose real ends are machine, asking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdbox_agent.centre.wire import ReportAnswer, ReportRequest
    from sdbox_agent.identity.request import Signer
    from sdbox_agent.pki.boxcertificate import Purpose
    from sdbox_agent.profile.schema import Profile
    from sdbox_agent.profile.usbdevices import UsbDevice
    from sdbox_agent.profile.usbrules import UsbRules
    from sdbox_agent.provision.setup.answers import Answers


class System(Protocol):
    """The machine that is to be a box. Raises Fault("unit-failed") for what does not obey."""

    @property
    def running(self) -> bool:
        """Is it this very machine, under systemd? Else its disk alone is at hand."""

    def settled(self) -> bool:
        """Does what the kernel and the boot loader go by agree with what is on the disk?"""

    def settle(self) -> None:
        """Make it so: no swap, no core dumps, the journal's size, the kernel's command line."""

    def enabled(self, units: Sequence[str]) -> bool:
        """Will these start at boot, and do they run, if anything does here?"""

    def enable(self, units: Sequence[str]) -> None:
        """From now on, and at once if the machine runs."""

    def disabled(self, units: Sequence[str], keep: Sequence[str]) -> bool:
        """Will none of these start at boot, and run none now but those of `keep`?"""

    def disable(self, units: Sequence[str], keep: Sequence[str]) -> None:
        """Not any more; those of `keep` go on until the machine is started anew."""


class Profiles(Protocol):
    """The models of box that this machine knows."""

    def fitting(self) -> tuple[str, ...]:
        """Those of which board, reader and sensor are there."""

    def whole(self, name: str) -> Profile:
        """One, as this box would have it. Raises FileRefused("profile-invalid")."""

    def usb(self, name: str) -> UsbRules:
        """Whom that one lets in. Raises as `whole`."""


class Usb(Protocol):
    """What is plugged into the machine."""

    @property
    def governed(self) -> bool:
        """Does udev rule, here and now? Else nothing is plugged in, and files alone count."""

    def plugged(self) -> tuple[UsbDevice, ...]:
        """Every device but the controllers."""

    def closed(self) -> bool:
        """Do the controllers let in nothing by themselves?"""

    def uses(self) -> dict[str, tuple[str, ...]]:
        """By port, what somebody or something depends on: of a hub, all that is beyond it."""

    def obey(self) -> None:
        """Have udev read its rules, and judge anew whatever is plugged in, before this returns.

        Raises Fault("usb-rules-idle").
        """

    def held_back(self) -> bool:
        """Is nothing let in by itself, though the kernel's command line does not say so?"""

    def open(self) -> None:
        """Have udev read its rules; let in what is there, as far as it goes, and what comes."""


class KeyMaker(Protocol):
    """Where keys come from: files, or a chip."""

    @property
    def purposes(self) -> tuple[Purpose, ...]:
        """Of the keys that this box keeps: a chip's, which vouches for those of TLS, or both."""

    def name(self, purpose: Purpose) -> str:
        """Of the file that is kept of a key."""

    def make(self, purpose: Purpose) -> bytes:
        """A new key: what is to be kept of it. Raises Fault."""

    def open(self, purpose: Purpose, kept: bytes) -> Signer:
        """The key again. Raises DecodeError for what is none, Fault."""


class Centre(Protocol):
    """The centre, as a box that is being made asks it. Every method raises SdboxError."""

    def enrol(self, purpose: Purpose, key: Signer, answers: Answers) -> bytes:
        """The certificate of a key, PEM, for the token; asked again, the same."""

    def report(self, report: ReportRequest) -> ReportAnswer:
        """Say how the box is; hear how it stands. As the box itself, by its certificate."""

    def retire(self, box: str) -> None:
        """Say that it is one no longer. As the box itself."""
