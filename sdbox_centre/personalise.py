"""Personalising a card at the desk: from the factory's blank to one that a box believes.

A short plan, run over three connections, each from reset to reset:

1. with the management key: objects, keys, certificates without the match-bound policy, fingers,
   and the end (or the change) of PIN and PUK;
2. without it: the card is watched doing what its kind says; only then, where it compares fingers
   itself, the authority makes the match-bound certificate, and it is put on the card;
3. without it: everything is read back.

Torn away anywhere, the same call goes on: each step looks at what is there, and writes what is
missing. A key is made anew only where no certificate of this order speaks for it, since no PIV
command gives back the public half. Fingers can't be read back, so they are stored again.

Knows no maker's command (issuercard.py) and not what proves that a finger alone opens a card
(matchbound.py). It keeps nothing; who signs and seals a reference for the card is desk.py.
"""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from sdbox_agent.card import apdu, occ, pin, piv
from sdbox_agent.errors import DecodeError, Fault, Refused
from sdbox_agent.pki import certificate, holder, oids
from sdbox_agent.pki.holder import CardCertificates
from sdbox_centre import authority as issuing
from sdbox_centre import cardobjects, deskcard, issuercard, matchbound
from sdbox_centre.authority import BACKDATED, CARD_LIFE

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator

    from sdbox_agent.card.channel import Channel
    from sdbox_centre.cardorder import Order
    from sdbox_centre.deskcard import DeskCard, Slot
    from sdbox_centre.issuercard import Issuer
    from sdbox_centre.matchbound import Codes, Probe, Proof

SLOTS: Final[tuple[Slot, ...]] = ("9A", "9D", "9E")


@dataclass(frozen=True, slots=True)
class Personalised:
    """A card that is ready, and why its certificate may say so."""

    certificates: CardCertificates
    proof: Proof | None


@dataclass(frozen=True, slots=True)
class Desk:
    """What the desk works with."""

    connect: Callable[[], Channel]  # an exclusive connection to the card on the desk, after a reset
    issuer: Callable[[Channel, Callable[[int], bytes]], Issuer]
    management_key: bytes = field(repr=False)
    authority: issuing.Authority
    rng: Callable[[int], bytes]

    def personalise(
        self, order: Order, now: dt.datetime, probe: Probe | None = None
    ) -> Personalised:
        """Make the card what was ordered, or go on with it.

        `probe` is asked for a live touch of each finger, where the card compares. Raises
        Refused("card-pin-usable"), Refused("card-not-match-bound"), Refused("card-not-genuine"),
        Refused("not-a-piv-card"), Refused("card-data-invalid"), Fault("card-not-personalised"),
        AskAgain("no-match"), or what `probe` and the channel raise; ValueError for a card that
        compares without a `probe`, or that would live longer than an enrolment. Nothing of a card
        is registered before this has returned.
        """
        if order.compares and probe is None:
            raise ValueError("a card that compares is proved by a finger")
        if order.end > now - BACKDATED + CARD_LIFE:
            raise ValueError("no box takes a card that lives longer than an enrolment")
        try:
            certificates = self._write(order, now)
            proof = None
            if probe is not None and order.compares:
                certificates, proof = self._bind(order, certificates, now, probe)
            else:
                self._watch(order, certificates)
            self._read_back(order, certificates)
        except DecodeError:
            raise Refused("card-data-invalid") from None
        return Personalised(certificates, proof)

    @contextmanager
    def _card(self) -> Iterator[tuple[DeskCard, Issuer]]:
        """From one reset to the next."""
        channel = self.connect()
        try:
            card = deskcard.DeskCard(channel, self.rng)
            card.select()
            yield card, self.issuer(channel, self.rng)
        finally:
            channel.close()

    # -- 1: with the management key --------------------------------------------------------------

    def _write(self, order: Order, now: dt.datetime) -> CardCertificates:
        with self._card() as (card, issuer):
            issuer.authenticate(self.management_key)
            for tag, content in order.objects().items():
                if card.read(tag) != cardobjects.wrapped(tag, content):
                    issuer.put(tag, content)
            auth, key_management, card_auth = (
                self._certified(card, issuer, order, slot, now) for slot in SLOTS
            )
            for finger in order.fingers:
                issuer.store_finger(occ.KEYS[finger.bit.key], finger.reference)
            if order.compares:
                matchbound.close_codes(card, issuer, self.rng)
            elif order.codes is not None:
                give_codes(issuer, order.codes)
        return CardCertificates(auth, key_management, card_auth)

    def _certified(
        self, card: DeskCard, issuer: Issuer, order: Order, slot: Slot, now: dt.datetime
    ) -> bytes:
        """The certificate of a key: the one that is there, or a new one for a new key."""
        found = card.certificate(slot)
        if found is not None and self._of_this_order(found, order, slot):
            return found
        key = issuer.generate(slot, order.algorithm)
        subject = issuing.card_subject(order.guid, order.common_name)
        der = self.authority.card_certificate(slot, key, subject, now, order.end)
        issuer.put(piv.CERTIFICATE_OBJECTS[slot], cardobjects.certificate(der))
        return der

    def _of_this_order(self, der: bytes, order: Order, slot: Slot) -> bool:
        """Whether this is what the desk would issue, or has issued, for the order."""
        try:
            one = certificate.load(der)
            one.verify_directly_issued_by(self.authority.certificate)
            key, guid = deskcard.public_key(der), holder.guid(one)
        except (ValueError, TypeError, InvalidSignature, DecodeError, Refused):
            return False
        wanted = issuing.card_profile(slot, key).policies
        if slot == "9A" and order.compares:
            wanted += (oids.POLICY_MATCH_BOUND,)
        names = one.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return (
            guid == order.guid
            and [name.value for name in names] == [order.common_name]
            and certificate.algorithm(key) == order.algorithm
            and wanted[0] in certificate.policies(one) <= set(wanted)
            and one.not_valid_after_utc == order.end.replace(microsecond=0)
        )

    # -- 2: watched, and only then certified -----------------------------------------------------

    def _bind(
        self, order: Order, certificates: CardCertificates, now: dt.datetime, probe: Probe
    ) -> tuple[CardCertificates, Proof]:
        with self._card() as (card, issuer):
            _same_card(card, certificates)
            prover = matchbound.Prover(card, issuer, order.kind, self.rng)
            proof = prover.prove(order.guid, certificates, order.bits, probe)
            if holder.is_match_bound(
                certificate.load(certificates.auth)
            ):  # put on the card before it was torn away
                return certificates, proof
            auth = self.authority.card_match_bound(proof, order.common_name, now, order.end)
            issuer.authenticate(self.management_key)
            issuer.put(piv.CERTIFICATE_OBJECTS["9A"], cardobjects.certificate(auth))
        return dataclasses.replace(certificates, auth=auth), proof

    def _watch(self, order: Order, certificates: CardCertificates) -> None:
        """A card whose finger the box compares: what opens its keys is what its kind says."""
        with self._card() as (card, _):
            _same_card(card, certificates)
            if order.codes is not None:
                _expect(card.keys(certificates), piv.SW_SECURITY_STATUS)
                _expect({card.give(order.codes.pin)}, apdu.SW_OK)
            _expect(card.keys(certificates), apdu.SW_OK)

    # -- 3: what a box will see ------------------------------------------------------------------

    def _read_back(self, order: Order, certificates: CardCertificates) -> None:
        with self._card() as (card, _):
            for tag, content in order.objects().items():
                if card.read(tag) != cardobjects.wrapped(tag, content):
                    raise Fault("card-not-personalised")
            seen = CardCertificates(*(card.certificate(slot) or b"" for slot in SLOTS))
            if seen != certificates:
                raise Fault("card-not-personalised")
            _same_card(card, certificates)
            if order.compares:
                _expect({card.ask(pin.REFERENCE)}, piv.SW_BLOCKED)
                _expect(card.keys(certificates), piv.SW_SECURITY_STATUS)


def give_codes(issuer: Issuer, codes: Codes) -> None:
    """Set PUK and PIN to the holder's; done already, it only sets the PIN's tries back to whole.

    Raises Fault("card-not-personalised") where neither the factory's PUK works nor the new one.
    """
    if issuer.reset_pin(codes.puk, codes.pin) == apdu.SW_OK:
        return
    issuer.change(issuercard.PUK, matchbound.FACTORY.puk, codes.puk)
    _expect({issuer.reset_pin(codes.puk, codes.pin)}, apdu.SW_OK)


def _same_card(card: DeskCard, certificates: CardCertificates) -> None:
    """Between two connections a card can be changed for another: its 9E key can't."""
    _expect({card.use("9E", certificates.card_auth)}, apdu.SW_OK)


def _expect(seen: set[int] | frozenset[int], wanted: int) -> None:
    if seen != {wanted}:
        raise Fault("card-not-personalised")
