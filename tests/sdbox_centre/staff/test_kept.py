from pathlib import Path

import pytest

from sdbox_agent.errors import Fault, Refused
from sdbox_centre.staff import payload
from sdbox_centre.staff.kept import KeptActs
from tests.sdbox_centre.staff import members as m


@pytest.fixture
def staff(tmp_path: Path) -> m.Members:
    return m.Members(tmp_path)


def kept(staff: m.Members) -> KeptActs:
    return KeptActs(staff.root / "acts", staff.source(), lambda: m.NOW_S)


def refused(code: str, acts: KeptActs, statement: bytes) -> None:
    with pytest.raises(Refused, match=code):
        acts.keep(statement)


def test_what_was_kept_is_there_after_a_new_start(staff: m.Members) -> None:
    acts = kept(staff)
    empty = acts.stamp()
    for statement in (staff.signed(m.grant()), staff.signed(m.box(state="active"))):
        acts.keep(statement)
        acts.keep(statement)  # handed over again: known
    assert acts.stamp() != empty
    for each in (acts, kept(staff)):
        assert each.newest()(m.grant().subject) == m.grant()
        assert each.newest()(m.box().subject) == m.box(state="active")
        assert each.newest()(m.card().subject) is None
    assert (staff.root / "acts").read_bytes().count(b"\n") == 2


def test_an_old_act_does_not_come_back(staff: m.Members) -> None:
    acts, first = kept(staff), staff.signed(m.grant())
    acts.keep(first)
    acts.keep(staff.signed(m.grant(n=2, withdrawn=True)))
    acts.keep(first)  # known, and no more than that
    for each in (acts, kept(staff)):
        assert each.newest()(m.grant().subject) == m.grant(n=2, withdrawn=True)
        refused("act-superseded", each, staff.signed(m.grant(n=2, role="lead")))


def test_nobody_elses_act_is_kept(staff: m.Members) -> None:
    acts = kept(staff)
    stranger = staff.member(9)
    refused("staff-not-allowed", acts, m.signed(m.grant(), stranger.signer))
    refused("two-persons-needed", acts, staff.signed(m.unlock()))
    refused("act-stale", acts, staff.signed(m.grant(utc_s=m.NOW_S + 3600)))
    refused("statement-invalid", acts, b"{}")
    assert (staff.root / "acts").read_bytes() == b""


def test_a_torn_line_is_written_over_and_a_bad_one_is_no_file(staff: m.Members) -> None:
    kept(staff).keep(staff.signed(m.grant()))
    file = staff.root / "acts"
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"payload":"torn')
    acts = kept(staff)
    assert acts.newest()(m.grant().subject) == m.grant()
    acts.keep(staff.signed(m.grant(n=2, role="lead")))
    assert kept(staff).newest()(m.grant().subject) == m.grant(n=2, role="lead")
    file.write_bytes(b"torn\n" + whole)
    with pytest.raises(Fault, match="state-damaged"):
        kept(staff)


def test_a_full_disk_keeps_nothing_and_says_so(
    staff: m.Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts = kept(staff)

    def full(_descriptor: int) -> None:
        raise OSError(28, "no space left")

    with monkeypatch.context() as patched:
        patched.setattr("sdbox_centre.staff.kept.os.fsync", full)
        with pytest.raises(Fault, match="disk-failed"):
            acts.keep(staff.signed(m.grant()))
    assert acts.newest()(m.grant().subject) is None
    acts.keep(staff.signed(m.box()))
    assert kept(staff).newest()(m.grant().subject) is None
    assert kept(staff).newest()(m.box().subject) == m.box()


def test_who_is_struck_takes_his_acts_along_at_once(staff: m.Members) -> None:
    acts = kept(staff)
    acts.keep(staff.signed(m.grant(), 1))
    acts.keep(staff.signed(m.box(), 2))
    acts.keep(staff.signed(m.grant(n=2, withdrawn=True), 3))
    before = acts.stamp()
    del staff.members[2]
    staff.write()
    assert acts.stamp() != before
    assert acts.newest()(m.grant().subject) is None  # not the grant that was withdrawn
    assert acts.newest()(m.box().subject) == m.box()
    acts.keep(staff.signed(m.grant(n=3), 1, 2))
    assert isinstance(acts.newest()(m.grant().subject), payload.Grant)
