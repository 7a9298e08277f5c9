import datetime as dt
from pathlib import Path

import pytest

from sdbox_agent.errors import Refused
from sdbox_agent.statements import fields, jws
from sdbox_centre.staff import payload
from sdbox_centre.staff.ledger import AHEAD_S, FRESH_S, claimed
from tests.sdbox_centre.parties import make_card, mirrored, spaced, statement
from tests.sdbox_centre.staff import members as m


@pytest.fixture
def staff(tmp_path: Path) -> m.Members:
    return m.Members(tmp_path)


def refused(code: str):
    return pytest.raises(Refused, match=f"^{code}$")


def test_an_act_signed_by_staff_is_believed_and_is_the_newest(staff: m.Members) -> None:
    ledger = staff.ledger()
    signed = ledger.check_new(staff.signed(m.grant(), 2), m.NOW_S)
    assert (signed.act, signed.id) == (m.grant(), payload.id_of(m.grant()))
    assert signed.names == ("test-staff-02",)
    assert ledger.newest(m.grant().subject) is None  # not before it is taken
    ledger.take(signed)
    assert ledger.by_id(signed.id) is ledger.newest(m.grant().subject) is signed
    after = ledger.check_new(staff.signed(m.grant(n=2, withdrawn=True)), m.NOW_S)
    ledger.take(after)
    assert ledger.by_id(signed.id) is None
    assert ledger.newest(m.grant().subject) is after
    with refused("act-superseded"):
        ledger.check_new(signed.statement, m.NOW_S)  # an old one again


def test_no_other_card_signs_for_staff(staff: m.Members) -> None:
    ledger = staff.ledger()
    same_authority = m.Member("test-staff-09", make_card(staff.authority, 9, staff.now))
    for act in m.ACTS:
        with refused("staff-not-allowed"):
            ledger.check(m.signed(act, same_authority.signer, staff.members[0].signer))


def test_a_role_is_needed_of_each_who_signs(staff: m.Members) -> None:
    staff.members[1] = staff.member(2, roles=("projects",))
    staff.write()
    ledger = staff.ledger()
    assert ledger.check(staff.signed(m.grant(), 2)).names == ("test-staff-02",)
    for act, signers in ((m.card(), (2,)), (m.unlock(), (1, 2)), (m.unlock(), (2, 1))):
        with refused("staff-not-allowed"):
            ledger.check(staff.signed(act, *signers))


@pytest.mark.parametrize("act", [m.unlock(), m.device(), m.window(), m.enrolment(finger=False)])
def test_two_people_are_two_people(staff: m.Members, act: payload.Act) -> None:
    staff.members[2] = staff.member(3, name="test-staff-01")  # a second card of the first
    staff.write()
    ledger = staff.ledger()
    for signers in ((1,), (1, 1), (1, 3)):
        with refused("two-persons-needed"):
            ledger.check(staff.signed(act, *signers))
        assert not ledger.is_enough(ledger.check_proposed(staff.signed(act, *signers), m.NOW_S))
    assert ledger.check(staff.signed(act, 2, 1)).names == ("test-staff-02", "test-staff-01")


def test_an_act_that_is_changed_in_any_way_is_refused(staff: m.Members) -> None:
    ledger, good = staff.ledger(), staff.signed(m.grant())
    other = jws.unb64url(jws.read(staff.signed(m.grant(role="lead"))).payload)
    parts = [
        (jws.unb64url(p.protected), jws.unb64url(p.signature)) for p in jws.read(good).signatures
    ]
    for bad in (
        spaced(good),
        jws.assemble(other, parts),
        jws.assemble(payload.encode(m.grant()), []),
        jws.assemble(payload.encode(m.grant()), parts * 3),
        jws.assemble(b"{}", parts),
        b"",
        b"{}",
    ):
        with refused("statement-invalid"):
            ledger.check(bad)
    assert ledger.check(mirrored(good)).id == ledger.check(good).id  # the same act, said once


def test_what_a_box_had_a_card_sign_is_no_act(staff: m.Members) -> None:
    """Even a staff card, put into a box that lies: the type stands under the signature."""
    card = staff.members[0].card
    renewal = fields.Renew(box="b", session="s", challenge=bytes(32), n=1)
    with refused("statement-invalid"):
        staff.ledger().check(statement(renewal, (card.certificates.auth, card.auth)))
    good = staff.signed(m.grant())
    for typ in fields.TYPES:
        with refused("statement-invalid"):
            jws.open_statement(typ, good, [card.certificates.auth])
    with refused("statement-invalid"):
        jws.open_statement(payload.TYP, good, [card.certificates.auth])


@pytest.mark.parametrize("utc_s", [m.NOW_S - FRESH_S, m.NOW_S + AHEAD_S + 1])
def test_an_act_is_entered_when_it_is_dated(staff: m.Members, utc_s: int) -> None:
    long_ago = m.Members(staff.root, staff.now - dt.timedelta(days=30))
    long_ago.publish_crl()
    ledger = long_ago.ledger()
    said = long_ago.signed(m.holder(utc_s=utc_s))
    for check in (ledger.check_new, ledger.check_proposed):
        with refused("act-stale"):
            check(said, m.NOW_S)
    assert ledger.check(said)  # and, kept since then, it stands


def test_who_has_left_signs_nothing_more_and_what_was_signed_stands(staff: m.Members) -> None:
    staff.members[0] = m.dataclasses.replace(staff.members[0], left_s=m.NOW_S)
    staff.write()
    ledger = staff.ledger()
    assert ledger.check(staff.signed(m.holder(utc_s=m.NOW_S - 1)))
    with refused("staff-not-allowed"):
        ledger.check(staff.signed(m.holder()))


def test_a_revoked_card_signs_nothing_more_and_what_was_signed_stands(staff: m.Members) -> None:
    auth = staff.roster().members[staff.members[0].card.name].auth
    staff.publish_crl({auth.serial_number: staff.now})
    ledger = staff.ledger()
    before = staff.signed(m.holder(utc_s=m.NOW_S - 1))
    assert ledger.check(before)
    with refused("card-revoked"):
        ledger.check_new(before, m.NOW_S)
    with refused("staff-not-allowed"):
        ledger.check(staff.signed(m.holder()))


def test_an_act_outlives_the_card_that_signed_it(staff: m.Members) -> None:
    auth = staff.roster().members[staff.members[0].card.name].auth
    end_s = int(auth.not_valid_after_utc.timestamp())
    assert staff.ledger().check(staff.signed(m.holder(utc_s=end_s - 1)))
    with refused("staff-not-allowed"):
        staff.ledger().check(staff.signed(m.holder(utc_s=end_s)))


def test_a_statement_says_what_it_is_about_before_it_is_believed() -> None:
    said = jws.assemble(payload.encode(m.unlock()), [])
    assert claimed(said) == m.unlock()
    with refused("statement-invalid"):
        claimed(b"{}")


def test_nothing_is_known_beyond_an_act_that_does_not_hold(staff: m.Members) -> None:
    """What it took away must not come back; two people say anew what is true."""
    ledger = staff.ledger()
    ledger.take(ledger.check(staff.signed(m.grant())))
    ledger.pass_over(m.grant().subject, 2)
    assert ledger.newest(m.grant().subject) is None
    for again in (m.grant(), m.grant(n=2)):
        with refused("act-superseded"):
            ledger.check(staff.signed(again, 1, 2))
    with refused("two-persons-needed"):
        ledger.check(staff.signed(m.grant(n=3)))
    ledger.take(ledger.check(staff.signed(m.grant(n=3), 1, 2)))
    assert ledger.newest(m.grant().subject) is not None
    assert ledger.check(staff.signed(m.grant(n=4, withdrawn=True)))


def test_acts_on_one_subject_are_counted_without_a_gap(staff: m.Members) -> None:
    ledger = staff.ledger()
    for early in (m.grant(n=2), m.grant(n=3)):
        with refused("act-superseded"):
            ledger.check(staff.signed(early))
