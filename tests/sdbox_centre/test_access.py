import pytest

from sdbox_agent.errors import Refused
from sdbox_agent.terms import Level
from sdbox_centre import access
from sdbox_centre.access import Card, Enrolment, Project

GOOD = Card(revoked=False, failures=0, not_before_s=0)
ENROLLED = Enrolment(100, 200)


def refused(code: str):
    return pytest.raises(Refused, match=f"^{code}$")


@pytest.mark.parametrize(
    ("card", "enrolment", "elsewhere", "now_s", "code"),
    [
        (None, ENROLLED, False, 150, "card-unknown"),
        (Card(revoked=True, failures=0, not_before_s=0), ENROLLED, False, 150, "card-revoked"),
        (Card(revoked=False, failures=10, not_before_s=0), ENROLLED, False, 150, "card-locked"),
        (Card(revoked=False, failures=5, not_before_s=151), ENROLLED, False, 150, "too-soon"),
        (GOOD, None, False, 150, "reference-missing"),
        (GOOD, ENROLLED, False, 99, "enrolment-expired"),
        (GOOD, ENROLLED, False, 200, "enrolment-expired"),
        (GOOD, ENROLLED, True, 150, "session-elsewhere"),
    ],
)
def test_each_condition_has_its_own_refusal(card, enrolment, elsewhere, now_s, code) -> None:
    with refused(code):
        access.admit(card, enrolment, live_elsewhere=elsewhere, now_s=now_s)


@pytest.mark.parametrize("now_s", [100, 199])
def test_a_card_in_order_is_admitted(now_s: int) -> None:
    access.admit(GOOD, ENROLLED, live_elsewhere=False, now_s=now_s)
    waited = Card(revoked=False, failures=9, not_before_s=now_s)
    access.admit(waited, ENROLLED, live_elsewhere=False, now_s=now_s)


def test_the_level_is_the_strongest_both_can_do() -> None:
    assert access.level([Level.CARD_MATCH, Level.HOST_MATCH]) is Level.HOST_MATCH
    for offered in ([], [Level.CARD_MATCH], [Level.CARD_PIN]):
        with refused("level-not-accepted"):
            access.level(offered)


def test_grants_show_why_a_project_is_shut() -> None:
    projects = [
        Project("a", "A", frozenset({"host-match"}), open=True),
        Project("b", "B", frozenset({"card-match"}), open=True),
        Project("c", "C", frozenset({"host-match"}), open=False),
    ]
    shown = {grant.project: grant.code for grant in access.grants(projects, Level.HOST_MATCH)}
    assert shown == {"a": None, "b": "level-not-accepted", "c": "project-not-granted"}
    with refused("no-project"):
        access.grants(projects[1:], Level.HOST_MATCH)
    with refused("no-project"):
        access.grants([], Level.HOST_MATCH)
    access.enter(projects[0], Level.HOST_MATCH)
    for project, code in (
        (projects[1], "level-not-accepted"),
        (projects[2], "project-not-granted"),
        (None, "project-not-granted"),
    ):
        with refused(code):
            access.enter(project, Level.HOST_MATCH)


def test_delays_double_from_the_fifth_failure_to_a_quarter_of_an_hour() -> None:
    delays = [access.delay_s(failures) for failures in range(13)]
    assert delays == [0] * 5 + [30, 60, 120, 240, 480, 900, 900, 900]


@pytest.mark.parametrize(("failures", "left"), [(0, 10), (8, 2), (9, 1), (10, 0), (12, 0)])
def test_what_is_left_is_the_card_s_over_all_sessions(failures: int, left: int) -> None:
    assert access.attempts_left(failures) == left
