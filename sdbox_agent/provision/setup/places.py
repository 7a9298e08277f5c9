"""Where setup writes: each directory with the owner and modes that `doctor` demands. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sdbox_agent.provision.doctor.files import USERS
from sdbox_agent.provision.setup.tree import Place

BOX: Final = "box.toml"
STAFF: Final = "staff.pem"
REPORTED: Final = "reported"
ACTIVATED: Final = "activated"
RETIRED: Final = "retired"


@dataclass(frozen=True, slots=True)
class Places:
    """With the numbers of root and of the core's user: others where nobody can give files away."""

    root: int = 0
    core: int = USERS["sdbox"]

    @property
    def config(self) -> Place:
        """Settings: root writes, our users read."""
        return Place("etc/sdbox", self.root)

    @property
    def anchors(self) -> Place:
        """Whom the box believes."""
        return Place("etc/sdbox/anchors", self.root)

    @property
    def identity(self) -> Place:
        """The box's keys and certificates: the core's alone."""
        return Place("etc/sdbox/identity", self.core, 0o700, 0o600)

    @property
    def state(self) -> Place:
        """What the core remembers."""
        return Place("var/lib/sdbox", self.core, 0o700, 0o600)

    def system(self, path: str) -> Place:
        """A directory of the system's, in which a file is ours."""
        return Place(path, self.root, ours=False)
