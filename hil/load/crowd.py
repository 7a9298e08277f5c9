"""The people and boxes of a load test: keys and certificates of each, known to one centre.

A card here is a set of keys: it signs in software what a real one signs. All share one person's
fingers, so that a reference of true size is sealed to each card and the making stays short.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hil.card.card import PivCard
from hil.finger import Person
from hil.issuing import Holder, Issuing, Pair, now
from sdbox_centre import authority

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import ec

    from hil.centre import Centre

SEED = 1


@dataclass(frozen=True)
class Party:
    """One box, and the holder whose card goes into it."""

    box: str
    tls: Pair
    statement: Pair
    holder: Holder
    auth: ec.EllipticCurvePrivateKey = field(repr=False)  # the card's 9A
    card_auth: ec.EllipticCurvePrivateKey = field(repr=False)  # and 9E

    def identity(self, folder: Path) -> tuple[str, str]:
        """The box's TLS certificate and key, as files in `folder`."""
        certificate, key = folder / f"{self.box}.pem", folder / f"{self.box}.key"
        certificate.write_bytes(self.tls.pem)
        key.write_bytes(self.tls.key_pem)
        return str(certificate), str(key)


def party(issuing: Issuing, number: int, person: Person) -> Party:
    """Box and holder `number`, with fresh keys."""
    name, box = f"test-holder-{number:04}", f"box-{number:04}"
    auth, key_management, card_auth = (authority.new_key() for _ in range(3))
    card = PivCard.create(ready_keys={"9A": auth, "9D": key_management, "9E": card_auth})
    keys = authority.CardKeys(*(key.public_key() for key in (auth, key_management, card_auth)))
    certificates = issuing.cards.card(keys, card.guid.bytes, "Test holder", now())
    sealed = issuing.enrol(name, person, certificates)
    holder = Holder(name, person, card, certificates, sealed)
    return Party(box, issuing.box_tls(box), issuing.box_statement(box), holder, auth, card_auth)


def crowd(issuing: Issuing, centre: Centre, count: int, project: str) -> list[Party]:
    """That many, enrolled and granted the project. Before the centre starts."""
    person = Person(SEED)
    parties = [party(issuing, number, person) for number in range(count)]
    for one in parties:
        centre.add_box(one.box, one.tls, one.statement)
        centre.add_holder(one.holder, (project,))
    return parties
