"""Large letters: every word that is shown large has its own, and each looks like itself."""

import pytest

from sdbox_agent import screen
from sdbox_agent.console import letters

E_ACUTE = [
    "  ▄▀ ",
    "█▀▀▀▀",
    "█▄▄▄ ",
    "█    ",
    "▀▀▀▀▀",
]
C_CEDILLA = [
    "     ",
    "▄▀▀▀▄",
    "█    ",
    "█   ▄",
    " ▀█▀ ",
]


def test_every_word_that_is_shown_large_can_be() -> None:
    for row in screen.table()["large"].values():
        for text in row.values():
            assert letters.has(text), text


def test_a_letter_is_drawn_with_what_stands_above_and_below_it() -> None:
    assert list(letters.draw("é", 1)) == E_ACUTE
    assert [line.rstrip() for line in letters.draw("ç", 1)] == [line.rstrip() for line in C_CEDILLA]


def test_no_two_letters_look_alike() -> None:
    drawn = {letters.draw(char, 1) for char in [*letters._LETTERS, *"ÉÈÊËÇ", " "]}
    assert len(drawn) == len(letters._LETTERS) + 6


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_a_scale_makes_each_point_so_many(scale: int) -> None:
    lines = letters.draw("Ô I", scale)
    assert {len(line) for line in lines} == {letters.width("Ô I", scale)}
    assert len(lines) == 5 * scale
    points = sum("▀▄".count(char) + 2 * "█".count(char) for char in "".join(lines))
    once = sum("▀▄".count(char) + 2 * "█".count(char) for char in "".join(letters.draw("Ô I", 1)))
    assert points == once * scale * scale


def test_what_has_no_letter_is_told() -> None:
    assert not letters.has("№")
    assert letters.width("", 3) == 0
