"""A proof that proves nothing can't exist; a code that is spent is spent."""

import itertools
import secrets

import pytest

from hil.card.card import PivCard
from hil.direct import Direct
from sdbox_agent.card import apdu, piv
from sdbox_agent.errors import Refused
from sdbox_centre import authority, matchbound
from sdbox_centre.deskcard import DeskCard
from sdbox_centre.issuercard import PivIssuer
from sdbox_centre.matchbound import Codes, Proof
from tests.pki.grown import GUID

KEY = authority.new_key().public_key()
BLOCKED, CLOSED = frozenset({0x6983}), frozenset({0x6982})
GOOD = {"guid": GUID, "auth": KEY, "pin": BLOCKED, "puk": BLOCKED, "closed": CLOSED}


def test_a_proof_is_of_what_was_seen() -> None:
    assert Proof(**GOOD, opened=("96",)).opened == ("96",)


@pytest.mark.parametrize("seen", [0x9000, 0x63C0, 0x63C5, 0x6982, 0x6A88, 0x6D00])
def test_no_proof_of_a_code_that_is_not_blocked(seen) -> None:
    for name, words in itertools.product(("pin", "puk"), (set(), {seen}, {seen, 0x6983})):
        with pytest.raises(Refused, match="card-pin-usable"):
            Proof(**GOOD | {name: frozenset(words)}, opened=("96",))


@pytest.mark.parametrize("closed", [set(), {0x9000}, {0x6982, 0x9000}, {0x6983}, {0x6A86}])
def test_no_proof_of_a_key_that_is_not_closed(closed) -> None:
    with pytest.raises(Refused, match="card-not-match-bound"):
        Proof(**GOOD | {"closed": frozenset(closed)}, opened=("96",))


def test_no_proof_without_a_match() -> None:
    with pytest.raises(Refused, match="card-not-match-bound"):
        Proof(**GOOD, opened=())


def connected(card: PivCard) -> tuple[DeskCard, PivIssuer]:
    channel = Direct(card)
    channel.exchange(apdu.frames(piv.select())[0])
    return DeskCard(channel, secrets.token_bytes), PivIssuer(channel, secrets.token_bytes)


@pytest.mark.parametrize("tries", [1, 5, 10])
@pytest.mark.parametrize("code", ["factory's", "another's"])
def test_codes_are_spent_whatever_they_were(code, tries) -> None:
    changed = {} if code == "factory's" else {"pin": "999999", "puk": "99999999"}
    card = PivCard.create(pin_tries=tries, puk_tries=tries, **changed)
    matchbound.close_codes(*connected(card), secrets.token_bytes)
    assert (card.pin_tries_left, card.puk_tries_left) == (0, 0)
    matchbound.close_codes(*connected(card), secrets.token_bytes)  # and once more does no harm


def test_a_code_that_was_guessed_by_chance_is_spent_all_the_same() -> None:
    # the same "random" digits each time: the card's new PUK is the next guess, for a while
    zeros = itertools.chain([bytes(8)] * 6, iter(lambda: secrets.token_bytes(8), b""))
    card = PivCard.create()
    matchbound.close_codes(*connected(card), lambda _: next(zeros))
    assert (card.pin_tries_left, card.puk_tries_left) == (0, 0)


def test_a_random_code_is_eight_digits() -> None:
    for drawn in (bytes(8), b"\xff" * 8, secrets.token_bytes(8)):
        code = matchbound.random_code(lambda _, drawn=drawn: drawn)
        assert len(code) == 8
        assert code.isdigit()


def test_codes_are_not_shown() -> None:
    assert repr(Codes(b"12345678", b"87654321")) == "Codes()"
