"""What is no plain letter of ours never reaches a terminal; what is, is not changed."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent import errors
from sdbox_agent.console.plain import plain, wrap


@given(st.text())
@example("\x1b[2J\x9b1m\x07\x00\r\n\x7f\u202e\u200b\u0301\ufeff\U000e0041")
def test_no_control_character_mark_or_wide_letter_is_left(text: str) -> None:
    for ascii_only in (False, True):
        shown = plain(text, ascii_only=ascii_only)
        assert all(unicodedata.category(char)[0] not in "CMZ" or char == " " for char in shown)
        assert all(unicodedata.east_asian_width(char) not in "WF" for char in shown)
        assert plain(shown, ascii_only=ascii_only) == shown
        assert shown.isascii() or not ascii_only


@pytest.mark.parametrize(
    ("text", "shown", "in_ascii"),
    [
        ("Été à Orléans", "Été à Orléans", "Ete a Orleans"),
        ("E\u0301te\u0301", "Été", "Ete"),
        ("l’hôte…", "l'hôte...", "l'hote..."),  # noqa: RUF001  that is what is changed
        ("« cœur » — 2", "« coeur » - 2", '" coeur " - 2'),
        ("a\x1b[2Jb", "a?[2Jb", "a?[2Jb"),
        ("проект", "??????", "??????"),
        ("項目", "??", "??"),
        ("a\u00adb", "a?b", "a?b"),
    ],
)
def test_ours_is_kept_and_the_rest_is_a_question_mark(text: str, shown: str, in_ascii: str) -> None:
    assert plain(text) == shown
    assert plain(text, ascii_only=True) == in_ascii


def test_nothing_of_our_own_words_becomes_a_question_mark() -> None:
    for row in errors.table().values():
        for text in (*row.sentence.values(), *row.remedy.values()):
            assert plain(text).count("?") == text.count("?"), text


@given(st.text(alphabet="ab ", max_size=60), st.integers(1, 20))
def test_lines_hold_every_word_and_are_no_longer_than_the_terminal(text: str, columns: int) -> None:
    lines = wrap(text, columns)
    assert all(0 < len(line) <= columns for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_a_line_is_broken_between_words_and_a_long_word_is_cut() -> None:
    assert wrap("one two three", 8) == ["one two", "three"]
    assert wrap("abcdefghij kl", 4) == ["abcd", "efgh", "ij", "kl"]
    assert wrap("  ", 4) == []
