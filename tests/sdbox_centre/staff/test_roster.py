import datetime as dt
from pathlib import Path

import pytest

from sdbox_agent.errors import Fault, Refused
from sdbox_centre import authority
from tests.sdbox_centre.parties import make_card
from tests.sdbox_centre.staff import members as m


@pytest.fixture
def staff(tmp_path: Path) -> m.Members:
    return m.Members(tmp_path)


def broken(staff: m.Members) -> None:
    with pytest.raises(Fault, match="config-invalid"):
        staff.roster()


def test_the_roster_is_read_again_when_it_or_a_list_has_changed(staff: m.Members) -> None:
    source = staff.source()
    first = source.roster(m.NOW_S)
    assert source.roster(m.NOW_S) is first
    assert {one.name for one in first.members.values()} == {one.name for one in staff.members}
    del staff.members[2]
    staff.write()
    second = source.roster(m.NOW_S)
    assert len(second.members) == 2
    staff.publish_crl()
    assert source.roster(m.NOW_S) is not second


def test_who_is_not_in_it_is_nobody(staff: m.Members) -> None:
    with pytest.raises(Refused, match="staff-not-allowed"):
        staff.roster().member(bytes(32))


def test_a_card_of_another_authority_breaks_the_roster(staff: m.Members) -> None:
    other = authority.authority("Test Staff Authority", m.NOW)
    staff.members[0] = staff.member(1, card=make_card(other, 1, m.NOW))
    staff.write()
    broken(staff)


def test_an_authority_for_tests_has_no_staff_in_the_field(tmp_path: Path) -> None:
    staff = m.Members(tmp_path)
    staff.authority = authority.authority("Test Staff Authority", m.NOW, test=True)
    (tmp_path / "staff-anchors.pem").write_bytes(authority.pem_of(staff.authority.certificate))
    staff.publish_crl()
    staff.members = [staff.member(1)]
    staff.write()
    broken(staff)
    allowed = m.RosterSource(
        tmp_path / "roster.toml", tmp_path / "staff-anchors.pem", [tmp_path / "staff.crl"],
        test_issuers=True,
    )  # fmt: skip
    assert len(allowed.roster(m.NOW_S).members) == 1


@pytest.mark.parametrize(
    "text",
    [
        "member = 1",
        '[[member]]\nname = "a"\nroles = ["root"]\ncertificates = "member-0.pem"\n',
        '[[member]]\nname = "a"\nroles = []\ncertificates = "member-0.pem"\n',
        '[[member]]\nname = "a b"\nroles = ["office"]\ncertificates = "member-0.pem"\n',
        '[[member]]\nname = "a"\nroles = ["office"]\ncertificates = "none.pem"\n',
        '[[member]]\nname = "a"\nroles = ["office"]\ncertificates = "staff-anchors.pem"\n',
        '[[member]]\nname = "a"\nroles = ["office"]\ncertificates = "member-0.pem"\nx = 1\n',
    ],
)
def test_a_roster_is_right_or_nobody_is_believed(staff: m.Members, text: str) -> None:
    (staff.root / "roster.toml").write_text(text)
    broken(staff)
    (staff.root / "roster.toml").unlink()
    broken(staff)


def test_without_a_list_in_date_nobody_is_believed(staff: m.Members) -> None:
    staff.now += dt.timedelta(days=3651)
    with pytest.raises(Fault, match="crl-stale"):
        staff.roster()
