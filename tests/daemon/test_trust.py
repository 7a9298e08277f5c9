"""Which cards are believed: by the box's own anchors, the newest list, and the centre's clock."""

import datetime as dt

import pytest

from sdbox_agent.daemon.trust import Trust
from sdbox_agent.errors import Fault, Refused
from sdbox_agent.session.events import Card
from tests.daemon import cards
from tests.daemon.parts import UTC_S, Bench

YEAR_S = 366 * 86400


def trust(*lists: bytes) -> Trust:
    one = Trust((cards.anchor(),), Bench().marks, "never")
    one.take(lists, UTC_S)
    return one


def test_a_valid_card_is_believed() -> None:
    three = cards.card().certificates
    believed = trust(cards.crl(1)).check(cards.opened(), UTC_S)
    assert believed == Card(three.auth, three.key_management, three.card_auth, "never")


def test_without_a_list_no_card_is_believed() -> None:
    with pytest.raises(Fault, match="crl-stale"):
        trust().check(cards.opened(), UTC_S)


def test_a_newer_list_takes_the_older_ones_place() -> None:
    one = trust(cards.crl(1))
    one.take((cards.crl(2, cards.card().certificates.auth),), UTC_S)
    with pytest.raises(Refused, match="card-revoked"):
        one.check(cards.opened(), UTC_S)


def test_a_list_with_a_lower_number_is_refused_and_the_newer_kept() -> None:
    one = trust(cards.crl(2, cards.card().certificates.auth))
    with pytest.raises(Fault, match="crl-invalid"):
        one.take((cards.crl(1),), UTC_S)
    with pytest.raises(Refused, match="card-revoked"):
        one.check(cards.opened(), UTC_S)


@pytest.mark.parametrize("nonsense", [b"", b"x", b"\x30\x00"])
def test_nonsense_is_no_list_and_leaves_the_good_one(nonsense: bytes) -> None:
    one = trust(cards.crl(1))
    with pytest.raises(Fault, match="crl-invalid"):
        one.take((nonsense,), UTC_S)
    assert one.check(cards.opened(), UTC_S)


def test_the_list_at_hand_holds_as_long_as_it_lasts() -> None:
    one = trust(cards.crl(1))
    with pytest.raises((Fault, Refused), match=r"crl-stale|card-expired"):
        one.check(cards.opened(), UTC_S + YEAR_S)
    old = cards.crl(1, moment=cards.NOW - dt.timedelta(days=200))
    with pytest.raises(Fault, match="crl-stale"):
        trust(old)


def test_a_card_of_another_authority_is_not_believed() -> None:
    foreign = cards.authority.authority("Test other authority", cards.NOW - dt.timedelta(days=1))
    one = Trust((cards.authority.der_of(foreign.certificate),), Bench().marks, "never")
    with pytest.raises(Refused, match="card-untrusted"):
        one.check(cards.opened(), UTC_S)
