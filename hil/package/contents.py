"""Which files of the repository a package has, and where they lie on a machine. No I/O.

What is named nowhere here stops the build: a new kind of file in `systemd/` or `udev/` is either
installed or left out for a reason, never forgotten.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

LIBRARY: Final = PurePosixPath("usr/lib/sdbox-agent")
UNITS: Final = PurePosixPath("lib/systemd/system")  # Debian 12's place for a package's units

# Of the agent, what no box has: the desk's and the developers' work on fingers in files, and the
# doubles that stand beside their ports for the tests.
NOT_ON_A_BOX: Final = (
    "sdbox_agent/fingercommand.py",
    "sdbox_agent/fingertool/",
    "sdbox_agent/card/scripted.py",
    "sdbox_agent/sensor/scripted.py",
    "sdbox_agent/state/model.py",
)
# Made by `make` and in no commit.
BUILT: Final = ("sdbox_agent/biometrics/libkernel.so",)
_SOURCE_OF_BUILT: Final = re.compile(r"\.c$")

_UNIT: Final = r"[\w.@-]+\.(?:service|socket|target|timer|path|slice)"
_PLACES: Final = (
    (re.compile(rf"systemd/({_UNIT}(?:\.d/[\w.-]+\.conf)?)"), str(UNITS)),
    (re.compile(r"systemd/([\w.-]+\.conf\.d/[\w.-]+\.conf)"), "usr/lib/systemd"),
    (re.compile(r"systemd/([\w-]+\.catalog)"), "usr/lib/systemd/catalog"),
    (re.compile(r"systemd/([\w-]+)\.sysusers"), "usr/lib/sysusers.d"),
    (re.compile(r"systemd/([\w-]+)\.tmpfiles"), "usr/lib/tmpfiles.d"),
    (re.compile(r"systemd/([\w-]+)\.sysctl"), "usr/lib/sysctl.d"),
    (re.compile(r"udev/([\w-]+\.rules)"), "lib/udev/rules.d"),
)
_BARE: Final = re.compile(r"[\w-]+")  # sysusers.d, tmpfiles.d, sysctl.d: NAME.conf


class Unplaced(Exception):  # noqa: N818  told with what it is
    """A file of which nothing says where it is installed."""


@dataclass(frozen=True, slots=True, order=True)
class Placed:
    """One file: where in the package, and where in the repository."""

    at: PurePosixPath
    source: PurePosixPath


def of_agent(tracked: Iterable[str]) -> list[Placed]:
    """The agent's files of these, sorted. Raises Unplaced."""
    return sorted(placed for name in (*tracked, *BUILT) if (placed := _of_agent(name)))


def _of_agent(name: str) -> Placed | None:
    source = PurePosixPath(name)
    top = source.parts[0]
    if top == "sdbox_agent":
        if name.startswith(NOT_ON_A_BOX) or _SOURCE_OF_BUILT.search(name):
            return None
        return Placed(LIBRARY / source, source)
    if top == "firmware_profiles":
        return Placed(LIBRARY / source, source)
    if top in {"systemd", "udev"}:
        return Placed(_place(name), source)
    return None


def _place(name: str) -> PurePosixPath:
    for pattern, directory in _PLACES:
        if found := pattern.fullmatch(name):
            file = found[1]
            return PurePosixPath(directory) / (f"{file}.conf" if _BARE.fullmatch(file) else file)
    raise Unplaced(name)


def enabled_at_install(units: dict[str, str]) -> list[str]:
    """Of unit files by name, those that installing enables: what stands before the network.

    The rest wait for whoever makes a box of the machine: without settings none may run.
    """
    return sorted(
        name
        for name, text in units.items()
        if re.search(r"^WantedBy=sysinit\.target$", text, re.MULTILINE)
    )
