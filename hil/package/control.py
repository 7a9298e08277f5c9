"""What dpkg is told: the control file, the scripts, copyright and changelog. Texts; no I/O."""

from __future__ import annotations

import datetime as dt
import email.utils
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hil.package import contents

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAINTAINER: Final = "SD-Box maintainers <maintainers@sdbox.example>"
# Debian's own, called or loaded by name; what the libraries are linked with, dpkg-shlibdeps adds.
AGENT_DEPENDS: Final = (
    "gir1.2-fprint-2.0",
    "iproute2",
    "libpcsclite1",
    "libtss2-tcti-device0",
    "libudev1",
    "nftables",
    "passwd",
    "pcscd",
    "python3 (>= 3.11)",
    "python3 (<< 3.12)",  # the wheels are compiled for it
    "python3-gi",
    "systemd",
    "tpm-udev",  # /dev/tpmrm0 for the group tss, which the core's unit names
    "udev",
    "wireguard-go",
)
# The same of the centre. Its interfaces are wireguard-go's; a reload is a signal of kill(1).
CENTRE_DEPENDS: Final = (
    "libpcsclite1",  # loaded by its name, for staff's cards
    "passwd",
    "procps",
    "python3 (>= 3.11)",
    "python3 (<< 3.12)",
    "systemd",
    "wireguard-go",
)
_AGENT_SAYS: Final = """\
Suggests: opensc-pkcs11
Description: SD-Box: a closed access terminal for confidential data
 Opens an encrypted tunnel to a researcher's virtual machine for as long as a
 personal smartcard is inserted and its holder's finger has been recognised.
 .
 After installation the machine is no box yet: that is for its set-up. Until
 then nothing runs, and the firewall does not start without settings.
"""
# A box lets no network pass that a centre needs.
_CENTRE_SAYS: Final = """\
Suggests: ccid, pcscd, postgresql, sqlite3
Conflicts: sdbox-agent
Description: SD-Box: the centre that boxes ask, and its gateway
 Decides who may enter which project from which box, by acts that staff have
 signed with their cards; a gateway of its own verifies each entry once more
 and keeps the WireGuard peers. Fingers are enrolled elsewhere.
 .
 After installation nothing runs: settings come first.
"""
MANUAL_TAIL: Final = r"""
.SH EXIT STATUS
.TP
0
done
.TP
1
refused, or failed; the code and what to do are on standard error
.TP
2
the command was not understood
.SH FILES
.TP
/etc/sdbox
settings (box.toml), anchors, profiles, and the box's identity
.TP
/var/lib/sdbox
counters and the record of what happened
.TP
/usr/lib/sdbox\-agent/firmware_profiles
models of box, card and sensor
.SH SEE ALSO
.BR journalctl (1)
with
.BR \-x ,
.BR systemctl (1)
"""
_CENTRE_TAIL: Final = r"""
.SH EXIT STATUS
.TP
0
done
.TP
1
refused, or failed; what it was and what to do are on standard error
.TP
2
the command was not understood, or a file is not there
.SH FILES
.TP
/etc/sdbox\-centre
settings (api.toml, gateway.toml, carrier.toml, projects), certificates, the roster of staff
.TP
/var/lib/sdbox\-centre
the database, where it is SQLite's
.TP
/usr/share/doc/sdbox\-centre
the manual, and examples of all settings
.SH SEE ALSO
.BR journalctl (1),
.BR systemctl (1)
"""


@dataclass(frozen=True, slots=True)
class Words:
    """What of one package is said to dpkg and to people."""

    package: str  # its name, and its command's
    what: str  # after the name in its manual
    depends: tuple[str, ...]
    says: str  # fields of its own, and the description
    manual_tail: str  # in roff


AGENT: Final = Words(
    "sdbox-agent", "a closed access terminal", AGENT_DEPENDS, _AGENT_SAYS, MANUAL_TAIL
)
CENTRE: Final = Words(
    "sdbox-centre", "the centre of closed access terminals", CENTRE_DEPENDS, _CENTRE_SAYS,
    _CENTRE_TAIL,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Version:
    """Of a package: the commit it is made of."""

    number: str  # Debian's
    epoch_s: int  # the commit's time, and every file's


def version(number: str, commit: str, epoch_s: int, *, released: bool, clean: bool) -> Version:
    """`0.1.0` at its tag; before it `0.1.0~git20260102030405.abc`, sorted by time of commit.

    A tree with uncommitted changes says so.
    """
    if released and clean:
        return Version(number, epoch_s)
    time = dt.datetime.fromtimestamp(epoch_s, dt.UTC).strftime("%Y%m%d%H%M%S")
    return Version(f"{number}~git{time}.{commit}{'' if clean else '.dirty'}", epoch_s)


def control(words: Words, of: Version, architecture: str, linked: str, installed_kib: int) -> str:
    """A package's control file. `linked`: what dpkg-shlibdeps has found."""
    depends = ", ".join(sorted({*words.depends, *filter(None, linked.split(", "))}))
    return (
        f"Package: {words.package}\n"
        f"Version: {of.number}\n"
        f"Architecture: {architecture}\n"
        f"Maintainer: {MAINTAINER}\n"
        f"Installed-Size: {installed_kib}\n"
        f"Depends: {depends}\n"
        "Section: admin\n"
        "Priority: optional\n" + words.says
    )


def scripts(texts: Mapping[str, str], units: dict[str, str], sysusers: str) -> dict[str, str]:
    """The maintainer scripts, with the names of units, users and groups in them."""
    enabled = contents.enabled_at_install(units)
    ours = sorted(
        name
        for name in units
        if name.startswith("sdbox-") and not name.startswith(("sdbox-walls.", "sdbox-netns."))
    )
    started = [name for name in ours if "[Install]" in units[name] and "@" not in name]
    stopped = [name.replace("@", "@*") for name in ours if name != "sdbox-agent.service"]
    names = {
        "ENABLED": enabled,
        "STARTED": sorted(started, key=lambda name: (not name.endswith(".socket"), name)),
        "STOPPED": sorted(
            (f"'{name}'" if "*" in name else name for name in stopped),
            key=lambda name: (".socket" not in name, name),
        ),
        "USERS": _named("u", sysusers),
        "GROUPS": [*_named("g", sysusers), *_named("u", sysusers)],
    }
    done = {}
    for script, text in texts.items():
        filled = re.sub(r"@([A-Z]+)@", lambda found: " ".join(names[found[1]]), text)
        done[script] = filled
    return done


def _named(kind: str, sysusers: str) -> list[str]:
    return re.findall(rf"^{kind}\s+(\S+)", sysusers, re.MULTILINE)


def changelog(package: str, of: Version) -> str:
    """Debian's form; what has changed stands in the project's own changelog beside it."""
    when = email.utils.format_datetime(dt.datetime.fromtimestamp(of.epoch_s, dt.UTC))
    return (
        f"{package} ({of.number}) bookworm; urgency=medium\n\n"
        "  * Built from this version's sources: see CHANGELOG.md.gz.\n\n"
        f" -- {MAINTAINER}  {when}\n"
    )


def copyright_of(package: str, year: int, bundled: Iterable[tuple[str, str, str]]) -> str:
    """The licence, and those of the wheels. `bundled`: name, version and licence, as each says."""
    wheels = "".join(f"  {name} {number}: {licence}\n" for name, number, licence in sorted(bundled))
    return f"""\
{package}
Copyright {year} the SD-Box project
License: Apache-2.0

Under /usr/lib/{package}/lib/python3.11/site-packages lie these libraries of other authors, each
under its own licence, unchanged but for what runs nowhere on a box. The texts are in their
*.dist-info directories; where each was taken from, sources included, in sbom.cdx.json beside this
file.

{wheels}
On Debian systems the full texts of the Apache License 2.0, of the GNU General Public License and of
the GNU Lesser General Public License are /usr/share/common-licenses/Apache-2.0, GPL-2 and LGPL-2.1.
"""
