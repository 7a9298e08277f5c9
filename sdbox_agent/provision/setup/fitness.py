"""The steps that make a machine fit to be a box, as far as settings can, and ask if it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import Fault
from sdbox_agent.provision.doctor.finding import ACTIVATION, Result, permit_activation, text
from sdbox_agent.provision.setup.step import NOTHING, Note
from sdbox_agent.provision.setup.tree import put, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sdbox_agent.provision.doctor.finding import Finding
    from sdbox_agent.provision.setup.places import Places
    from sdbox_agent.provision.setup.ports import System
    from sdbox_agent.provision.setup.tree import Place, Tree

FSTAB: Final = "fstab"
_MARK: Final = "# no swap on a box (sdbox-agent setup): "
# What another kernel command line cures, after a new start and not before.
AFTER_A_START: Final = frozenset({"freed-memory", "hibernation"})
MENDED: Final = AFTER_A_START | {"swap", "core-dumps", "journal"}  # by `Hardened`
# journald.conf(5), sysctl.d(5), and Debian's grub-mkconfig, which reads /etc/default/grub.d/*.cfg
DROP_INS: Final = (
    ("etc/systemd/journald.conf.d", "50-sdbox.conf", b"[Journal]\nSystemMaxUse=500M\n"),
    ("etc/sysctl.d", "50-sdbox-setup.conf", b"kernel.core_pattern = |/bin/false\n"),
    (
        "etc/default/grub.d",
        "50-sdbox.cfg",
        b'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX init_on_free=1 nohibernate"\n',
    ),
)


class Unfit(Fault):
    """`box-not-fit` or `restart-needed`, with the findings that say why, in plain lines."""

    def __init__(self, code: str, diagnosis: str) -> None:
        super().__init__(code)
        self.diagnosis = diagnosis


@dataclass(frozen=True, slots=True)
class Hardened:
    """Nothing of what is in memory comes to lie on the disk: files of settings, and the kernel."""

    tree: Tree
    places: Places
    system: System
    name: str = "hardening"

    def holds(self) -> bool:
        """What another start brings does not count: `Fit` tells of that."""
        there = all(read(self.tree, place, name) == data for place, name, data in self._wanted())
        return there and self.system.settled()

    def act(self) -> Note:
        """Files first: a cut machine starts with them."""
        for place, name, data in self._wanted():
            if read(self.tree, place, name) != data:
                put(self.tree, place, name, data)
        self.system.settle()
        return NOTHING

    def _wanted(self) -> Iterator[tuple[Place, str, bytes]]:
        for path, name, data in DROP_INS:
            yield self.places.system(path), name, data
        etc = self.places.system("etc")
        fstab = read(self.tree, etc, FSTAB)
        if fstab is not None:
            yield etc, FSTAB, without_swap(fstab)


def without_swap(fstab: bytes) -> bytes:
    """fstab(5) whose lines of swap are comments."""
    lines = fstab.splitlines(keepends=True)
    return b"".join(_MARK.encode() + line if _is_swap(line) else line for line in lines)


def _is_swap(line: bytes) -> bool:
    return not line.lstrip().startswith(b"#") and line.split()[2:3] == [b"swap"]


@dataclass(frozen=True, slots=True)
class Fit:
    """What `doctor --activation` asks for. `findings` makes those checks now."""

    findings: Callable[[], tuple[Finding, ...]]
    hardened: Hardened
    language: str
    name: str = "fit"

    def holds(self) -> bool:
        """False for what `hardened` has yet to mend.

        Raises Unfit: restart-needed where only another start is wanting, else box-not-fit.
        """
        found = self.findings()
        try:
            permit_activation(found)
        except Fault as error:
            wrong = [one for one in found if one.result in {Result.FAILED, Result.SKIPPED}]
            made = {one.check for one in found if one.result is not Result.SKIPPED}
            if {one.check for one in wrong} <= MENDED and not self.hardened.holds():
                return False
            only_start = made >= ACTIVATION and {one.check for one in wrong} <= AFTER_A_START
            code = "restart-needed" if only_start else error.code
            told = [*text(wrong, self.language)][:-1]
            raise Unfit(code, "\n".join(told)) from None
        return True

    def act(self) -> Note:  # pragma: no cover  (the step before has made it so, or it is refused)
        """Nothing to do."""
        return NOTHING
