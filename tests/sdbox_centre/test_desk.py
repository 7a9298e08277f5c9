"""The desk: what it signs and seals is what one card, and one box after it, can open."""

import dataclasses
import datetime as dt
import hashlib

import pytest

from sdbox_agent.errors import Refused
from sdbox_agent.pki import cms, reference
from sdbox_centre import desk
from tests.pki import grown
from tests.pki.grown import DAY, NOW, NOW_S, RECORD, SUBJECT


def enrol(card, signer=None, subject=SUBJECT, record=RECORD):
    return desk.enrol(record, card.certificates, subject, NOW, signer or grown.signer())


def open_with(card, sealed_der, of=None):
    sealed = cms.parse(sealed_der)
    certificates = (of or card).certificates
    cms.check_recipient(sealed, certificates.key_management)
    signed = cms.decrypt(sealed, card.open(sealed), certificates.key_management)
    anchors = [grown.desk_authority().certificate_der]
    return reference.verify(signed, anchors, certificates, SUBJECT.enrolment, NOW_S)


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048"])
def test_an_enrolment_is_opened_by_its_card_alone(kind) -> None:
    made = enrol(grown.card(kind))
    assert made.sha256 == hashlib.sha256(made.sealed_der).digest()
    opened = open_with(grown.card(kind), made.sealed_der)
    assert opened.record == RECORD
    assert opened.not_after_s == made.not_after_s
    other = grown.issue(grown.card_authority(), grown.card(kind).key_management)
    with pytest.raises(Refused, match="reference-not-for-this-card"):
        open_with(other, made.sealed_der)


def test_the_record_is_nowhere_in_the_clear() -> None:
    made = enrol(grown.card())
    for start in range(len(RECORD) - 8):
        assert RECORD[start : start + 8] not in made.sealed_der
    for name in (SUBJECT.holder, SUBJECT.enrolment):
        assert name.encode() not in made.sealed_der


def test_whoever_can_write_the_centres_database_opens_nothing() -> None:
    # threat: the card's certificate is public, so anybody can seal his own finger to it
    card, thief = grown.card(), grown.make_signer(grown.card_authority())
    forged = enrol(card, signer=thief)
    with pytest.raises(Refused, match="reference-unsigned"):
        open_with(card, forged.sealed_der)
    # and a true reference of the thief's own card, sealed anew to the victim's
    own = grown.card("p384")
    signed = desk.sign(RECORD, own.certificates, SUBJECT, NOW, grown.signer())
    moved = desk.sealing.seal(signed, card.certificates.key_management)
    with pytest.raises(Refused, match="reference-not-for-this-card"):
        open_with(card, moved)


def test_a_reference_lives_four_years_or_as_long_as_its_card() -> None:
    assert enrol(grown.card()).not_after_s < NOW_S + reference.MAX_VALIDITY_S  # the card's end
    long = grown.issue(
        grown.card_authority(), grown.card().key_management, not_after=NOW + 5 * 366 * DAY
    )
    assert enrol(long).not_after_s == NOW_S + reference.MAX_VALIDITY_S
    four_years = dt.datetime.fromtimestamp(enrol(long).not_after_s, dt.UTC)
    assert four_years == NOW.replace(year=NOW.year + 4)


def test_a_desk_about_to_end_signs_nothing() -> None:
    signer = grown.make_signer(grown.desk_authority(), not_after=NOW + 2 * 365 * DAY)
    with pytest.raises(ValueError, match="desk"):
        enrol(grown.card(), signer)


@pytest.mark.parametrize(
    "change",
    [{"holder": "a b"}, {"enrolment": ""}, {"finger_positions": (0,)}, {"finger_positions": ()}],
    ids=str,
)
def test_a_subject_without_room_in_the_format_is_refused_at_the_desk(change) -> None:
    with pytest.raises(ValueError):
        enrol(grown.card(), subject=dataclasses.replace(SUBJECT, **change))


def test_a_record_too_large_for_a_box_is_refused_at_the_desk() -> None:
    with pytest.raises(ValueError):
        enrol(grown.card(), record=bytes(cms.MAX_MESSAGE_BYTES - 1000))


def test_no_finger_is_in_the_repr() -> None:
    assert "FMR" not in repr(enrol(grown.card()))
    assert "key" not in repr(grown.signer())
