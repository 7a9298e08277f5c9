"""Which files of the repository a package has, and where they lie on a machine. No I/O.

What is named nowhere here stops the build: a new kind of file in `systemd/` or `udev/` is either
installed or left out for a reason, never forgotten.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from hil.package import imports

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LIBRARY: Final = PurePosixPath("usr/lib/sdbox-agent")
CENTRE: Final = PurePosixPath("usr/lib/sdbox-centre")
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
# Of the centre, the enrolment desk's: it seals references and writes cards, beside a person and on
# no server. Nothing that the centre runs may lead to it.
DESK: Final = (
    "sdbox_centre/cardobjects.py",
    "sdbox_centre/cardorder.py",
    "sdbox_centre/desk.py",
    "sdbox_centre/deskcard.py",
    "sdbox_centre/issuercard.py",
    "sdbox_centre/matchbound.py",
    "sdbox_centre/personalise.py",
    "sdbox_centre/sealing.py",
)
# What the centre's command, its gateway's reload and the way of its database lead to is in its
# package; of the agent, these parts and no others.
_STARTED: Final = ("sdbox_centre/__main__.py", "sdbox_centre/gateway_process.py")
_MIGRATIONS: Final = "sdbox_centre/migrations/"  # loaded by Alembic, by their names
OF_THE_AGENT: Final = {
    "sdbox_agent/card/": "a member of staff's card in a station's reader",
    "sdbox_agent/cardkind.py": "of which kind it is",
    "sdbox_agent/centre/": "the words that boxes and centre exchange",
    "sdbox_agent/errors.py": "what went wrong, and what to do",
    "sdbox_agent/hardening.py": "wiping a key",
    "sdbox_agent/pki/": "paths, lists, requests; no reference is opened",
    "sdbox_agent/profile/": "answers for a box's set-up are checked before staff sign them",
    "sdbox_agent/provision/": "those answers' form; readers and what is in them",
    "sdbox_agent/screen.py": "text that a terminal may be given",
    "sdbox_agent/sensorkind.py": "a profile names one",
    "sdbox_agent/state/": "reading a key's file, and whose it is",
    "sdbox_agent/statements/": "what boxes and cards sign",
    "sdbox_agent/terminal.py": "a PIN, typed unseen",
    "sdbox_agent/terms.py": "levels",
    "sdbox_agent/tunnel/": "WireGuard and its end of carriers",
}
_PACKAGE: Final = "sdbox_agent/__init__.py"
_READ: Final = {
    "sdbox_agent/errors.py": "sdbox_agent/errors.toml",
    "sdbox_agent/screen.py": "sdbox_agent/screen.toml",
}
CENTRES_UNITS: Final = "systemd/centre/"
_MANUALS: Final = ("docs/centre.md", "docs/centre-backup.md", "docs/network.md")
_EXAMPLE: Final = re.compile(
    r"^```toml\n# /etc/sdbox-centre/(\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE
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
    if name.startswith(CENTRES_UNITS):
        return None
    if top == "sdbox_agent":
        if name.startswith(NOT_ON_A_BOX) or _SOURCE_OF_BUILT.search(name):
            return None
        return Placed(LIBRARY / source, source)
    if top == "firmware_profiles":
        return Placed(LIBRARY / source, source)
    if top in {"systemd", "udev"}:
        return Placed(_place(name), source)
    return None


def of_centre(tracked: Iterable[str], texts: Mapping[str, str]) -> list[Placed]:
    """The centre's files of these, sorted. `texts`: of both programs' modules. Raises Unplaced."""
    names = list(tracked)
    roots = [*_STARTED, *(name for name in texts if name.startswith(_MIGRATIONS))]
    modules = imports.reached(roots, texts)
    for name, importer in modules.items():
        if name.startswith(DESK):
            raise Unplaced(f"{name}, the desk's, which {importer} imports,")
        if not name.startswith(("sdbox_centre/", _PACKAGE, *OF_THE_AGENT)):
            raise Unplaced(f"{name}, which {importer} imports,")
    for name in texts:
        if name.startswith("sdbox_centre/") and name not in modules and name not in DESK:
            raise Unplaced(f"{name}, which neither the centre nor its desk imports,")
    read = [data for reader, data in _READ.items() if reader in modules]
    return sorted(
        [
            *(Placed(CENTRE / name, PurePosixPath(name)) for name in (*modules, *read)),
            *(
                Placed(_place(f"systemd/{name.removeprefix(CENTRES_UNITS)}"), PurePosixPath(name))
                for name in names
                if name.startswith(CENTRES_UNITS)
            ),
            *(
                Placed(documents("sdbox-centre") / PurePosixPath(name).name, PurePosixPath(name))
                for name in names
                if name in _MANUALS
            ),
        ]
    )


def documents(package: str) -> PurePosixPath:
    """Where a package's papers lie."""
    return PurePosixPath("usr/share/doc") / package


def examples(manual: str) -> dict[PurePosixPath, str]:
    """The settings that docs/centre.md shows, each a file: what is installed is what was read."""
    at = documents("sdbox-centre") / "examples"
    return {at / name: text for name, text in _EXAMPLE.findall(manual)}


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
