"""What a person reads of a card."""

import msgspec
import pytest

from sdbox_agent import errors
from sdbox_agent.provision import cardcheck, cardtext
from tests import kinds
from tests.pki import grown
from tests.pki.grown import NOW
from tests.provision.test_cardcheck import BIT, EMPTY, OWN, READER, face, judge


@pytest.mark.parametrize("language", errors.LANGUAGES)
def test_every_word_is_in_the_language(language: str) -> None:
    seen = cardcheck.show(
        READER, face(kind=kinds.MATCH, bits=(BIT,), match_left=(0,), pin_left=None)
    )
    broken = msgspec.structs.replace(
        seen.certificates[0], not_before=None, not_after=None, subject=None
    )
    seen = msgspec.structs.replace(seen, certificates=(*seen.certificates, broken))
    lines = [
        *cardtext.readers([], language),
        *cardtext.readers([READER, EMPTY], language),
        *cardtext.card(seen, language),
        *cardtext.verdict(judge(face(), OWN.crl(1, NOW)), language),
        *cardtext.verdict(judge(face()), language),
    ]
    text = "\n".join(lines)
    table = cardtext.words.__globals__["table"]()
    said = {name for name, row in table["card"].items() if row[language] in text}
    assert said >= table["card"].keys() - {"unshowable"}
    assert errors.render("crl-stale", language) in text


def test_steps_are_marked_passed_refused_or_not_reached() -> None:
    lines = list(cardtext.verdict(judge(face(expires="20200101"), OWN.crl(1, NOW)), "en"))
    marks = [line[0] for line in lines if line[1] == " " and line[2] != " "]
    assert marks == ["+"] * 4 + ["!"] + [" "] * 4
    assert lines[-1] == "The box does not believe this card."


def test_a_name_that_can_t_be_shown_is_said_to_be_so() -> None:
    seen = cardcheck.show(READER, face())
    nameless = msgspec.structs.replace(seen.certificates[0], subject=None)
    text = "\n".join(cardtext.card(msgspec.structs.replace(seen, certificates=(nameless,)), "en"))
    assert cardtext.words("card", "unshowable", "en") in text
    assert "2030-02-28" in "\n".join(cardtext.card(cardcheck.show(READER, face()), "en"))
    assert grown.EXPIRES == "20300228"
