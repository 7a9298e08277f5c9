"""The steps that give a box its identity: its keys, and a certificate on each.

Two in files; or one in a chip, which vouches for the other (identity.vouching). The one-time token
is spent for them. They are on the disk before the centre sees them, so that a run that was cut asks
again with the same, and is answered the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

from cryptography import x509

from sdbox_agent.errors import DecodeError, Fault, Refused
from sdbox_agent.pki import boxcertificate, certificate
from sdbox_agent.pki.boxcertificate import Purpose
from sdbox_agent.provision.setup.settling import is_activated
from sdbox_agent.provision.setup.step import NOTHING, Note
from sdbox_agent.provision.setup.tree import put, read

if TYPE_CHECKING:
    import datetime as dt

    from sdbox_agent.identity.request import Signer
    from sdbox_agent.provision.setup.answers import Answers
    from sdbox_agent.provision.setup.places import Places
    from sdbox_agent.provision.setup.ports import Centre, KeyMaker
    from sdbox_agent.provision.setup.tree import Tree

PURPOSES: Final[tuple[Purpose, ...]] = get_args(Purpose)


@dataclass(frozen=True, slots=True)
class Keyed:
    """Its keys are there. One that can't be read is never replaced on a box in service."""

    tree: Tree
    places: Places
    keys: KeyMaker
    name: str = "keys"

    def holds(self) -> bool:
        """Raises Refused("box-keys-lost") for a box in service without one; Fault: the port's."""
        there = all(self.opened(purpose) is not None for purpose in self.keys.purposes)
        if not there and is_activated(self.tree, self.places):
            raise Refused("box-keys-lost")
        return there

    def act(self) -> Note:
        """Make what is missing."""
        for purpose in self.keys.purposes:
            if self.opened(purpose) is None:
                name = self.keys.name(purpose)
                put(self.tree, self.places.identity, name, self.keys.make(purpose))
        return NOTHING

    def opened(self, purpose: Purpose) -> Signer | None:
        """The key, or None where there is none that can be read."""
        kept = read(self.tree, self.places.identity, self.keys.name(purpose))
        try:
            return None if kept is None else self.keys.open(purpose, kept)
        except DecodeError:
            return None

    def shown(self) -> str:
        """All, as somebody here reads them to the centre. Raises as `key`."""
        der = {purpose: self.key(purpose).public_key_der for purpose in self.keys.purposes}
        return boxcertificate.shown_of(der)

    def key(self, purpose: Purpose) -> Signer:
        """The key, which is there. Raises Fault("box-identity-missing")."""
        found = self.opened(purpose)
        if found is None:
            raise Fault("box-identity-missing")
        return found


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate of the boxes' authority on each key, in the box's name, in date."""

    tree: Tree
    places: Places
    keyed: Keyed
    answers: Answers
    centre: Centre
    now: dt.datetime
    name: str = "certificates"

    def holds(self) -> bool:
        """A box in service renews by itself: whatever it has then is not setup's business."""
        if is_activated(self.tree, self.places):
            return True
        return all(self._is_certified(purpose) for purpose in self.keyed.keys.purposes)

    def act(self) -> Note:
        """Ask for those that are missing."""
        for purpose in self.keyed.keys.purposes:
            if not self._is_certified(purpose):
                pem = self.centre.enrol(purpose, self.keyed.key(purpose), self.answers)
                put(self.tree, self.places.identity, f"{purpose}.pem", pem)
        return NOTHING

    def _is_certified(self, purpose: Purpose) -> bool:
        """What the centre gave was seen by who asked; here, whether it is still that."""
        key = self.keyed.opened(purpose)
        pem = read(self.tree, self.places.identity, f"{purpose}.pem")
        if key is None or pem is None:
            return False
        try:
            found = x509.load_pem_x509_certificate(pem)
            boxcertificate.check(found, self.answers.box, purpose)
        except (ValueError, DecodeError):
            return False
        in_date = found.not_valid_before_utc <= self.now < found.not_valid_after_utc
        return certificate.key_der(found) == key.public_key_der and in_date
