"""A box unmade: sessions ended, the centre told, keys destroyed, everything of ours wiped.

The centre is told first, while there is still a key to say it with; if it can't be reached the box
is wiped all the same, and the operator is told what staff have to do. Wiped is unlinked and synced:
on a disk that remaps its blocks, nothing overwrites; that is what an encrypted partition is for.
Whatever cuts this short, the next run goes on with it, and nothing but it runs on this box.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import SdboxError
from sdbox_agent.identity import tpmfile
from sdbox_agent.provision.doctor.parts import STARTED_AT_BOOT
from sdbox_agent.provision.setup.enrolling import PURPOSES
from sdbox_agent.provision.setup.places import BOX, REPORTED, RETIRED
from sdbox_agent.provision.setup.step import NOTHING, Note
from sdbox_agent.provision.setup.tree import put, read

if TYPE_CHECKING:
    from sdbox_agent.profile.schema import Box
    from sdbox_agent.provision.setup.places import Places
    from sdbox_agent.provision.setup.ports import Centre, System
    from sdbox_agent.provision.setup.tree import Place, Tree

KEPT_UP: Final = ("sdbox-walls.service",)  # they stand until the machine is started anew
_KEYS: Final = (*(f"{purpose}.key" for purpose in PURPOSES), tpmfile.FILE)
TOLD, UNTOLD = b"told\n", b"untold\n"


@dataclass(frozen=True, slots=True)
class Stopped:
    """No unit of ours runs, or will: the core ends a session as it stops, tunnel first."""

    system: System
    name: str = "stop"

    def holds(self) -> bool:
        """See `System.disabled`."""
        return self.system.disabled(STARTED_AT_BOOT, KEPT_UP)

    def act(self) -> Note:
        """Stop and disable."""
        self.system.disable(STARTED_AT_BOOT, KEPT_UP)
        return NOTHING


@dataclass(frozen=True, slots=True)
class Said:
    """The centre was told, or could not be: which of the two outlives a power cut."""

    tree: Tree
    places: Places
    box: Box | None
    centre: Centre | None  # none where there are no settings to reach it by
    name: str = "goodbye"

    def holds(self) -> bool:
        """A machine that is no box has nothing to say; one that no longer can is told of."""
        config, identity = self.places.config, self.places.identity
        if read(self.tree, config, RETIRED) is not None:
            return True
        return read(self.tree, config, BOX) is None and self.tree.is_empty(identity.path)

    def act(self) -> Note:
        """Tell it once; whatever it answers, the box is wiped."""
        told = self._told()
        self.tree.remove(self.places.config, REPORTED)  # so that a full disk has room for the mark
        put(self.tree, self.places.config, RETIRED, TOLD if told else UNTOLD)
        return NOTHING  # the last step says what staff must do, whoever makes it

    def _told(self) -> bool:
        if self.box is None or self.centre is None:
            return False
        try:
            self.centre.retire(self.box.box)
        except SdboxError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Destroyed:
    """The keys, then what they stood for. Settings go last: by them it is known what is left."""

    tree: Tree
    places: Places
    what: str  # "identity", "state" or "config"

    @property
    def name(self) -> str:
        """Of the step."""
        return f"wipe-{self.what}"

    def holds(self) -> bool:
        """Is nothing there?"""
        return self.tree.is_empty(self._place().path)

    def act(self) -> Note:
        """Remove what is there, the mark of a retirement last of all."""
        place = self._place()
        if self.what == "identity":
            for name in _KEYS:  # before certificates
                self.tree.remove(place, name)
        if self.what != "config":
            self.tree.empty(place.path)
            return NOTHING
        untold = read(self.tree, place, RETIRED) == UNTOLD
        self.tree.empty(place.path, last=RETIRED)
        return Note("untold") if untold else NOTHING

    def _place(self) -> Place:
        return {
            "identity": self.places.identity,
            "state": self.places.state,
            "config": self.places.config,
        }[self.what]
