import pytest

from sdbox_agent.errors import Refused
from sdbox_centre.staff import payload, rules
from tests.sdbox_centre.staff import members as m

BOTH = ("card-match", "host-match")


@pytest.mark.parametrize(
    ("act", "before", "wanted"),
    [
        (m.holder(), None, 1),
        (m.card(), None, 1),
        (m.card(n=2, revoked=True), m.card(), 1),
        (m.enrolment(), None, 1),
        (m.enrolment(finger=False), None, 2),
        (m.enrolment(n=2), m.enrolment(), 2),
        (m.unlock(), None, 2),
        (m.device(), None, 2),
        (m.window(), None, 2),
        (m.end_session(), None, 1),
        (m.grant(), None, 1),
        (m.grant(n=2, withdrawn=True), m.grant(), 1),
        (m.box(n=2, state="active"), m.box(), 1),
        (m.project(levels=BOTH), None, 1),
        (m.project(n=2, state="closed"), m.project(), 1),
        (m.project(n=2), m.project(levels=BOTH), 1),
        (m.project(n=2, levels=BOTH), m.project(), 2),
        (m.project(n=2, countries=("FR",)), m.project(), 2),
        (m.project(n=2), m.project(countries=("FR",)), 1),
        (m.project(n=2, boxes=("a",)), m.project(), 1),
        (m.project(n=2), m.project(boxes=("a",)), 2),
        (m.project(n=2, boxes=("a", "b")), m.project(boxes=("a",)), 2),
        (m.project(n=2, boxes=("a",)), m.project(boxes=("a", "b")), 1),
        (m.project(n=2, when_moved="hold"), m.project(), 1),
        (m.project(n=2), m.project(when_moved="hold"), 2),
        (m.derogation(), None, 1),
    ],
)
def test_two_decide_where_one_could_let_somebody_in(
    act: payload.Act, before: payload.Act | None, wanted: int
) -> None:
    rules.check_next(act, before)
    assert rules.signatures(act, before) == wanted


@pytest.mark.parametrize(
    ("act", "before", "code"),
    [
        (m.card(n=3), m.card(n=2, revoked=True), "act-final"),
        (m.box(n=3), m.box(n=2, state="retired"), "act-final"),
        (m.card(n=2, holder="test-holder-02"), m.card(), "act-impossible"),
        (m.card(n=2, guid=b"g" * 16), m.card(), "act-impossible"),
        (m.enrolment(n=2, finger=False), m.enrolment(), "act-impossible"),
        (m.enrolment(n=2, reference_sha256=bytes(32)), m.enrolment(), "act-impossible"),
        (m.enrolment(n=2, enrolment="e2"), m.enrolment(), "act-impossible"),
    ],
)
def test_an_act_follows_the_one_before_it_or_is_refused(
    act: payload.Act, before: payload.Act | None, code: str
) -> None:
    with pytest.raises(Refused, match=f"^{code}$"):
        rules.check_next(act, before)
