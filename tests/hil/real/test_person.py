"""A terminal: what is typed means one thing or nothing, and nobody waits for an empty chair."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.real.person import MAX_REASON_CHARS, NOBODY, Fail, Person, Repeat, Skip, parsed, words
from hil.real.scenarios import SCENARIOS


class Chair:
    """A keyboard, and what was said on the screen."""

    def __init__(self, language: str = "en") -> None:
        self.keyboard, self._hand = os.pipe()
        self.lines: list[str] = []
        self.person = Person(language, self.lines.append, self.keyboard)

    def type(self, text: bytes) -> None:
        os.write(self._hand, text)

    def leave(self) -> None:
        os.close(self._hand)
        self._hand = -1

    def close(self) -> None:
        os.close(self.keyboard)
        if self._hand >= 0:
            os.close(self._hand)


@pytest.fixture
def chair() -> Iterator[Chair]:
    one = Chair()
    yield one
    one.close()


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("r", Repeat()),
        (" R ", Repeat()),
        ("f", Fail()),
        ("s no other card here", Skip("no other card here")),
        ("s", None),
        ("s   ", None),
        ("", None),
        ("rr", None),
        ("s \x1b[2Jx", Skip("[2Jx")),
    ],
)
def test_a_line_means_one_thing_or_nothing(line: str, meaning: object) -> None:
    assert parsed(line) == meaning


@given(st.text(max_size=500))
def test_whatever_is_typed_is_bounded_and_printable(line: str) -> None:
    answer = parsed(line)
    if isinstance(answer, Skip):
        assert 0 < len(answer.reason) <= MAX_REASON_CHARS
        assert answer.reason.isprintable()


def test_every_sentence_is_there_in_both_languages_with_the_same_gaps() -> None:
    spoken = words()
    assert {f"title-{name}" for name in (*SCENARIOS, "enrolment")} <= spoken.keys()
    for name, each in spoken.items():
        assert each.keys() == {"fr", "en"}, name
        gaps = [
            sorted(part.split("}")[0] for part in text.split("{")[1:]) for text in each.values()
        ]
        assert gaps[0] == gaps[1], name


def test_words_come_by_pieces_and_are_heard_when_whole(chair: Chair) -> None:
    assert chair.person.said() is None
    chair.type(b"s to")
    assert chair.person.said() is None
    chair.type(b"o late\nr\n")
    assert chair.person.said() == Skip("too late")
    assert chair.person.said() == Repeat()
    assert chair.person.said() is None


def test_a_decision_waits_for_sense_and_not_for_ever(chair: Chair) -> None:
    chair.type(b"what?\nf\n")
    assert chair.person.decides(5) == Fail()
    assert chair.person.decides(0.05) == Skip(NOBODY)


def test_an_empty_chair_skips_at_once(chair: Chair) -> None:
    chair.type(b"r\n")
    chair.leave()
    assert chair.person.decides(60) == Repeat()
    assert chair.person.decides(60) == Skip(NOBODY)
    assert chair.person.said() is None


def test_enter_says_that_it_is_done(chair: Chair) -> None:
    assert not chair.person.confirms(0.01)
    chair.type(b"\n")
    assert chair.person.confirms(5)


def test_a_card_is_erased_at_the_word_alone() -> None:
    for language, typed, agreed in (("en", b"erase\n", True), ("fr", b"Effacer\n", True),
                                    ("en", b"yes\n", False), ("en", b"", False)):  # fmt: skip
        one = Chair(language)
        one.type(typed)
        one.leave()
        assert one.person.agrees_to_erase(1) is agreed
        assert len(one.lines) == 1
        one.close()


def test_what_the_box_says_is_set_apart(chair: Chair) -> None:
    chair.person.hint("place your finger")
    chair.person.tell("skipped", reason="no time")
    assert chair.lines == ["   » place your finger", "   skipped: no time"]
