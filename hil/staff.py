"""The rig's staff: two people with cards, who do what tests ask of them, each act signed.

What an act must say and no test asks about (dates, place, country) is in order for a long time.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from cryptography import x509
from msgspec import UNSET

from sdbox_agent.pki import certificate
from sdbox_agent.pki.holder import guid
from sdbox_centre import authority, vouching
from sdbox_centre.staff import payload
from sdbox_centre.staff.office import Pending
from sdbox_centre.staff.roster import RosterSource
from sdbox_centre.staff.signer import KeySigner, countersigned, signed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from hil.issuing import Issuing
    from sdbox_agent.pki.holder import CardCertificates
    from sdbox_agent.terms import Level
    from sdbox_centre.staff.office import Entered, Office
    from sdbox_centre.staff.payload import Act
    from sdbox_centre.staff.signer import Signer

MOTIVE: Final = "test"
COUNTRY: Final = "FR"
LONG_S: Final = 20 * 365 * 86400


STAFF_AT: Final = """
            [staff]
            roster = "staff/roster.toml"
            anchors = "staff/anchors.pem"
            crls = ["staff/staff.crl"]
            """  # for a process beside whose settings `Members` have their directory "staff"


class Members:
    """A directory with a roster, and what it names: two people, whose cards' keys are in memory."""

    def __init__(self, directory: Path, issuing: Issuing) -> None:
        self._directory = directory
        (directory / "anchors.pem").write_bytes(authority.pem_of(issuing.staff.certificate))
        (directory / "staff.crl").write_bytes(issuing.staff_crl())
        self._entries = ""
        first, second = (self._software(issuing, name) for name in ("staff-01", "staff-02"))
        self.signers = (first, second)

    def _software(self, issuing: Issuing, name: str) -> KeySigner:
        keys = [authority.new_key() for _ in range(3)]
        public = authority.CardKeys(*(key.public_key() for key in keys))
        card = issuing.staff.card(public, uuid4().bytes, "Test staff", dt.datetime.now(dt.UTC))
        self.add(name, card)
        return KeySigner(card.auth, keys[0])

    def add(self, name: str, card: CardCertificates) -> None:
        """One more, who may do everything."""
        ders = (card.auth, card.key_management, card.card_auth)
        pem = authority.pem_of(*(x509.load_der_x509_certificate(der) for der in ders))
        (self._directory / f"{name}.pem").write_bytes(pem)
        roles = ", ".join(f'"{role}"' for role in sorted(payload.ROLES))
        self._entries += f"""[[member]]
name = "{name}"
roles = [{roles}]
certificates = "{name}.pem"

"""
        new = self._directory / "roster.new"
        new.write_text(self._entries)
        new.replace(self._directory / "roster.toml")

    def source(self) -> RosterSource:
        """As a process of the centre reads it."""
        at = self._directory
        return RosterSource(
            at / "roster.toml", at / "anchors.pem", [at / "staff.crl"], test_issuers=True
        )


class Unheard:
    """The gateway before it has started: the API tells it all when it starts itself."""

    def act(self, statement: bytes) -> None:
        """Nobody is there yet."""

    def remove(self, keys: Iterable[str]) -> None:
        """Nobody is in yet."""


class Staff:
    """Acts on one office. Those that end sessions return what the gateway was to remove."""

    def __init__(self, office: Office, signers: tuple[Signer, Signer]) -> None:
        self.office = office
        self.signers = signers

    def enter(self, act: Act, reference: bytes | None = None) -> Entered:
        """With a second signature where one is not enough."""
        first, second = self.signers
        made = self.office.offer(signed(act, first), reference)
        if isinstance(made, Pending):
            return self.office.confirm(made.id, lambda said: countersigned(said, second))
        return made

    def add_box(self, name: str, tls: bytes | None, statement_certificate: bytes) -> None:
        """A box, in its place, by its TLS certificate and the one its statements are signed by.

        Without the former it vouches for TLS keys that it makes in memory.
        """
        now_s = self.office.utc_s()
        said = {
            "tls_sha256": (
                hashlib.sha256(tls).digest()
                if tls is not None
                else vouching.names_itself(statement_certificate)
            ),
            "statement_certificate": statement_certificate,
            "country": COUNTRY,
            "placed_s": now_s,
            "rental_from_s": now_s,
            "rental_until_s": now_s + LONG_S,
        }
        self.enter(self.office.draft(payload.Box, MOTIVE, box=name, state="active", **said))

    def add_holder(self, holder: str) -> None:
        """A holder, by pseudonym."""
        said = {"holder": holder, "removed": False}
        self.enter(self.office.first_or_next(payload.Holder, MOTIVE, **said))

    def remove_holder(self, holder: str) -> None:
        """One without a card, in no project."""
        self.enter(self.office.change(payload.Holder, MOTIVE, holder=holder, removed=True))

    def add_card(self, holder: str, card: CardCertificates) -> bytes:
        """A card of this holder; the card's name."""
        hashes = card.hashes()
        said = {
            "card": hashes.auth,
            "key_management_sha256": hashes.key_management,
            "card_auth_sha256": hashes.card_auth,
            "guid": guid(certificate.load(card.auth)),
        }
        self.enter(self.office.draft(payload.Card, MOTIVE, holder=holder, **said))
        return hashes.auth

    def add_enrolment(
        self, name: str, card: bytes, sealed: bytes | None, not_before_s: int, not_after_s: int
    ) -> None:
        """A finger's: what the desk sealed to this card; nothing if the card compares."""
        said = {"reference_sha256": None if sealed is None else hashlib.sha256(sealed).digest()}
        dates = {"not_before_s": not_before_s, "not_after_s": not_after_s}
        self._enrol(name, card, sealed, **said, **dates)

    def enrol_without_finger(self, name: str, card: bytes, not_after_s: int) -> None:
        """Of somebody who has no finger to give."""
        now_s = self.office.utc_s()
        self._enrol(name, card, None, finger=False, not_before_s=now_s, not_after_s=not_after_s)

    def _enrol(self, name: str, card: bytes, sealed: bytes | None, **said: object) -> None:
        owned = self.office.newest(f"card/{card.hex()}")
        holder = owned.holder if isinstance(owned, payload.Card) else "nobody"
        about = {"holder": holder, "card": card, "enrolment": name, **said}
        self.enter(self.office.draft(payload.Enrolment, MOTIVE, **about), sealed)

    def give_device(self, enrolment: str) -> str:
        """For one-time codes: what the person's device reads, once."""
        shown = self.enter(self.office.draft(payload.Device, MOTIVE, enrolment=enrolment)).shown
        assert shown is not None
        return shown

    def add_project(self, name: str, label: str, levels: Sequence[Level]) -> None:
        """A project, open, and the levels it accepts."""
        now_s = self.office.utc_s()
        said = {
            "levels": tuple(sorted(levels)),
            "countries": (COUNTRY,),
            "contract_from_s": now_s,
            "contract_until_s": now_s + LONG_S,
        }
        self.enter(self.office.draft(payload.Project, MOTIVE, project=name, label=label, **said))

    def set_levels(self, project: str, levels: Sequence[Level]) -> None:
        """The project accepts these from now on."""
        said = {"project": project, "levels": tuple(sorted(set(levels)))}
        self.enter(self.office.change(payload.Project, MOTIVE, **said))

    def hold_when_moved(self, project: str, *, holds: bool = True) -> Sequence[str]:
        """Boxes that were moved or altered wait for a derogation there; or no longer."""
        said: dict[str, object] = {"when_moved": "hold" if holds else UNSET}
        return self.enter(self.office.change(payload.Project, MOTIVE, project=project, **said)).gone

    def derogate(self, box: str, until_s: int) -> Sequence[str]:
        """The box is let in until then, although it was moved or altered."""
        said = {"box": box, "until_s": until_s}
        return self.enter(self.office.first_or_next(payload.Derogation, MOTIVE, **said)).gone

    def place_box(self, name: str) -> None:
        """It stands where it is, from now on."""
        said = {"box": name, "placed_s": self.office.utc_s()}
        self.enter(self.office.change(payload.Box, MOTIVE, **said))

    def grant(self, holder: str, project: str) -> None:
        """The holder, who has signed the undertaking, may enter the project."""
        said = {"holder": holder, "project": project, "undertaking_s": self.office.utc_s()}
        self.enter(self.office.first_or_next(payload.Grant, MOTIVE, **said, withdrawn=False))

    def withdraw(self, holder: str, project: str, motive: str = MOTIVE) -> Sequence[str]:
        """The holder may no longer enter the project."""
        said = {"holder": holder, "project": project, "withdrawn": True}
        return self.enter(self.office.change(payload.Grant, motive, **said)).gone

    def close_project(self, project: str, motive: str = MOTIVE) -> Sequence[str]:
        """Nobody enters any more."""
        said = {"project": project, "state": "closed"}
        return self.enter(self.office.change(payload.Project, motive, **said)).gone

    def revoke_card(self, card: bytes, motive: str = MOTIVE) -> Sequence[str]:
        """For good."""
        said = {"card": card, "revoked": True}
        return self.enter(self.office.change(payload.Card, motive, **said)).gone

    def unlock_card(self, card: bytes, motive: str = MOTIVE) -> None:
        """Its attempts are whole again, here and (told by the next proof's answer) on each box."""
        self.enter(self.office.draft(payload.Unlock, motive, card=card))

    def suspend_box(self, name: str, motive: str = MOTIVE) -> Sequence[str]:
        """It gets no answer until resumed."""
        return self._set_box(name, "suspended", motive)

    def resume_box(self, name: str, motive: str = MOTIVE) -> None:
        """A suspended box is answered again; its next start counts from its own counter."""
        self._set_box(name, "active", motive)

    def _set_box(self, name: str, state: str, motive: str) -> Sequence[str]:
        said = {"box": name, "state": state}
        return self.enter(self.office.change(payload.Box, motive, **said)).gone
