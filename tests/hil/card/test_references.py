"""PIN, PUK and fingers, by SP 800-73-5 part 2, 3.2.1 to 3.2.3."""

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from hil.card.card import PivCard
from hil.card.chip import Chip
from hil.card.objects import Tag
from tests.hil.card.helpers import (
    SELECT_PIV,
    Issuer,
    authenticate,
    chained,
    command,
    get_data,
    lengths,
    sw_of,
    template,
    three_n,
    verify,
)

INDEX, THUMB, STRANGER = three_n(1), three_n(2), three_n(3)
ADMIN_KEY = bytes(range(32))
PIN, PUK = b"123456\xff\xff", b"12345678"
OTHER = b"87654321"
DIGEST = bytes(range(32))
ALL = {"9A": "P-256", "9C": "P-256", "9D": "P-256", "9E": "P-256"}
READY = PivCard.create(algorithms=ALL)._memory.keys


def made(**given) -> PivCard:
    fingers = {"96": (2, INDEX), "97": (1, THUMB)}
    ready = {"ready_keys": READY, "fingers": fingers, "match_tries": 3, "admin_key": ADMIN_KEY}
    return PivCard.create(**{**ready, **given})


def on(card: PivCard) -> Chip:
    chip = card.power_on()
    assert sw_of(chip.transmit(SELECT_PIV)) == 0x9000
    return chip


def wrapped(probe: bytes) -> bytes:
    inner = b"\x81" + lengths(len(probe)) + probe
    return b"\x7f\x2e" + lengths(len(inner)) + inner


def match(chip: Chip, probe: bytes, key: int = 0x96) -> str:
    return chip.transmit(command(0x20, 0x00, key, probe)).hex()


def query(chip: Chip, key: int) -> str:
    return chip.transmit(command(0x20, 0x00, key)).hex()


def log_out(chip: Chip, key: int) -> str:
    return chip.transmit(command(0x20, 0xFF, key)).hex()


def signs(chip: Chip, key: int) -> int:
    return authenticate(chip.transmit, "P-256", key, template(0x81, DIGEST))[1]


# -- VERIFY 96 and 97


def test_a_card_that_compares_says_so_before_anything_is_proved() -> None:
    chip = on(made())
    assert get_data(chip.transmit, Tag.DISCOVERY)[0].hex().endswith("5f2f025000")
    group, sw = get_data(chip.transmit, Tag.BIT_GROUP)
    assert (len(group), sw) == (68, 0x9000)
    assert [query(chip, key) for key in (0x96, 0x97)] == ["63c3", "63c3"]


def test_a_match_opens_9a_9c_once_and_9d_and_the_printed_data() -> None:
    chip = on(made())
    assert [signs(chip, key) for key in (0x9A, 0x9C, 0x9D)] == [0x6982] * 3
    assert signs(chip, 0x9E) == 0x9000
    assert get_data(chip.transmit, Tag.PRINTED) == (b"", 0x6982)
    assert match(chip, INDEX) == "9000"
    assert query(chip, 0x96) == "9000"
    assert query(chip, 0x97) == "63c3"
    assert query(chip, 0x80) == "63c5"
    assert [signs(chip, key) for key in (0x9A, 0x9A, 0x9C, 0x9C)] == [0x9000] * 3 + [0x6982]
    assert signs(chip, 0x9D) == 0x6A80  # it agrees; it does not sign
    assert get_data(chip.transmit, Tag.PRINTED)[1] == 0x9000
    assert get_data(chip.transmit, Tag.FINGERPRINTS) == (b"", 0x6982)  # the PIN's alone


def test_the_pin_opens_a_card_that_compares_too() -> None:
    chip = on(made())
    assert chip.transmit(verify()) == b"\x90\x00"
    assert signs(chip, 0x9A) == 0x9000


def test_each_finger_has_its_own_counter_kept_without_power() -> None:
    card = made()
    assert match(on(card), STRANGER) == "63c2"
    assert match(on(card), STRANGER, 0x97) == "63c2"
    chip = on(card)
    assert match(chip, STRANGER) == "63c1"
    assert (card.match_tries_left("96"), card.match_tries_left("97")) == (1, 2)
    assert match(chip, INDEX) == "9000"
    assert card.match_tries_left("96") == 3


def test_a_blocked_finger_is_not_compared_any_more() -> None:
    card = made()
    chip = on(card)
    assert [match(chip, STRANGER) for _ in range(3)] == ["63c2", "63c1", "63c0"]
    assert [match(chip, INDEX), match(chip, b"\x00"), query(chip, 0x96)] == ["6983"] * 3
    assert match(chip, THUMB, 0x97) == "9000"


def test_a_miss_takes_the_match_away_and_bytes_that_are_no_probe_do_not() -> None:
    chip = on(made())
    match(chip, INDEX)
    assert match(chip, INDEX[:-1]) == "6a80"
    assert signs(chip, 0x9A) == 0x9000
    assert match(chip, STRANGER) == "63c2"
    assert signs(chip, 0x9A) == 0x6982


@pytest.mark.parametrize("size", [1, 33, 35, 37, 183, 255])
def test_a_probe_of_another_length_costs_nothing(size: int) -> None:
    card = made()
    assert match(on(card), bytes(size)) == "6a80"
    assert card.match_tries_left("96") == 3


def test_status_is_reset_by_ff_and_by_power() -> None:
    card = made()
    chip = on(card)
    match(chip, INDEX)
    assert log_out(chip, 0x96) == "9000"
    assert query(chip, 0x96) == "63c3"
    assert signs(chip, 0x9A) == 0x6982
    match(chip, INDEX)
    assert query(on(card), 0x96) == "63c3"


@pytest.mark.parametrize("chunk", [17, 100])
def test_a_probe_may_come_in_pieces(chunk: int) -> None:
    chip = on(made())
    assert chained(chip.transmit, b"\x00\x20\x00\x96", INDEX, chunk)[1] == 0x9000


def test_the_bit_says_how_many_minutiae_and_may_be_put_anew() -> None:
    card = made()
    chip = on(card)
    issuer = Issuer(chip.transmit, ADMIN_KEY)
    issuer.authenticate()
    content = card._memory.objects[Tag.BIT_GROUP]
    assert issuer.put(Tag.BIT_GROUP, content.replace(b"\x0c\x3c", b"\x0c\x50")) == 0x9000
    long = three_n(9, 80)
    assert match(chip, long) == "63c2"
    assert chained(chip.transmit, b"\x00\x24\x01\x96", long, 100)[1] == 0x9000
    assert chained(chip.transmit, b"\x00\x20\x00\x96", long, 100)[1] == 0x9000


@pytest.mark.parametrize("key", [0x00, 0x81, 0x95, 0x98])
def test_no_other_reference_is_verified(key: int) -> None:
    assert match(on(made()), INDEX, key) == "6a88"


def test_a_card_without_comparison_has_no_such_references() -> None:
    chip = on(PivCard.create(ready_keys=READY))
    assert [match(chip, INDEX), query(chip, 0x97), log_out(chip, 0x96)] == ["6a88"] * 3
    one = on(made(fingers={"96": (2, INDEX)}))
    assert [query(one, 0x96), query(one, 0x97)] == ["63c3", "6a88"]


def test_nothing_of_the_reference_comes_out_by_any_object() -> None:
    card = made(pin_policy="never")
    chip = on(card)
    chip.transmit(verify())
    match(chip, INDEX)
    tags = [0x7E, 0x7F61, *range(0x5FC100, 0x5FC130), 0x96, 0x7F2E]
    read = b"".join(get_data(chip.transmit, tag)[0] for tag in tags)
    runs = {reference[i : i + 9] for reference in (INDEX, THUMB) for i in range(0, 111, 3)}
    assert not any(run in read for run in runs)
    assert not any(run.hex() in repr(card._memory) for run in runs)


# -- the form of ISO/IEC 7816-11


def test_a_7f2e_card_takes_its_form_and_no_other() -> None:
    card = made(verify="7f2e")
    chip = on(card)
    assert match(chip, INDEX) == "6a80"
    assert chip.transmit(command(0x21, 0x00, 0x96, INDEX)) == b"\x6a\x80"
    assert chip.transmit(command(0x21, 0x00, 0x96, wrapped(INDEX[:-3] + b"\x00"))) == b"\x6a\x80"
    assert card.match_tries_left("96") == 3
    assert chip.transmit(command(0x21, 0x00, 0x96, wrapped(STRANGER))) == b"\x63\xc2"
    assert chip.transmit(command(0x21, 0x00, 0x96, wrapped(INDEX))) == b"\x90\x00"
    assert signs(chip, 0x9A) == 0x9000
    assert query(chip, 0x96) == "9000"
    assert chip.transmit(command(0x21, 0x00, 0x80, wrapped(INDEX))) == b"\x6a\x88"
    assert chained(chip.transmit, b"\x00\x21\x00\x97", wrapped(THUMB), 50)[1] == 0x9000


def test_a_raw_card_does_not_know_the_other_form() -> None:
    assert on(made()).transmit(command(0x21, 0x00, 0x96, wrapped(INDEX))) == b"\x6d\x00"


def test_a_blocked_7f2e_card_says_so_for_any_bytes() -> None:
    card = made(verify="7f2e")
    card.block_fingers()
    chip = on(card)
    assert chip.transmit(command(0x21, 0x00, 0x96, wrapped(INDEX))) == b"\x69\x83"
    assert match(chip, INDEX) == "6983"


# -- CHANGE REFERENCE DATA, RESET RETRY COUNTER


def change(chip: Chip, key: int, old: bytes, new: bytes) -> str:
    return chip.transmit(command(0x24, 0x00, key, old + new)).hex()


def unblock(chip: Chip, puk: bytes, new: bytes) -> str:
    return chip.transmit(command(0x2C, 0x00, 0x80, puk + new)).hex()


def test_the_pin_is_changed_by_the_old_one_and_given_with_it() -> None:
    card = made(pin_tries=3)
    chip = on(card)
    chip.transmit(verify(OTHER))
    assert change(chip, 0x80, PIN, OTHER) == "9000"
    assert card.pin_tries_left == 3
    assert query(chip, 0x80) == "9000"
    chip = on(card)
    assert chip.transmit(verify()) == b"\x63\xc2"
    assert chip.transmit(verify(OTHER)) == b"\x90\x00"


def test_a_wrong_old_pin_costs_a_try_and_the_status() -> None:
    card = made(pin_tries=2)
    chip = on(card)
    chip.transmit(verify())
    assert change(chip, 0x80, OTHER, PIN) == "63c1"
    assert query(chip, 0x80) == "63c1"
    assert change(chip, 0x80, OTHER, PIN) == "63c0"
    assert change(chip, 0x80, PIN, OTHER) == "6983"


@pytest.mark.parametrize(
    ("old", "new"),
    [(PIN, b"12345\xff\xff\xff"), (b"12345\xff\xff\xff", OTHER), (PIN, OTHER[:7]), (PIN, b"")],
)
def test_what_is_no_pin_changes_nothing_and_costs_nothing(old: bytes, new: bytes) -> None:
    card = made()
    chip = on(card)
    assert change(chip, 0x80, old, new) == "6a80"
    assert card.pin_tries_left == 5
    assert chip.transmit(verify()) == b"\x90\x00"


def test_the_puk_is_any_eight_bytes_and_opens_a_blocked_pin() -> None:
    card = made(puk_tries=2)
    card.block_pin()
    chip = on(card)
    assert change(chip, 0x81, PUK, b"\x00\xff" * 4) == "9000"
    assert query(chip, 0x80) == "6983"
    assert unblock(chip, PUK, OTHER) == "63c1"
    assert unblock(chip, b"\x00\xff" * 4, b"short\xff\xff\xff") == "6a80"
    assert card.puk_tries_left == 1
    assert unblock(chip, b"\x00\xff" * 4, OTHER) == "9000"
    assert (card.puk_tries_left, card.pin_tries_left) == (2, 5)
    assert query(chip, 0x80) == "63c5"  # another PIN, and not given
    assert chip.transmit(verify(OTHER)) == b"\x90\x00"
    assert card.puk == "\x00\xff" * 4


def test_a_blocked_puk_opens_nothing() -> None:
    card = made(puk_tries=1)
    card.block_pin()
    chip = on(card)
    assert unblock(chip, OTHER, OTHER) == "63c0"
    assert unblock(chip, PUK, OTHER) == "6983"
    assert change(chip, 0x81, PUK, OTHER) == "6983"
    assert query(chip, 0x80) == "6983"


def test_match_bound_means_that_neither_pin_nor_puk_works() -> None:
    card = made(match_bound=True)
    chip = on(card)
    assert query(chip, 0x80) == "6983"
    assert chip.transmit(verify()) == b"\x69\x83"
    assert change(chip, 0x80, PIN, OTHER) == "6983"
    assert unblock(chip, PUK, OTHER) == "6983"
    assert match(chip, INDEX) == "9000"
    assert signs(chip, 0x9A) == 0x9000


@pytest.mark.parametrize(
    ("ins", "p1", "p2", "sw"),
    [
        (0x24, 0x00, 0x96, "6a88"),
        (0x24, 0x00, 0x00, "6a88"),
        (0x24, 0x01, 0x80, "6a88"),
        (0x24, 0x02, 0x80, "6a86"),
        (0x2C, 0x00, 0x96, "6a88"),
        (0x2C, 0x01, 0x80, "6a86"),
    ],
)
def test_other_parameters_are_refused(ins: int, p1: int, p2: int, sw: str) -> None:
    assert on(made()).transmit(command(ins, p1, p2, PUK + OTHER)).hex() == sw


# -- a finger is stored by the issuer


def test_only_the_issuer_stores_a_finger() -> None:
    card = made()
    chip = on(card)
    chip.transmit(verify())
    match(chip, INDEX)
    issuer = Issuer(chip.transmit, ADMIN_KEY)
    assert issuer.store(0x96, STRANGER) == 0x6982
    assert issuer.store(0x96, b"\x00") == 0x6982
    assert match(chip, INDEX) == "9000"


def test_a_finger_stored_is_not_yet_shown_and_has_all_its_tries() -> None:
    card = made()
    card.block_fingers()
    chip = on(card)
    issuer = Issuer(chip.transmit, ADMIN_KEY)
    assert issuer.authenticate() == 0x9000
    assert issuer.store(0x96, bytes(33)) == 0x6A80
    assert card.match_tries_left("96") == 0
    assert issuer.store(0x96, STRANGER) == 0x9000
    assert (card.match_tries_left("96"), card.match_tries_left("97")) == (3, 0)
    assert query(chip, 0x96) == "63c3"
    assert match(chip, INDEX) == "63c2"
    assert match(chip, STRANGER) == "9000"
    assert issuer.store(0x96, INDEX) == 0x9000
    assert query(chip, 0x96) == "63c3"
    assert signs(chip, 0x9A) == 0x6982


# -- all of it


STEPS = ["pin", "no pin", "puk", "no puk", "96", "no 96", "97", "no 97", "out", "off"]


@pytest.mark.slow
@given(st.lists(st.sampled_from(STEPS), max_size=40))
def test_counters_and_status_follow_a_model(steps: list[str]) -> None:
    card = made(pin_tries=2, puk_tries=2, match_tries=2)
    chip, left, proved = on(card), {"pin": 2, "puk": 2, "96": 2, "97": 2}, set()
    for step in steps:
        note(step)
        match step.split():
            case ["off"]:
                chip, proved = on(card), set()
            case ["out"]:
                assert log_out(chip, 0x96) == "9000"
                proved -= {"96"}
            case [*no, what]:
                sw = _said(chip, what, wrong=bool(no))
                if left[what] == 0:
                    assert sw == "6983"
                elif no:
                    left[what] -= 1
                    proved -= {"pin" if what == "puk" else what}
                    assert sw == f"63c{left[what]}"
                else:
                    assert sw == "9000"
                    left |= {what: 2} | ({"pin": 2} if what == "puk" else {})
                    proved |= {what} - {"puk"}
        assert signs(chip, 0x9A) == (0x9000 if proved else 0x6982)
        assert (card.pin_tries_left, card.puk_tries_left) == (left["pin"], left["puk"])
        assert [card.match_tries_left(key) for key in ("96", "97")] == [left["96"], left["97"]]


def _said(chip: Chip, what: str, *, wrong: bool) -> str:
    if what == "pin":
        return chip.transmit(verify(OTHER if wrong else PIN)).hex()
    if what == "puk":
        return unblock(chip, OTHER if wrong else PUK, PIN)
    right = INDEX if what == "96" else THUMB
    return match(chip, STRANGER if wrong else right, int(what, 16))
