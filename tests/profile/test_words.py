"""The words for what a type lets in; and the page that is made of them is the one that is there."""

import pytest
from msgspec import Struct

from sdbox_agent.profile import schema, words
from tests.profile import page


def test_the_page_says_what_types_and_files_say() -> None:
    text = page.PAGE.read_text("utf-8")
    assert page.written(text) == text, "make profiles"


@pytest.mark.parametrize("what", page.KINDS)
def test_every_key_has_its_meaning_and_nothing_else_has(what: str) -> None:
    keys = {".".join(row.keys) for row in words.rows(page.KINDS[what])}
    assert keys == set(page.MEANINGS[what])


@pytest.mark.parametrize("what", page.KINDS)
def test_no_pattern_is_left_without_words(what: str) -> None:
    """A text with no pattern at all is none of ours; what has one is told by it."""
    for row in words.rows(page.KINDS[what]):
        assert row.allowed not in {"a text", "custom"}, row.keys
        assert not row.allowed.startswith("a text, at most"), row.keys


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (("levels",), 'write a list of 1 to 3: "host-match" or "card-match" or "card-pin"'),
        (("reader",), "known here: names, usb, interface, pad, sources"),
        (("reader", "pad"), "write true or false"),
        (("board", "dmi"), "known here: vendor, product"),
        (("board", "dmi", "vendor"), "write a text of one line, at most 100"),
        (("revision",), "write a whole number from 1 to 1000000"),
        (("nonsense",), ""),
        (("levels", "x"), ""),
    ],
)
def test_a_remedy_says_what_may_stand_there(keys: tuple[str, ...], said: str) -> None:
    assert words.remedy(schema.Profile, keys) == said


def test_what_no_file_of_ours_has_is_named_plainly() -> None:
    class Odd(Struct):
        a: dict[str, int]
        b: int
        c: str = "x"

    rows = [(row.allowed, row.default) for row in words.rows(Odd)]
    assert rows == [("dict", "required"), ("a whole number", "required"), ("a text", '"x"')]
