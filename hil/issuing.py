"""Everything that is issued before a box can work: authorities, a centre, boxes, people with cards.

Fresh on each run; nothing of it is in the repository.
"""

from __future__ import annotations

import datetime as dt
import functools
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from cryptography import x509

from hil.card.card import PivCard
from hil.desk import CardDesk
from hil.finger import Person, sensor
from sdbox_agent.biometrics.iso19794_2_2005 import encode, record_of
from sdbox_agent.card import pin
from sdbox_agent.sensor import intake
from sdbox_agent.terms import Level
from sdbox_centre import authority as issuing
from sdbox_centre import desk
from sdbox_centre.matchbound import Codes, random_code

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from cryptography.hazmat.primitives.asymmetric import ec

    from hil.card.keys import Algorithm
    from hil.card.memory import PinPolicy
    from hil.device import Device
    from sdbox_agent.pki.holder import CardCertificates
    from sdbox_centre.authority import Authority

PIN: Final = "246810"
ENROLLED_TOUCHES: Final = 2  # impressions of each finger in a reference


def now() -> dt.datetime:
    """The rig's clock is the machine's."""
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM."""

    certificate: x509.Certificate
    key_pem: bytes = field(repr=False)

    @property
    def pem(self) -> bytes:
        """The certificate, PEM."""
        return issuing.pem_of(self.certificate)

    @property
    def der(self) -> bytes:
        """The certificate, DER."""
        return issuing.der_of(self.certificate)


@dataclass
class Holder:
    """A test person: a finger or two, a card, an enrolment."""

    name: str
    person: Person
    card: PivCard
    certificates: CardCertificates
    sealed: desk.Sealed | None = None  # at host-match
    level: Level = Level.HOST_MATCH
    pin: str = PIN
    _device: Device | None = None

    @property
    def device(self) -> Device:
        """For one-time codes, at card-pin: the centre gives it when it adds the holder."""
        assert self._device is not None
        return self._device

    def given(self, device: Device) -> None:
        """Keep it."""
        self._device = device


class Issuing:
    """The authorities of one rig, and what they issue."""

    def __init__(self) -> None:
        moment = now()
        self.cards = issuing.authority("Test card authority", moment, test=True)
        self.boxes = issuing.authority("Test box authority", moment)
        self.desks = issuing.authority("Test enrolment authority", moment, test=True)
        self.servers = issuing.authority("Test centre authority", moment)
        self.staff = issuing.authority("Test staff authority", moment, test=True)
        key = issuing.new_key()
        certificate = self.desks.issue(
            issuing.DESK, issuing.Subject("Test desk"), key.public_key(), moment - issuing.BACKDATED
        )
        self._signer = desk.Signer(issuing.der_of(certificate), key)
        self._crl_number = self._desk_crl_number = 0
        self._revoked: dict[int, dt.datetime] = {}

    def server(self, *hosts: str) -> Pair:
        """The centre's TLS certificate."""
        subject = issuing.server_subject("Test centre", hosts)
        return self._pair(self.servers, issuing.SERVER_TLS, subject)

    def box_tls(self, name: str, authority: Authority | None = None) -> Pair:
        """A box's TLS certificate."""
        subject = issuing.box_subject(name)
        return self._pair(authority or self.boxes, issuing.BOX_TLS, subject)

    def box_statement(self, name: str) -> Pair:
        """A box's statement certificate, on a key in a file."""
        return self._pair(self.boxes, issuing.BOX_STATEMENT, issuing.box_subject(name))

    def box_statement_on(self, name: str, public: ec.EllipticCurvePublicKey) -> Pair:
        """The same on a key that nobody here has: a chip's."""
        begin = now() - issuing.BACKDATED
        subject = issuing.box_subject(name)
        return Pair(self.boxes.issue(issuing.BOX_STATEMENT, subject, public, begin), b"")

    def _pair(
        self, authority: Authority, profile: issuing.Profile, subject: issuing.Subject
    ) -> Pair:
        key = issuing.new_key()
        begin = now() - issuing.BACKDATED
        certificate = authority.issue(profile, subject, key.public_key(), begin)
        return Pair(certificate, issuing.key_pem(key))

    def card(
        self,
        algorithms: Mapping[str, Algorithm] | None = None,
        authority: Authority | None = None,
        moment: dt.datetime | None = None,
        not_after: dt.datetime | None = None,
        guid: UUID | None = None,
        pin_policy: PinPolicy = "never",
    ) -> tuple[PivCard, CardCertificates]:
        """A card whose finger the box compares, made in one stroke, and its certificates."""
        card = PivCard.create(
            algorithms=algorithms,  # type: ignore[arg-type]
            guid=guid,
            pin_policy=pin_policy,
        )
        public = card.public_keys()
        keys = issuing.CardKeys(public["9A"], public["9D"], public["9E"])
        issued = (authority or self.cards).card(
            keys, card.guid.bytes, "Test holder", moment or now(), not_after
        )
        card.install({"9A": issued.auth, "9D": issued.key_management, "9E": issued.card_auth})
        return card, issued

    def match_card(
        self, person: Person, kind: str = "piv-match", algorithm: Algorithm = "P-256"
    ) -> tuple[PivCard, CardCertificates]:
        """A card that compares this person's fingers itself, personalised as the desk does it."""
        return CardDesk(self.cards).personalise(kind, now(), person=person, algorithm=algorithm)

    def pin_card(self, digits: str = PIN) -> tuple[PivCard, CardCertificates]:
        """A card that asks for its holder's PIN, personalised as the desk does it."""
        field = digits.encode().ljust(pin.FIELD_BYTES, b"\xff")
        codes = Codes(field, random_code(secrets.token_bytes))
        return CardDesk(self.cards).personalise("piv-pin", now(), codes=codes)

    def holder(
        self,
        name: str,
        seed: int,
        *,
        level: Level = Level.HOST_MATCH,
        algorithms: Mapping[str, Algorithm] | None = None,
        sealed_to: CardCertificates | None = None,
    ) -> Holder:
        """A person enrolled at the desk, from the first touch of the sensor to the sealed bytes.

        At card-match nothing is sealed: the fingers are on the card. At card-pin there is none.
        """
        person = Person(seed)
        if level is Level.CARD_MATCH:
            return Holder(name, person, *self.match_card(person), level=level)
        if level is Level.CARD_PIN:
            return Holder(name, person, *self.pin_card(), level=level)
        card, certificates = self.card(algorithms)
        sealed = self.enrol(name, person, sealed_to or certificates)
        return Holder(name, person, card, certificates, sealed)

    def enrol(
        self,
        name: str,
        person: Person,
        certificates: CardCertificates,
        signer: desk.Signer | None = None,
        moment: dt.datetime | None = None,
    ) -> desk.Sealed:
        """What the desk makes: two fingers, some touches each, signed, sealed to the card."""
        record = reference_record(person)
        return self.seal(name, record, person.positions, certificates, signer, moment)

    def seal(
        self,
        name: str,
        record: bytes,
        positions: tuple[int, ...],
        certificates: CardCertificates,
        signer: desk.Signer | None = None,
        moment: dt.datetime | None = None,
    ) -> desk.Sealed:
        """The same of a record that was made elsewhere."""
        subject = desk.Subject(name, f"enrolment-{name}", positions)
        return desk.enrol(record, certificates, subject, moment or now(), signer or self._signer)

    def staff_card(self) -> tuple[PivCard, CardCertificates]:
        """A staff member's: 9A asks for its PIN."""
        field = PIN.encode().ljust(pin.FIELD_BYTES, b"\xff")
        codes = Codes(field, random_code(secrets.token_bytes))
        return CardDesk(self.staff).personalise("piv-pin", now(), codes=codes)

    def staff_crl(self) -> bytes:
        """The staff cards' authority's list."""
        return self.staff.crl(1, now())

    def revoke(self, *certificates: bytes) -> None:
        """Put these on the next list."""
        for der in certificates:
            self._revoked[x509.load_der_x509_certificate(der).serial_number] = now()

    def desk_crl(self, next_update: dt.datetime | None = None) -> bytes:
        """The enrolment authority's list, with a number of its own."""
        self._desk_crl_number += 1
        return self.desks.crl(self._desk_crl_number, now(), self._revoked, next_update)

    def crl(self, next_update: dt.datetime | None = None) -> bytes:
        """The card authority's list, with a number of its own."""
        self._crl_number += 1
        return self.cards.crl(self._crl_number, now(), self._revoked, next_update)


@functools.cache
def reference_record(person: Person) -> bytes:
    """ISO/IEC 19794-2:2005, as an enrolment station makes it."""
    touches = {
        position: [person.touch(position, 1000 + k, "good") for k in range(ENROLLED_TOUCHES)]
        for position in person.positions
    }
    templates = {
        position: [
            intake.impression(np.ascontiguousarray(touch.pixels), sensor.kind()) for touch in row
        ]
        for position, row in touches.items()
    }
    height, width = next(iter(touches.values()))[0].pixels.shape
    return encode(record_of(templates, width, height))
