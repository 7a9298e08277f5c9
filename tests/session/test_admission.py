"""What this box can do with a card, and what it does with the centre's answer."""

from dataclasses import replace

import pytest

from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.admission import levels_of
from sdbox_agent.session.machine import step
from sdbox_agent.terms import Level
from tests.session.explore import FREE_CARD, MATCH_CARD, ONE, PIN_CARD, POLICY, admitted

SESSION = at.Session(1, 1, 0)


@pytest.mark.parametrize(
    ("card", "levels"),
    [
        (FREE_CARD, (Level.HOST_MATCH,)),
        (PIN_CARD, (Level.HOST_MATCH, Level.CARD_PIN)),
        (MATCH_CARD, (Level.CARD_MATCH,)),
        (replace(MATCH_CARD, match_bound=False), (Level.CARD_PIN,)),  # its PIN may open it
        (replace(MATCH_CARD, bits=()), ()),
        (replace(FREE_CARD, match_bound=True), ()),
    ],
)
def test_a_card_can_do_what_its_certificate_and_its_kind_both_say(
    card: on.Card, levels: tuple[Level, ...]
) -> None:
    assert levels_of(card, POLICY) == levels
    assert levels_of(card, replace(POLICY, levels=())) == ()


def answered(card: on.Card, level: Level, **answer: object) -> at.State:
    proving = at.Proving(SESSION, card, asked=True, sent=True)
    return step(proving, on.Admitted(1, admitted(ONE, level=level, **answer)), POLICY)[0]


@pytest.mark.parametrize(
    ("card", "level", "answer", "code"),
    [
        (MATCH_CARD, Level.HOST_MATCH, {}, "level-not-accepted"),
        (FREE_CARD, Level.CARD_MATCH, {}, "level-not-accepted"),
        (FREE_CARD, Level.CARD_PIN, {}, "level-not-accepted"),
        (FREE_CARD, Level.HOST_MATCH, {"reference": None}, "reference-missing"),
        (replace(MATCH_CARD, match_left=(0, 0)), Level.CARD_MATCH, {}, "card-blocked"),
        (replace(PIN_CARD, pin_left=0), Level.HOST_MATCH, {}, "card-blocked"),
        (replace(PIN_CARD, pin_left=0), Level.CARD_PIN, {}, "card-blocked"),
    ],
)
def test_what_can_not_be_done_ends_before_the_person_is_asked(
    card: on.Card, level: Level, answer: dict[str, object], code: str
) -> None:
    ended = answered(card, level, **answer)
    assert isinstance(ended, at.Closing)
    assert ended.code == code


def test_a_blocked_finger_is_not_among_those_asked_for() -> None:
    opening = answered(replace(MATCH_CARD, match_left=(0, 3)), Level.CARD_MATCH)
    assert isinstance(opening, at.Opening)
    assert [(finger.key, finger.left) for finger in opening.access.fingers] == [("97", 3)]


@pytest.mark.parametrize(
    ("card", "hint"),
    [
        (PIN_CARD, "enter-pin"),
        (replace(PIN_CARD, pad=True), "enter-pin-on-pad"),
        (replace(PIN_CARD, pad=True, pin_left=1), "pin-last-try"),
    ],
)
def test_the_pin_is_asked_for_where_it_goes_in_and_the_last_try_is_told(
    card: on.Card, hint: str
) -> None:
    asked = answered(card, Level.HOST_MATCH)
    assert isinstance(asked, at.PinEntry)
    assert (asked.hint, asked.left) == (hint, card.pin_left)
