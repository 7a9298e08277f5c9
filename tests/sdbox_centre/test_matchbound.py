"""A proof that proves nothing can't exist; a code that is spent is spent; a lie is found out."""

import itertools
import secrets

import pytest

from hil.card.card import PivCard
from hil.direct import Direct
from sdbox_agent.card import apdu, piv
from sdbox_agent.errors import AskAgain, Bug, Fault, Refused
from sdbox_centre import authority, matchbound
from sdbox_centre.deskcard import DeskCard
from sdbox_centre.issuercard import PivIssuer
from sdbox_centre.matchbound import Codes, Proof
from tests import kinds
from tests.pki import grown
from tests.pki.grown import GUID, NOW
from tests.sdbox_centre.desking import (
    BITS,
    Lie,
    blank,
    desk,
    head,
    is_bound,
    minutiae,
    order,
    touch,
)

SELECT = apdu.frames(piv.select())[0]
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
    channel.exchange(SELECT)
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


# -- a card that lies ------------------------------------------------------------------------------


def opened(card) -> DeskCard:
    return connected(card)[0]


def pin_never_blocks(frame, honest):
    return b"\x63\xc3" if head(frame, 0x20, 0x80) and honest == b"\x69\x83" else None


def puk_never_blocks(frame, honest):
    return b"\x63\xc3" if head(frame, 0x2C, 0x80) and honest == b"\x69\x83" else None


def blocked_but_the_factorys_pin_works(frame, honest):
    return b"\x90\x00" if frame[1:] == b"\x20\x00\x80\x08123456\xff\xff" else None


def blocked_but_the_factorys_puk_works(frame, honest):
    return b"\x90\x00" if head(frame, 0x2C, 0x80) and frame[5:13] == b"12345678" else None


def blocked_but_asked_nicely_it_counts(frame, honest):
    return b"\x63\xc0" if frame == bytes.fromhex("00200080") else None


def a_global_pin(frame, honest):
    return b"\x63\xc5" if frame == bytes.fromhex("00200000") else None


def a_blocked_global_pin(frame, honest):
    return b"\x69\x83" if frame == bytes.fromhex("00200000") else None


def a_global_pin_that_need_not_be_given(frame, honest):
    return b"\x90\x00" if frame == bytes.fromhex("00200000") else None


def refuse(answer, code) -> None:
    card = blank(kinds.MATCH)
    issued = []
    spy = grown.card_authority()

    class Spied(authority.Authority):
        def card_match_bound(self, *arguments):
            issued.append(arguments)
            return super().card_match_bound(*arguments)

    at = desk(lambda: Lie(card, answer), authority=Spied(spy.certificate, spy.key))
    with pytest.raises((Refused, Fault)) as error:
        at.personalise(order(kinds.MATCH), NOW, touch)
    assert error.value.code == code
    assert not issued
    assert not is_bound(opened(card).certificate("9A"))


@pytest.mark.parametrize(
    "lie",
    [
        pin_never_blocks,
        puk_never_blocks,
        blocked_but_the_factorys_pin_works,
        blocked_but_the_factorys_puk_works,
        blocked_but_asked_nicely_it_counts,
        a_global_pin,
        a_blocked_global_pin,
        a_global_pin_that_need_not_be_given,
    ],
)
def test_no_certificate_for_a_card_whose_pin_or_puk_works(lie) -> None:
    refuse(lie, "card-pin-usable")


@pytest.mark.parametrize("slot", ["9A", "9D"])
def test_no_certificate_for_a_card_whose_key_answers_before_a_match(slot) -> None:
    seen = {}

    def open_key(frame, honest):
        # what this key would answer after a match, at any time
        if not (head(frame, 0x87, int(slot, 16), 0x11) and honest == b"\x69\x82"):
            return None
        other = Direct(seen["card"])
        probe = touch(BITS[0])
        for before in (SELECT, b"\x00\x20\x00\x96" + bytes([len(probe)]) + probe):
            other.exchange(before)
        return other.exchange(frame)

    card = seen["card"] = blank(kinds.MATCH)
    with pytest.raises(Refused, match="card-not-match-bound"):
        desk(lambda: Lie(card, open_key)).personalise(order(kinds.MATCH), NOW, touch)
    assert not is_bound(opened(card).certificate("9A"))


@pytest.mark.parametrize("sw", [0x63CA, 0x63C1, 0x6983, 0x9000])
def test_no_certificate_for_a_card_with_a_finger_that_nobody_ordered(sw) -> None:
    """Stored before it came to the desk: the BIT group is silent of it, and 9A opens to it."""

    def another(frame, honest):
        return sw.to_bytes(2) if frame == bytes.fromhex("00200097") else None

    refuse(another, "card-not-match-bound")


def test_no_certificate_for_a_card_that_stays_closed_after_a_match() -> None:
    def closed(frame, honest):
        return b"\x69\x82" if head(frame, 0x87, 0x9A, 0x11) else None

    refuse(closed, "card-not-match-bound")


def test_no_certificate_for_a_card_that_any_finger_opens_and_that_cannot_be_closed() -> None:
    def no_log_out(frame, honest):
        return b"\x6a\x86" if head(frame, 0x20, 0x96, 0xFF) else None

    refuse(no_log_out, "card-not-personalised")


def test_no_certificate_for_a_finger_that_does_not_match_and_then_it_goes_on() -> None:
    card = blank(kinds.MATCH)
    at = desk(lambda: Direct(card))
    with pytest.raises(AskAgain, match="no-match"):
        at.personalise(order(kinds.MATCH), NOW, lambda bit: minutiae("test-another-finger"))
    before = opened(card).certificate("9D")
    assert not is_bound(opened(card).certificate("9A"))
    assert at.personalise(order(kinds.MATCH), NOW, touch).certificates.key_management == before


def test_a_blocked_finger_and_a_probe_the_card_does_not_take() -> None:
    card = blank(kinds.MATCH)

    def too_late(bit):
        card.block_fingers()
        return touch(bit)

    at = desk(lambda: Direct(card))
    with pytest.raises(Refused, match="card-blocked"):
        at.personalise(order(kinds.MATCH), NOW, too_late)
    picky = desk(lambda: Lie(card, _takes_no_probe))
    with pytest.raises(Fault, match="card-not-personalised"):
        picky.personalise(order(kinds.MATCH), NOW, touch)
    with pytest.raises(Bug):  # more than its BIT takes: never sent
        at.personalise(order(kinds.MATCH), NOW, lambda bit: b"\x00" * 183)


def _takes_no_probe(frame: bytes, _honest: bytes) -> bytes | None:
    return b"\x6a\x80" if head(frame, 0x20, 0x96) and len(frame) > 5 else None
