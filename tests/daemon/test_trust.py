"""Which cards are believed: by the box's own anchors, the newest lists, and the centre's clock."""

import dataclasses
import datetime as dt

import msgspec
import pytest

from sdbox_agent.cardkind import Bit, CardKind
from sdbox_agent.daemon import trust as trusting
from sdbox_agent.daemon.trust import Trust
from sdbox_agent.errors import Bug, Fault, Refused
from sdbox_agent.pki import oids
from sdbox_agent.session.events import Card
from sdbox_centre import authority
from tests import kinds
from tests.daemon import cards
from tests.daemon.cards import NOW
from tests.daemon.parts import UTC_S, Bench

YEAR_S = 366 * 86400
DAY = dt.timedelta(days=1)
DESKS = authority.authority("Test enrolment authority", NOW - DAY)
BIT = Bit(key="96", position=2, minimum=12, maximum=60, order=9)


def made(
    *anchors: authority.Authority, desks: tuple[authority.Authority, ...] = (), **how
) -> Trust:
    ders = [[one.certificate_der for one in each] for each in (anchors, desks)]
    bench = how.pop("bench", None) or Bench()
    return Trust(*ders, bench.marks, (kinds.FREE, kinds.MATCH), **how)


def trust(*lists: bytes) -> Trust:
    one = made(cards.issuer())
    one.take(lists, UTC_S)
    return one


def test_a_valid_card_is_believed() -> None:
    three = cards.card().certificates
    believed = trust(cards.crl(1)).check(cards.opened(), UTC_S)
    assert believed == Card(three.auth, three.key_management, three.card_auth, kinds.FREE)


def test_a_kind_nobody_asked_for_is_a_bug_of_the_worker_s() -> None:
    with pytest.raises(Bug, match="worker-protocol"):
        trust(cards.crl(1)).check(msgspec.structs.replace(cards.opened(), kind="other"), UTC_S)


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
    old = cards.crl(1, moment=NOW - dt.timedelta(days=200))
    with pytest.raises(Fault, match="crl-stale"):
        trust(old)


def test_a_card_of_another_authority_is_not_believed() -> None:
    foreign = authority.authority("Test other authority", NOW - DAY)
    with pytest.raises(Refused, match="card-untrusted"):
        made(foreign).check(cards.opened(), UTC_S)


# -- two authorities at once -----------------------------------------------------------------------


def test_an_authority_is_replaced_by_one_of_its_name_without_touching_the_box() -> None:
    """Fault 26, too: each counts its own lists, and neither's list speaks for the other's cards."""
    successor = authority.authority("Test card authority", NOW - DAY)
    later = cards.parties.make_card(successor, 2, NOW)
    new = msgspec.structs.replace(
        cards.opened(),
        auth=later.certificates.auth,
        key_management=later.certificates.key_management,
        card_auth=later.certificates.card_auth,
        guid=None,
    )
    bench = Bench()
    both = made(cards.issuer(), successor, bench=bench)
    both.take((cards.crl(9),), UTC_S)
    with pytest.raises(Fault, match="crl-invalid"):  # a list there is, of another of that name
        both.check(new, UTC_S)
    both.take((successor.crl(1, NOW),), UTC_S)
    assert both.check(cards.opened(), UTC_S)
    assert both.check(new, UTC_S)
    with pytest.raises(Fault, match="crl-invalid"):
        both.take((cards.crl(8),), UTC_S)
    # the old authority is gone: its cards too, and its list is no list any more
    only_new = made(successor, bench=bench)
    with pytest.raises(Fault, match="crl-invalid"):
        only_new.take((cards.crl(10),), UTC_S)
    only_new.take((successor.crl(1, NOW),), UTC_S)
    assert only_new.check(new, UTC_S)
    with pytest.raises(Refused, match="card-untrusted"):
        only_new.check(cards.opened(), UTC_S)


def test_a_list_of_an_authority_that_this_box_was_not_given_is_left_out() -> None:
    """The centre has two authorities already, or still; this box knows one."""
    shown: list[tuple[bytes, bytes]] = []
    one = made(cards.issuer(), publish=lambda *each: shown.append(each))
    foreign = authority.authority("Test other authority", NOW - DAY)
    ours = cards.crl(1)
    one.take((foreign.crl(1, NOW), ours, foreign.crl(2, NOW)), UTC_S)
    assert [crl for _, crl in shown] == [ours]
    assert one.check(cards.opened(), UTC_S)


# -- lists of enrolment authorities ----------------------------------------------------------------


def test_lists_of_both_purposes_are_kept_apart_and_published() -> None:
    shown: list[tuple[bytes, bytes]] = []
    one = made(cards.issuer(), desks=(DESKS,), publish=lambda *each: shown.append(each))
    card_list, desk_list = cards.crl(3), DESKS.crl(5, NOW)
    assert one.desk_lists() == ()
    one.take((desk_list, card_list), UTC_S)
    assert one.desk_lists() == (desk_list,)
    assert one.check(cards.opened(), UTC_S)
    assert [crl for _, crl in shown] == [desk_list, card_list]
    assert len({issuer for issuer, _ in shown}) == 2
    newer = DESKS.crl(6, NOW)
    one.take((newer,), UTC_S)
    assert one.desk_lists() == (newer,)
    for bad in (desk_list, authority.authority("Test enrolment authority", NOW).crl(9, NOW)):
        with pytest.raises(Fault, match="crl-invalid"):
            one.take((bad,), UTC_S)
    assert one.desk_lists() == (newer,)


def test_a_desk_s_list_says_nothing_of_cards() -> None:
    one = made(cards.issuer(), desks=(DESKS,))
    one.take((DESKS.crl(5, NOW),), UTC_S)
    with pytest.raises(Fault, match="crl-stale"):
        one.check(cards.opened(), UTC_S)


def test_numbers_seen_outlive_the_agent() -> None:
    bench = Bench()
    made(cards.issuer(), desks=(DESKS,), bench=bench).take((DESKS.crl(5, NOW),), UTC_S)
    again = made(cards.issuer(), desks=(DESKS,), bench=bench)
    assert again.desk_lists() == ()
    with pytest.raises(Fault, match="crl-invalid"):
        again.take((DESKS.crl(4, NOW),), UTC_S)


# -- the clock -------------------------------------------------------------------------------------


def test_a_clock_set_back_never_revives_a_card() -> None:
    """Fault 21: the box judges by the latest time the centre ever told it."""
    bench = Bench(clock_set=False)
    after_end_s = UTC_S + 301 * 86400  # the CHUID's 300 days are over
    bench.marks.hello(utc_s=after_end_s, wire=1, policy_version=1)
    for system_utc_s in (UTC_S, 0, after_end_s - 1):
        judged_s = bench.marks.trusted_utc_s(system_utc_s)
        moment = dt.datetime.fromtimestamp(judged_s, dt.UTC)
        one = made(cards.issuer(), bench=bench)
        one.take((cards.crl(1, moment=moment),), judged_s)
        with pytest.raises(Refused, match="card-expired"):
            one.check(cards.opened(), judged_s)


# -- test issuers, match-bound cards, warnings -----------------------------------------------------


def test_cards_of_test_authorities_are_for_test_boxes() -> None:
    issuer = authority.authority("Test card authority", NOW - DAY, test=True)
    three = cards.parties.make_card(issuer, 1, NOW).certificates
    opened = msgspec.structs.replace(
        cards.opened(),
        auth=three.auth, key_management=three.key_management, card_auth=three.card_auth, guid=None,
    )  # fmt: skip
    field, rig = made(issuer), made(issuer, test_issuers=True)
    for one in (field, rig):
        one.take((issuer.crl(1, NOW),), UTC_S)
    with pytest.raises(Refused, match="card-test-issuer"):
        field.check(opened, UTC_S)
    assert rig.check(opened, UTC_S)


def bound_opened(kind: CardKind, bits: tuple[Bit, ...], pin_left: int | None):
    policies = (oids.POLICY_AUTH, oids.POLICY_MATCH_BOUND)
    profile = dataclasses.replace(authority.CARD_9A, policies=policies)
    subject = authority.card_subject(cards.GUID, "Test Holder")
    key = cards.card().auth.public_key()
    issued = cards.issuer().issue(profile, subject, key, NOW - dt.timedelta(minutes=5))
    return msgspec.structs.replace(
        cards.opened(), auth=authority.der_of(issued), kind=kind.name, bits=bits, pin_left=pin_left
    )


def test_a_match_bound_card_compares_and_has_no_pin_that_works() -> None:
    one = trust(cards.crl(1))
    assert one.check(bound_opened(kinds.MATCH, (BIT,), 0), UTC_S).match_bound
    for left in (3, 1, None):
        with pytest.raises(Refused, match="card-pin-usable"):
            one.check(bound_opened(kinds.MATCH, (BIT,), left), UTC_S)
    for kind, bits in ((kinds.MATCH, ()), (kinds.FREE, (BIT,)), (kinds.FREE, ())):
        with pytest.raises(Refused, match="card-not-match-bound"):
            one.check(bound_opened(kind, bits, 0), UTC_S)


@pytest.mark.parametrize(
    ("days", "step"), [(-1, 7), (0, 7), (7, 7), (8, 30), (30, 30), (31, 90), (90, 90), (91, None)]
)
def test_the_end_is_announced_at_90_30_and_7_days(days: int, step: int | None) -> None:
    assert trusting.warned_at(days) == step


@pytest.mark.parametrize(("days", "told"), [(400, None), (91, None), (90, 90), (29, 29), (1, 1)])
def test_a_card_that_ends_soon_says_in_how_many_days(days: int, told: int | None) -> None:
    opened = msgspec.structs.replace(cards.opened(), expires=(NOW + days * DAY).strftime("%Y%m%d"))
    assert trust(cards.crl(1)).check(opened, UTC_S).expires_in_days == told
