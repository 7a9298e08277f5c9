"""The rig's enrolment desk: blank cards come in, personalised ones go out, by the real desk's code.

The card lies straight on the desk (hil.direct), without a reader; the same through pcscd is
tests/hil/test_personalisation.py. What a person touches the desk's sensor with is the rig's finger.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import numpy as np

from hil.card.card import PivCard
from hil.direct import Direct
from hil.finger import sensor
from sdbox_agent.biometrics import oncard
from sdbox_agent.cardkind import Bit
from sdbox_agent.errors import AskAgain, Refused
from sdbox_agent.profile.schema import parse_kind
from sdbox_agent.sensor import intake
from sdbox_centre.authority import BACKDATED, CARD_LIFE
from sdbox_centre.cardorder import Order, StoredFinger
from sdbox_centre.issuercard import PivIssuer
from sdbox_centre.personalise import Desk

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator
    from uuid import UUID

    from hil.card.keys import Algorithm
    from hil.finger import Person
    from sdbox_agent.biometrics.minutia import Template
    from sdbox_agent.cardkind import CardKind, FingerKey
    from sdbox_agent.pki.holder import CardCertificates
    from sdbox_centre.authority import Authority
    from sdbox_centre.matchbound import Codes, Probe

KINDS: Final = Path(__file__).parents[1] / "firmware_profiles/cards"
MINIMUM, MAXIMUM, ASCENDING_Y_X = 12, 60, 0x09  # what the virtual card's templates ask for
KEYS: Final[tuple[FingerKey, FingerKey]] = ("96", "97")
TOUCHES: Final = 8  # a desk asks again before it sends somebody away


@functools.cache
def kind(name: str) -> CardKind:
    """A kind of card, from its own file."""
    return parse_kind((KINDS / f"{name}.toml").read_bytes()).kind


class CardDesk:
    """Personalises cards under one authority; each has a management key of its own."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def personalise(
        self,
        kind_name: str,
        now: dt.datetime,
        *,
        person: Person | None = None,
        codes: Codes | None = None,
        algorithm: Algorithm = "P-256",
        guid: UUID | None = None,
        not_after: dt.datetime | None = None,
    ) -> tuple[PivCard, CardCertificates]:
        """A card of that kind, with the person's fingers where it compares them itself."""
        of_kind = kind(kind_name)
        compares = of_kind.comparison == "card"
        management_key = secrets.token_bytes(32)
        card = PivCard.create(
            factory=True,
            admin_key=management_key,
            pin_policy="never" if compares else of_kind.pin_policy,
            verify=of_kind.verify,
        )
        order = Order(
            kind=of_kind,
            guid=(guid or uuid4()).bytes,
            common_name="Test holder",
            end=not_after or now - BACKDATED + CARD_LIFE,
            algorithm=algorithm,
            fingers=fingers_of(person) if compares and person is not None else (),
            codes=codes,
        )
        desk = Desk(
            connect=lambda: Direct(card),
            issuer=PivIssuer,
            management_key=management_key,
            authority=self._authority,
            rng=secrets.token_bytes,
        )
        touch = None if person is None else live(person)
        for _ in range(TOUCHES):
            with contextlib.suppress(AskAgain):
                return card, desk.personalise(order, now, touch).certificates
        raise AskAgain("no-match")


@functools.cache
def fingers_of(person: Person) -> tuple[StoredFinger, ...]:
    """Both fingers as the card will hold them: for each, the first touch worth keeping."""
    return tuple(
        _stored(person, _bit(key, position))
        for key, position in zip(KEYS, person.positions, strict=True)
    )


def _bit(key: FingerKey, position: int) -> Bit:
    return Bit(key=key, position=position, minimum=MINIMUM, maximum=MAXIMUM, order=ASCENDING_Y_X)


def _stored(person: Person, bit: Bit) -> StoredFinger:
    for template in _touches(person, bit.position, 1000):
        with contextlib.suppress(AskAgain, Refused):
            return StoredFinger(bit, oncard.reference(template, bit))
    raise Refused("reference-poor")


def live(person: Person) -> Probe:
    """This person's fingers on the desk's sensor: another touch each time."""
    touches: dict[int, Iterator[Template]] = {}

    def probe(bit: Bit) -> bytes:
        row = touches.setdefault(bit.position, _touches(person, bit.position, 2000))
        return oncard.probe(next(row), bit)

    return probe


def _touches(person: Person, position: int, seed: int) -> Iterator[Template]:
    for k in range(TOUCHES):
        touch = person.touch(position, seed + k, "good")
        yield intake.impression(np.ascontiguousarray(touch.pixels), sensor.kind())
