import contextlib
import itertools

import pytest

from sdbox_agent.errors import Refused
from sdbox_agent.statements import fields
from sdbox_agent.terms import Level
from sdbox_centre import access
from sdbox_centre.access import Card, Enrolment, Project

GOOD = Card(revoked=False, failures=0, not_before_s=0)
ENROLLED = Enrolment("finger", True, False, 100, 200)
OFFERED = tuple(Level)


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


# kind, a reference, a code's secret, match-bound -> the one level, or none
LEVELS = {
    ("finger", False, False, False): None,
    ("finger", False, True, False): None,  # a code replaces no finger
    ("finger", True, False, False): Level.HOST_MATCH,
    ("finger", True, True, False): Level.HOST_MATCH,
    ("finger", False, False, True): Level.CARD_MATCH,
    ("finger", False, True, True): Level.CARD_MATCH,
    ("finger", True, False, True): Level.CARD_MATCH,  # never lowered to what the box compares
    ("finger", True, True, True): Level.CARD_MATCH,
    ("no-finger", False, False, False): None,
    ("no-finger", False, True, False): Level.CARD_PIN,
    ("no-finger", True, False, False): None,
    ("no-finger", True, True, False): Level.CARD_PIN,
    ("no-finger", False, False, True): None,  # a card without a PIN
    ("no-finger", False, True, True): None,
    ("no-finger", True, False, True): None,
    ("no-finger", True, True, True): None,
}


@pytest.mark.parametrize(("facts", "decided"), LEVELS.items())
def test_enrolment_and_card_leave_one_level(facts, decided) -> None:
    """Whatever a box offers: that one, or no session."""
    kind, reference, code, bound = facts
    enrolment = Enrolment(kind, reference, code, 100, 200)
    for size in range(len(OFFERED) + 1):
        for offered in itertools.combinations(OFFERED, size):
            if decided in offered:
                assert access.level(enrolment, match_bound=bound, offered=offered) is decided
                continue
            with refused("level-not-accepted"):
                access.level(enrolment, match_bound=bound, offered=offered)


def receipt(level: Level, reference: bytes | None = None):
    return fields.Receipt(
        box="b",
        session="s",
        challenge=bytes(32),
        enrolment="e",
        reference_sha256=reference,
        attempt=1,
        level=level,
        project="p",
        wg_public_key=bytes(32),
        kem_key_sha256=bytes(32),
        utc_s=0,
    )


@pytest.mark.parametrize(
    ("level", "reference", "bound", "code"),
    [
        (Level.CARD_MATCH, None, True, None),
        (Level.HOST_MATCH, bytes(32), False, None),
        (Level.CARD_PIN, None, False, None),
        (Level.CARD_MATCH, None, False, "card-not-match-bound"),
        (Level.CARD_MATCH, bytes(32), False, "card-not-match-bound"),
        (Level.CARD_MATCH, bytes(32), True, "statement-invalid"),
        (Level.HOST_MATCH, None, False, "statement-invalid"),
        (Level.CARD_PIN, bytes(32), False, "statement-invalid"),
        (Level.HOST_MATCH, bytes(32), True, "level-not-accepted"),
        (Level.CARD_PIN, None, True, "level-not-accepted"),
    ],
)
def test_a_receipt_claims_what_its_card_can_have_done(level, reference, bound, code) -> None:
    with contextlib.nullcontext() if code is None else refused(code):
        access.claim(receipt(level, reference), match_bound=bound)


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
