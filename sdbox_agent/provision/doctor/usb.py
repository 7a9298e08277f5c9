"""The rules for USB: they are those of the profile, and the kernel has been told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdbox_agent.profile.usbrules import UsbRules
from sdbox_agent.provision.doctor.finding import failed, ok
from sdbox_agent.provision.doctor.places import UDEVD, USB_RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdbox_agent.provision.doctor.examine import Examination
    from sdbox_agent.provision.doctor.finding import Finding

NAME = "usb-rules"


def rules(at: Examination) -> Iterator[Finding]:
    """The file, byte for byte; then each device and controller, where udev rules and runs."""
    wanted = UsbRules(at.profile, at.sensor)
    if at.look.text_if(USB_RULES) != wanted.text:
        yield failed(NAME, code="usb-rules-other", detail=f"/{USB_RULES}")
        return
    if not at.look.live or not at.look.is_there(UDEVD):
        yield ok(NAME)
        return
    loose = [f"{each.port} {each.usb_id}" for each in at.look.usb() if not wanted.obeyed([each])]
    if loose or not at.look.usb_closed():
        yield failed(NAME, code="usb-rules-idle", detail=" ".join(loose))
    else:
        yield ok(NAME)
