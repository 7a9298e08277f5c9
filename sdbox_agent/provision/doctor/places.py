"""Where on a box, or on its disk, each thing lies; relative to its root."""

from __future__ import annotations

from typing import Final

UNITS: Final = ("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
TARGETS: Final = tuple(
    f"{each}.target.wants" for each in ("multi-user", "sockets", "sysinit", "timers")
)
CONFIG, STATE = "etc/sdbox", "var/lib/sdbox"
MARK: Final = f"{CONFIG}/rig"  # Paths.rig_mark
SHELVES: Final = (
    "profile.d",
    *(f"{place}{of}" for place in ("profiles", "profile-set") for of in ("", "/cards", "/sensors")),
)
OWN: Final = ("statement", "tls")
ANCHORS: Final = ("centre.pem", "cards.pem", "desk.pem")
ALWAYS: Final = "proc/cmdline"  # every kernel has it
RUNS_SYSTEMD: Final = "run/systemd/system"  # sd_booted(3)
UDEVD: Final = "run/udev/control"  # where udevd listens; none in a container
USB_RULES: Final = "etc/udev/rules.d/72-sdbox-usb.rules"  # Paths.usb_rules
