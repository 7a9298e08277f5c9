"""The steps that take the answers over: whose they are, which profile, what stays on the disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.profile import schema
from sdbox_agent.profile.toml import TomlRefused
from sdbox_agent.provision.setup import answers as answering
from sdbox_agent.provision.setup import signature
from sdbox_agent.provision.setup.places import ACTIVATED, BOX, RETIRED, STAFF
from sdbox_agent.provision.setup.step import NOTHING, Note
from sdbox_agent.provision.setup.tree import put, read

if TYPE_CHECKING:
    import datetime as dt

    from sdbox_agent.profile.schema import Box
    from sdbox_agent.provision.setup.answers import Answers
    from sdbox_agent.provision.setup.places import Places
    from sdbox_agent.provision.setup.ports import Profiles
    from sdbox_agent.provision.setup.tree import Place, Tree

ANCHORS: Final = ("centre", "cards", "desk", "boxes")  # tables of the answers, files of `anchors/`


@dataclass(frozen=True, slots=True)
class Given:
    """What the operator gave: the answers, their signature, and perhaps the anchor's SHA-256."""

    raw: bytes
    answers: Answers
    detached: bytes
    typed: bytes | None


def held(tree: Tree, places: Places) -> Box | None:
    """Which box this machine is already, by its settings; None if by none that can be read."""
    found = read(tree, places.config, BOX)
    try:
        return None if found is None else schema.parse_box(found)
    except TomlRefused:
        return None


def is_activated(tree: Tree, places: Places) -> bool:
    """Has the centre put this box into service since it was made?"""
    return read(tree, places.config, ACTIVATED) is not None


@dataclass(frozen=True, slots=True)
class Believed:
    """Staff signed these answers for this box, and the authority that says so is pinned."""

    tree: Tree
    places: Places
    given: Given
    now: dt.datetime
    rig: bool
    name: str = "answers"

    def holds(self) -> bool:
        """Raises Refused: as `signature.verify`, anchor-wanted, box-is-another, box-retiring."""
        if read(self.tree, self.places.config, RETIRED) is not None:
            raise Refused("box-retiring")
        pinned = self._pinned()
        self._anchor(pinned)
        box = held(self.tree, self.places)
        if box is not None and box.box != self.given.answers.box:
            raise Refused("box-is-another")
        return pinned is not None

    def act(self) -> Note:
        """Pin the authority."""
        found = x509.load_der_x509_certificate(self._anchor(None))
        put(self.tree, self.places.anchors, STAFF, found.public_bytes(Encoding.PEM))
        return NOTHING

    def _pinned(self) -> bytes | None:
        pem = read(self.tree, self.places.anchors, STAFF)
        if pem is None:
            return None
        try:
            return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
        except ValueError:
            raise Fault("config-invalid") from None

    def _anchor(self, pinned: bytes | None) -> bytes:
        """The authority's certificate. Raises Refused."""
        wanted = self.given.typed
        if pinned is not None:
            known = hashlib.sha256(pinned).digest()
            if wanted not in {None, known}:
                raise Refused("anchor-mismatch")
            wanted = known
        if wanted is None:
            raise Refused("anchor-wanted")
        given = self.given
        signed = signature.verify(given.raw, given.detached, wanted, self.now, rig=self.rig)
        said, answers = signed.said, given.answers
        if (said.box, said.until_s) != (answers.box, answers.until_s):
            raise Refused("answers-unsigned")
        return signed.anchor_der


@dataclass(frozen=True, slots=True)
class Chosen:
    """One profile is named, or fits this machine alone; and a box can have it."""

    tree: Tree
    places: Places
    answers: Answers
    profiles: Profiles
    name: str = "profile"

    def holds(self) -> bool:
        """Raises Fault: no-profile-fits, profile-ambiguous; FileRefused("profile-invalid")."""
        self.profiles.whole(self.profile())
        return True

    def act(self) -> Note:  # pragma: no cover  (it holds or is refused: nothing is written here)
        """Nothing to do."""
        return NOTHING

    def profile(self) -> str:
        """Its name: as staff said, as this box has it already, or as this machine is."""
        if self.answers.profile != answering.DETECT:
            return self.answers.profile
        box = held(self.tree, self.places)
        if box is not None:
            return box.profile
        fitting = self.profiles.fitting()
        if len(fitting) == 1:
            return fitting[0]
        raise Fault("profile-ambiguous" if fitting else "no-profile-fits")


@dataclass(frozen=True, slots=True)
class Settled:
    """/etc/sdbox: which box this is, and whom it believes.

    Of a box in service nothing is undone: authorities may have been replaced since.
    """

    tree: Tree
    places: Places
    answers: Answers
    chosen: Chosen
    name: str = "settings"

    def holds(self) -> bool:
        """Raises as `Chosen.holds`; Fault("settings-rolled-back") for older answers than it had."""
        box = held(self.tree, self.places)
        if is_activated(self.tree, self.places) and box is not None:
            return True
        if box is not None and box.serial > self.answers.serial:
            raise Fault("settings-rolled-back")
        wanted = self._wanted()
        return all(read(self.tree, place, name) == data for place, name, data in wanted)

    def act(self) -> Note:
        """box.toml last: with it there is a box, and the walls go by it."""
        for place, name, data in self._wanted():
            if read(self.tree, place, name) != data:
                put(self.tree, place, name, data)
        return Note(detail=f"box = {self.answers.box}, profile = {self.chosen.profile()}")

    def _wanted(self) -> list[tuple[Place, str, bytes]]:
        places, anchors = self.places, self.answers.anchors
        box = answering.box_of(self.answers, self.chosen.profile())
        return [
            *(
                (places.anchors, f"{name}.pem", answering.pem(getattr(anchors, name)))
                for name in ANCHORS
            ),
            (places.config, BOX, answering.box_toml(box)),
        ]
