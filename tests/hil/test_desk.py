"""The rig's desk: cards for people, with their own fingers on them."""

import secrets

import pytest

from hil.desk import CardDesk, fingers_of, kind, live
from hil.direct import Direct
from hil.finger import Person
from hil.issuing import Issuing, now
from sdbox_agent.card import apdu, piv
from sdbox_agent.errors import AskAgain
from sdbox_agent.pki import certificate, oids
from sdbox_agent.terms import Level
from sdbox_centre.deskcard import DeskCard

pytestmark = pytest.mark.rig  # fingers are found by libfprint's detector
ONE, OTHER = Person(3), Person(4)


@pytest.fixture(scope="module")
def issuing() -> Issuing:
    return Issuing()


def selected(card) -> DeskCard:
    made = DeskCard(Direct(card), secrets.token_bytes)
    made.select()
    return made


def policies(certificate_der: bytes) -> frozenset[str]:
    return certificate.policies(certificate.load(certificate_der))


@pytest.mark.parametrize("name", ["piv-match", "piv-match-7816"])
def test_a_card_is_opened_by_its_own_person(issuing, name) -> None:
    card, certificates = CardDesk(issuing.cards).personalise(name, now(), person=ONE)
    assert oids.POLICY_MATCH_BOUND in policies(certificates.auth)
    assert card.atr.startswith(kind(name).atr)
    at_hand = selected(card)
    form = kind(name).verify
    bit = fingers_of(ONE)[0].bit
    assert at_hand.keys(certificates) == {piv.SW_SECURITY_STATUS}
    assert at_hand.compare(bit, live(OTHER)(bit), form) == 0x63C4
    touch = live(ONE)
    assert any(at_hand.compare(bit, touch(bit), form) == apdu.SW_OK for _ in range(3))
    assert at_hand.keys(certificates) == {apdu.SW_OK}


def test_nobody_gets_a_card_with_another_persons_fingers(issuing, monkeypatch) -> None:
    fingers_of(ONE)
    monkeypatch.setattr("hil.desk.fingers_of", lambda _: fingers_of(ONE))
    monkeypatch.setattr("hil.desk.TOUCHES", 2)
    with pytest.raises(AskAgain, match="no-match"):
        CardDesk(issuing.cards).personalise("piv-match", now(), person=OTHER)


@pytest.mark.parametrize("level", [Level.HOST_MATCH, Level.CARD_MATCH, Level.CARD_PIN])
def test_a_holder_at_each_level(issuing, level) -> None:
    holder = issuing.holder("test-holder-01", 3, level=level)
    bound = oids.POLICY_MATCH_BOUND in policies(holder.certificates.auth)
    assert (holder.level, bound) == (level, level is Level.CARD_MATCH)
    assert (holder.sealed is not None) is (level is Level.HOST_MATCH)
    if level is Level.CARD_PIN:
        field = holder.pin.encode().ljust(8, b"\xff")
        assert selected(holder.card).give(field) == apdu.SW_OK
