"""The decision as a truth table, its dates to the second, and what a session's level is."""

import contextlib
import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent import errors
from sdbox_agent.errors import Refused
from sdbox_agent.statements import fields
from sdbox_agent.terms import Level
from sdbox_centre import access
from sdbox_centre.access import DAY_S, ENROLMENT_S, Box, Card, Enrolment, Facts, Project, Span

OFFERED = tuple(Level)
NOW_S = 1000 * DAY_S
YEAR = Span(NOW_S - 100 * DAY_S, NOW_S + 200 * DAY_S)

BOX = Box("test-box-01", "active", True, "FR", YEAR, changed=True, derogated_until_s=0)
CARD = Card(revoked=False, twice=False, until_s=YEAR.until_s, failures=0)
ENROLLED = Enrolment("finger", True, False, YEAR.from_s, YEAR.until_s)
PROJECT = Project(
    id="p",
    label="P",
    levels=frozenset({"host-match"}),
    state="open",
    contract=YEAR,
    legal_until_s=YEAR.until_s,
    countries=frozenset({"FR", "DE"}),
    boxes=frozenset({"test-box-01"}),
    holds=False,
    undertaken=True,
    grant_until_s=YEAR.until_s,
)
HOST = frozenset({Level.HOST_MATCH})
FACTS = Facts(BOX, CARD, ENROLLED, (PROJECT,), False, HOST, False)
change = dataclasses.replace


def refused(code: str):
    return pytest.raises(Refused, match=f"^{code}$")


def of(**parts: object):
    """A change of facts; of what is not there, none."""

    def change_them(facts: Facts) -> Facts:
        ((name, changes),) = parts.items()
        whole = getattr(facts, name)
        return facts if whole is None else change(facts, **{name: change(whole, **changes)})

    return change_them


LATE, EARLY = NOW_S, NOW_S + 1  # an end, a beginning: too soon and too late by one second

# In the order of the decision. Each alone shuts everything.
OF_SESSION = {
    "card-unknown": lambda facts: change(facts, card=None),
    "card-revoked": of(card={"revoked": True}),
    "card-expired": of(card={"until_s": LATE}),
    "card-twice": of(card={"twice": True}),
    "reference-missing": lambda facts: change(facts, enrolment=None),
    "enrolment-not-begun": of(enrolment={"not_before_s": EARLY}),
    "enrolment-expired": of(enrolment={"not_after_s": LATE}),
    "card-locked": of(card={"failures": 10}),
    "box-refused": lambda facts: change(facts, box=None),
    "box-suspended": of(box={"state": "suspended"}),
    "box-not-placed": of(box={"placed": False}),
    "box-rental-ended": of(box={"rental": Span(0, LATE)}),
    "level-not-accepted": lambda facts: change(facts, offered=frozenset()),
    "session-elsewhere": lambda facts: change(facts, elsewhere=True),
}
OF_PROJECT = {
    "project-closed": {"state": "closed"},
    "contract-ended": {"contract": Span(0, LATE)},
    "legal-basis-expired": {"legal_until_s": LATE},
    "grant-ended": {"grant_until_s": LATE},
    "country-not-allowed": {"countries": frozenset({"DE"})},
    "box-not-of-project": {"boxes": frozenset({"test-box-02"})},
    "box-held": {"holds": True},
    "level-not-accepted": {"levels": frozenset({"card-match"})},
    "undertaking-missing": {"undertaken": False},
}
OTHER_WAYS = [  # to fail at the same place
    (of(box={"state": "retired"}), "box-retired"),
    (of(box={"state": "ordered"}), "box-not-placed"),
    (of(box={"state": "nonsense"}), "box-suspended"),
    (of(box={"rental": Span(EARLY, EARLY)}), "box-rental-not-begun"),
    (of(box={"rental": access.NEVER}), "box-rental-not-begun"),
    (of(card={"failures": 11}), "card-locked"),
]
OTHER_WAYS_OF_PROJECT = [
    ({"state": "pending"}, "project-pending"),
    ({"state": "suspended"}, "project-suspended"),
    ({"state": "nonsense"}, "project-closed"),
    ({"contract": Span(EARLY, YEAR.until_s)}, "contract-not-open"),
    ({"contract": access.NEVER}, "contract-not-open"),
    ({"countries": frozenset()}, "country-not-allowed"),
    ({"boxes": frozenset()}, "box-not-of-project"),
]


def code_of(facts: Facts) -> str | None:
    try:
        access.decide(facts, NOW_S).enter("p")
    except Refused as refusal:
        return refusal.code
    return None


def test_every_combination_of_failing_conditions_is_refused_with_the_first() -> None:
    """All 16,384: one that fails is enough, and who fails several hears of the worst."""
    codes = list(OF_SESSION)
    for failing in itertools.product((False, True), repeat=len(codes)):
        wrong = [code for code, fails in zip(codes, failing, strict=True) if fails]
        facts = FACTS
        for code in wrong:
            facts = OF_SESSION[code](facts)
        assert code_of(facts) == (wrong[0] if wrong else None), wrong


def test_a_project_is_shut_by_each_of_its_conditions_and_alone() -> None:
    """All 512, beside a project that stays open."""
    other = change(PROJECT, id="other")
    codes = list(OF_PROJECT)
    for failing in itertools.product((False, True), repeat=len(codes)):
        wrong = [code for code, fails in zip(codes, failing, strict=True) if fails]
        shut = PROJECT
        for code in wrong:
            shut = change(shut, **OF_PROJECT[code])
        standing = access.decide(change(FACTS, projects=(shut, other)), NOW_S)
        shown = {grant.project: grant.code for grant in standing.choices()}
        assert shown == {"p": wrong[0] if wrong else None, "other": None}
        with refused(wrong[0]) if wrong else contextlib.nullcontext():
            standing.enter("p")


@pytest.mark.parametrize(("fail", "code"), OTHER_WAYS)
def test_a_condition_fails_in_other_ways_too(fail, code) -> None:
    assert code_of(fail(FACTS)) == code


@pytest.mark.parametrize(("changes", "code"), OTHER_WAYS_OF_PROJECT)
def test_and_so_does_a_project_s(changes, code) -> None:
    assert code_of(change(FACTS, projects=(change(PROJECT, **changes),))) == code


def test_every_refusal_has_its_sentence() -> None:
    others = [code for _, code in (*OTHER_WAYS, *OTHER_WAYS_OF_PROJECT)]
    for code in {*OF_SESSION, *OF_PROJECT, *others, "no-project", "project-not-granted"}:
        assert errors.explain(code).kind == "Refused"


ENDS = {  # what has a last second
    "card": lambda end_s: of(card={"until_s": end_s}),
    "enrolment": lambda end_s: of(enrolment={"not_after_s": end_s}),
    "box": lambda end_s: of(box={"rental": Span(0, end_s)}),
    "contract": lambda end_s: of_project(contract=Span(0, end_s)),
    "legal basis": lambda end_s: of_project(legal_until_s=end_s),
    "grant": lambda end_s: of_project(grant_until_s=end_s),
    "derogation": lambda end_s: (
        lambda facts: of(box={"derogated_until_s": end_s})(of_project(holds=True)(facts))
    ),
}
BEGINNINGS = {
    "enrolment": lambda begin_s: of(enrolment={"not_before_s": begin_s}),
    "box": lambda begin_s: of(box={"rental": Span(begin_s, YEAR.until_s)}),
    "contract": lambda begin_s: of_project(contract=Span(begin_s, YEAR.until_s)),
}


def of_project(**changes: object):
    return lambda facts: change(facts, projects=(change(PROJECT, **changes),))


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_the_last_second_counts_and_the_end_does_not(end) -> None:
    assert code_of(end(NOW_S)(FACTS)) is not None
    assert code_of(end(NOW_S + 1)(FACTS)) is None
    assert access.decide(end(NOW_S + 1)(FACTS), NOW_S).enter("p") == NOW_S + 1


@pytest.mark.parametrize("begin", BEGINNINGS.values(), ids=BEGINNINGS)
def test_the_first_second_counts(begin) -> None:
    assert code_of(begin(NOW_S)(FACTS)) is None
    assert code_of(begin(NOW_S + 1)(FACTS)) is not None


def test_an_enrolment_is_worth_four_years_at_most_whatever_was_set() -> None:
    begun_s = NOW_S - ENROLMENT_S
    for not_before_s, code in ((begun_s, "enrolment-expired"), (begun_s + 1, None)):
        set_so = of(enrolment={"not_before_s": not_before_s, "not_after_s": access.FOREVER_S})
        assert code_of(set_so(FACTS)) == code


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("holds", [False, True])
@pytest.mark.parametrize("derogated", [False, True])
def test_a_box_that_was_moved_waits_for_a_derogation_where_the_project_holds(
    changed: bool, holds: bool, derogated: bool
) -> None:
    until_s = NOW_S + DAY_S if derogated else 0
    facts = of(box={"changed": changed, "derogated_until_s": until_s})(FACTS)
    facts = of_project(holds=holds)(facts)
    assert code_of(facts) == ("box-held" if changed and holds and not derogated else None)
    if changed and holds and derogated:
        assert access.decide(facts, NOW_S).enter("p") == until_s
        assert access.decide(facts, NOW_S).until_s > until_s, "of that project alone"


begins = st.integers(NOW_S - 5 * DAY_S, NOW_S)
ends = st.integers(NOW_S, NOW_S + 5 * DAY_S)
spans = st.builds(Span, begins, ends)
dated_projects = st.builds(
    lambda contract, legal_s, grant_s: change(
        PROJECT, contract=contract, legal_until_s=legal_s, grant_until_s=grant_s
    ),
    spans, ends, ends,
)  # fmt: skip
dated = st.builds(
    lambda rental, card_s, enrolled, project: Facts(
        change(BOX, rental=rental),
        change(CARD, until_s=card_s),
        change(ENROLLED, not_before_s=enrolled.from_s, not_after_s=enrolled.until_s),
        (project,),
        match_bound=False,
        offered=HOST,
        elsewhere=False,
    ),
    spans, ends, spans, dated_projects,
)  # fmt: skip


@given(dated, st.integers(NOW_S - DAY_S, NOW_S + DAY_S))
def test_what_stands_stands_until_it_says_and_no_longer(facts: Facts, now_s: int) -> None:
    """Between now and then no second is refused; at the end one is, for time alone."""
    try:
        standing = access.decide(facts, now_s)
        until_s = standing.enter("p")
    except Refused:
        last_s = min(facts.box.rental.until_s, facts.enrolment.span.until_s, facts.card.until_s)
        first_s = max(facts.box.rental.from_s, facts.enrolment.span.from_s)
        (project,) = facts.projects
        last_s, first_s = min(last_s, project.until_s), max(first_s, project.contract.from_s)
        assert not first_s <= now_s < last_s
        return
    assert now_s < until_s <= standing.until_s
    access.decide(facts, standing.until_s - 1)
    with pytest.raises(Refused):
        access.decide(facts, standing.until_s)
    access.decide(facts, until_s - 1).enter("p")
    with pytest.raises(Refused):
        access.decide(facts, until_s).enter("p")


def test_who_has_no_project_hears_so_and_who_has_one_hears_why_it_is_shut() -> None:
    with refused("no-project"):
        access.decide(change(FACTS, projects=()), NOW_S).choices()
    closed = change(PROJECT, state="closed")
    with refused("project-closed"):
        access.decide(change(FACTS, projects=(closed,)), NOW_S).choices()
    unsigned = change(PROJECT, id="q", undertaken=False)
    with refused("no-project"):
        access.decide(change(FACTS, projects=(closed, unsigned)), NOW_S).choices()
    with refused("project-not-granted"):
        access.decide(FACTS, NOW_S).enter("q")


@pytest.mark.parametrize(
    ("left_s", "days"),
    [(91 * DAY_S, None), (90 * DAY_S + 1, None), (90 * DAY_S, 90), (30 * DAY_S + 1, 90),
     (30 * DAY_S, 30), (7 * DAY_S + 1, 30), (7 * DAY_S, 7), (1, 7)],
)  # fmt: skip
@pytest.mark.parametrize(
    ("what", "end"), [("enrolment", "enrolment"), ("rental", "box"), ("project", "grant")]
)
def test_an_end_is_told_90_30_and_7_days_ahead(left_s, days, what, end) -> None:
    told = access.decide(ENDS[end](NOW_S + left_s)(FACTS), NOW_S).notices
    assert told == (() if days is None else (f"{what}-ends-{days}",))
    assert all(errors.explain(notice).kind == "AskAgain" for notice in told)


def test_of_a_project_that_is_shut_no_end_is_told() -> None:
    facts = change(FACTS, projects=(change(PROJECT, state="closed", grant_until_s=NOW_S + 1),))
    assert access.decide(facts, NOW_S).notices == ()


def test_an_attempt_asks_for_its_lock_and_its_delay_alone() -> None:
    access.may_compare(9, NOW_S, NOW_S)
    with refused("card-locked"):
        access.may_compare(10, 0, NOW_S)
    with refused("too-soon"):
        access.may_compare(5, NOW_S + 1, NOW_S)


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


def test_delays_double_from_the_fifth_failure_to_a_quarter_of_an_hour() -> None:
    delays = [access.delay_s(failures) for failures in range(13)]
    assert delays == [0] * 5 + [30, 60, 120, 240, 480, 900, 900, 900]


@pytest.mark.parametrize(("failures", "left"), [(0, 10), (8, 2), (9, 1), (10, 0), (12, 0)])
def test_what_is_left_is_the_card_s_over_all_sessions(failures: int, left: int) -> None:
    assert access.attempts_left(failures) == left
