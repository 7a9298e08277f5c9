"""The steps that let in no USB device but the profile's, and that let all in again.

Nothing that somebody or something here depends on is taken away: a keyboard that is plugged in, a
disk that is mounted or that another rests on, a network device that is up. While the rules would
refuse one of those, they are not written. Afterwards a foreign one never comes to be used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import Fault
from sdbox_agent.profile.usbrules import REFUSED
from sdbox_agent.provision.doctor.places import USB_RULES
from sdbox_agent.provision.setup.step import NOTHING, Note
from sdbox_agent.provision.setup.tree import put, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_agent.profile.usbrules import UsbRules
    from sdbox_agent.provision.setup.places import Places
    from sdbox_agent.provision.setup.ports import Usb
    from sdbox_agent.provision.setup.tree import Tree

DIRECTORY, FILE = USB_RULES.rsplit("/", 1)
DROP_IN: Final = "/etc/sdbox/profile.d/50-usb.toml"
MOST_TOLD: Final = 20


class UsbInUse(Fault):
    """`usb-in-use`: a line for each (port, id, what depends on it), and what would let them in."""

    def __init__(self, diagnosis: str) -> None:
        super().__init__("usb-in-use")
        self.diagnosis = diagnosis


@dataclass(frozen=True, slots=True)
class Ruled:
    """The profile's rules are written, and in force where udev rules."""

    tree: Tree
    places: Places
    rules: Callable[[], UsbRules]
    usb: Usb
    name: str = "usb"

    def holds(self) -> bool:
        """Raises UsbInUse while the rules would take away what somebody depends on."""
        rules = self.rules()
        known = read(self.tree, self.places.system(DIRECTORY), FILE)
        if known == rules.text.encode() and self._obeyed(rules):
            return True
        self._spare(rules)
        return False

    def act(self) -> Note:
        """Write them, then have them obeyed. Raises as `holds`; Fault("usb-rules-idle")."""
        rules = self.rules()
        self._spare(rules)
        put(self.tree, self.places.system(DIRECTORY), FILE, rules.text.encode())
        if self.usb.governed:
            self.usb.obey()
            if not self._obeyed(rules):
                raise Fault("usb-rules-idle")
        return NOTHING

    def _obeyed(self, rules: UsbRules) -> bool:
        usb = self.usb
        return not usb.governed or (usb.closed() and rules.obeyed(usb.plugged()))

    def _spare(self, rules: UsbRules) -> None:
        uses = self.usb.uses()
        found = [
            each
            for each in self.usb.plugged()
            if each.let_in and each.port in uses and rules.part(each) == REFUSED
        ][:MOST_TOLD]
        if not found:
            return
        told = [f"{each.port} {each.usb_id}: {', '.join(uses[each.port])}" for each in found]
        ids = dict.fromkeys((*rules.profile.usb.allow, *(each.usb_id for each in found)))
        allow = ", ".join(f'"{each}"' for each in ids)
        raise UsbInUse("\n".join((*told, f"{DROP_IN}:", "[usb]", f"allow = [{allow}]")))


@dataclass(frozen=True, slots=True)
class Unruled:
    """There are no rules of ours, and whatever is plugged in is let in as before."""

    tree: Tree
    places: Places
    usb: Usb
    name: str = "usb-free"

    def holds(self) -> bool:
        """Is there no file, and does nobody wait?"""
        written = read(self.tree, self.places.system(DIRECTORY), FILE) is not None
        return not written and not (self.usb.governed and self.usb.held_back())

    def act(self) -> Note:
        """The file first: udev must not make it so again."""
        self.tree.remove(self.places.system(DIRECTORY), FILE)
        if self.usb.governed:
            self.usb.open()
        return NOTHING
