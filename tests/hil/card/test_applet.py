"""The PIV application, by the clauses of SP 800-73-5 part 2."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, note
from hypothesis import strategies as st

from hil.card.card import PivCard
from hil.card.chip import Chip
from hil.card.objects import Tag
from tests.hil.card.helpers import (
    PIN_FIELD,
    SELECT_PIV,
    authenticate,
    exchange,
    get_data,
    sw_of,
    template,
    value_of,
    verify,
)

ALL = {"9A": "P-256", "9C": "P-256", "9D": "P-384", "9E": "P-256"}
FREE = PivCard.create(algorithms=ALL)
BOUND = PivCard.create(algorithms=ALL, pin_policy="once", pin_tries=5)
DIGEST = bytes(range(32))
WRONG = verify(b"999999\xff\xff")
STATUS = bytes.fromhex("00200080")
LOG_OUT = bytes.fromhex("0020FF80")


def on(card: PivCard) -> Chip:
    chip = card.power_on()
    assert sw_of(chip.transmit(SELECT_PIV)) == 0x9000
    return chip


def signs(chip: Chip, key: int) -> int:
    return authenticate(chip.transmit, "P-256", key, template(0x81, DIGEST))[1]


# -- SELECT (3.1.1)


@pytest.mark.parametrize("le", ["", "00"])
# The whole name, PIV's truncated one, and the provider's part alone, as Yubico's tools have it.
@pytest.mark.parametrize("aid", ["A000000308000010000100", "A00000030800001000", "A000000308"])
def test_the_whole_name_and_truncated_ones_select(aid: str, le: str) -> None:
    chip = FREE.power_on()
    name = bytes.fromhex(aid)
    command = b"\x00\xa4\x04\x00" + bytes([len(name)]) + name + bytes.fromhex(le)
    data, sw = exchange(chip.transmit, command)
    assert sw == 0x9000
    properties = value_of(0x61, data)
    assert properties.startswith(bytes.fromhex("4F0BA00000030800001000010079074F05A000000308"))


@pytest.mark.parametrize(
    "aid", ["A0000003080000100002", "A00000030800001000010000", "A0000003", "A0000000031010", ""]
)
def test_another_name_is_not_found(aid: str) -> None:
    name = bytes.fromhex(aid)
    command = b"\x00\xa4\x04\x00" + (bytes([len(name)]) + name if name else b"") + b"\x00"
    assert on(FREE).transmit(command) == b"\x6a\x82"


def test_nothing_answers_before_select() -> None:
    for command in ("00CB3FFF055C035FC10200", "00200080", "0087119E00"):
        assert FREE.power_on().transmit(bytes.fromhex(command)) == b"\x6d\x00"


def test_selecting_again_keeps_the_pin_and_so_does_a_name_that_is_not_there() -> None:
    chip = on(BOUND)
    chip.transmit(verify())
    chip.transmit(SELECT_PIV)
    assert chip.transmit(STATUS) == b"\x90\x00"
    assert chip.transmit(bytes.fromhex("00A4040007A000000003101000")) == b"\x6a\x82"
    assert chip.transmit(STATUS) == b"\x90\x00"


@pytest.mark.parametrize("parameters", ["0000", "040C", "0404"])
def test_selection_is_by_name_and_first_occurrence(parameters: str) -> None:
    command = b"\x00\xa4" + bytes.fromhex(parameters) + SELECT_PIV[4:]
    assert FREE.power_on().transmit(command) == b"\x6a\x86"


# -- GET DATA (3.1.2)


def test_objects_are_read_in_their_53_and_the_discovery_object_bare() -> None:
    chip = on(FREE)
    data, sw = get_data(chip.transmit, Tag.CHUID)
    assert (data[0], sw) == (0x53, 0x9000)
    data, sw = get_data(chip.transmit, Tag.DISCOVERY)
    assert (data[0], sw) == (0x7E, 0x9000)


@pytest.mark.parametrize("tag", [0x5FC108, Tag.CERTIFICATE_9A, 0x5FFF00, 0x7F61])
def test_what_is_not_on_the_card_is_not_found(tag: int) -> None:
    assert get_data(on(FREE).transmit, tag) == (b"", 0x6A82)


@pytest.mark.parametrize("tag", [Tag.FINGERPRINTS, Tag.PRINTED])
def test_two_objects_want_the_pin(tag: Tag) -> None:
    chip = on(FREE)  # whatever the policy of its keys
    assert get_data(chip.transmit, tag) == (b"", 0x6982)
    chip.transmit(verify())
    assert get_data(chip.transmit, tag)[1] == 0x9000
    chip.transmit(LOG_OUT)
    assert get_data(chip.transmit, tag) == (b"", 0x6982)


@pytest.mark.parametrize(
    ("command", "sw"),
    [
        ("00CB3F00055C035FC10200", "6a86"),
        ("00CB3FFF00", "6a80"),
        ("00CB3FFF055D035FC10200", "6a80"),
        ("00CB3FFF055C045FC10200", "6a80"),
        ("00CB3FFF0A5C035FC1025C035FC10700", "6a80"),
        ("10CB3FFF055C035FC102", "6884"),
    ],
)
def test_a_get_data_that_is_none_is_refused(command: str, sw: str) -> None:
    assert on(FREE).transmit(bytes.fromhex(command)).hex() == sw


# -- VERIFY (3.2.1)


def test_the_empty_query_tells_the_tries_and_costs_none() -> None:
    card = PivCard.create(pin_tries=3)
    chip = on(card)
    assert [chip.transmit(STATUS).hex() for _ in range(3)] == ["63c3"] * 3
    assert chip.transmit(verify()) == b"\x90\x00"
    assert chip.transmit(STATUS) == b"\x90\x00"


def test_a_wrong_pin_takes_the_status_away_and_a_malformed_one_does_not() -> None:
    chip = on(PivCard.create(pin_policy="once"))
    chip.transmit(verify())
    assert chip.transmit(verify(b"12345\xff\xff\xff")) == b"\x6a\x80"
    assert signs(chip, 0x9A) == 0x9000
    assert chip.transmit(WRONG) == b"\x63\xc4"
    assert signs(chip, 0x9A) == 0x6982


def test_a_blocked_pin_says_so_and_compares_no_more() -> None:
    card = PivCard.create(pin_tries=2)
    chip = on(card)
    answers = [chip.transmit(command).hex() for command in (WRONG, WRONG, WRONG, verify(), STATUS)]
    assert answers == ["63c1", "63c0", "6983", "6983", "6983"]


def test_reset_takes_the_status_and_leaves_the_counter() -> None:
    card = PivCard.create(pin_policy="once")
    chip = on(card)
    chip.transmit(WRONG)
    chip.transmit(verify())
    chip.transmit(WRONG)
    chip.transmit(verify())
    assert chip.transmit(LOG_OUT) == b"\x90\x00"
    assert signs(chip, 0x9A) == 0x6982
    assert chip.transmit(STATUS) == b"\x63\xc5"


@pytest.mark.parametrize(
    ("command", "sw"),
    [
        ("00200180", "6a86"),
        ("00200000", "6a88"),
        ("00200096", "6a88"),
        ("00200081", "6a88"),
        ("0020FF8008313233343536FFFF", "6a80"),
        ("1020008004313233", "6700"),
        ("102000800431323334", "6884"),
    ],
)
def test_a_verify_that_is_none_is_refused_and_costs_nothing(command: str, sw: str) -> None:
    card = PivCard.create()
    assert on(card).transmit(bytes.fromhex(command)).hex() == sw
    assert card.pin_tries_left == 5


@given(st.lists(st.sampled_from(["right", "wrong", "out", "select", "off", "9A", "9C", "9E"])))
def test_who_may_use_which_key_follows_a_model(steps: list[str]) -> None:
    """The access rules of part 1, table 5, as three variables."""
    card = PivCard.create(algorithms=ALL, pin_policy="once", pin_tries=3)
    chip, tries, given_, fresh = on(card), 3, False, False
    for step in steps:
        note(step)
        match step:
            case "right" | "wrong":
                sw = sw_of(chip.transmit(verify() if step == "right" else WRONG))
                if tries == 0:
                    assert sw == 0x6983
                elif step == "right":
                    assert sw == 0x9000
                    tries, given_, fresh = 3, True, True
                else:
                    tries, given_, fresh = tries - 1, False, False
                    assert sw == 0x63C0 | tries
            case "out":
                assert chip.transmit(LOG_OUT) == b"\x90\x00"
                given_ = fresh = False
            case "select":
                assert sw_of(chip.transmit(SELECT_PIV)) == 0x9000
            case "off":
                chip, given_, fresh = on(card), False, False
            case "9A":
                assert signs(chip, 0x9A) == (0x9000 if given_ else 0x6982)
            case "9C":
                assert signs(chip, 0x9C) == (0x9000 if fresh else 0x6982)
                fresh = False
            case "9E":
                assert signs(chip, 0x9E) == 0x9000
        assert card.pin_tries_left == tries


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_any_frames_get_a_status_word(frames: list[bytes]) -> None:
    chip = on(FREE)
    for frame in frames:
        reply = chip.transmit(frame)
        assert reply[-2] in {0x61, 0x63, 0x67, 0x68, 0x69, 0x6A, 0x6D, 0x6E, 0x90}
    assert FREE.pin_tries_left == 5 or any(frame[1:2] == b"\x20" for frame in frames)


# -- GENERAL AUTHENTICATE (3.2.4, appendix A)


@pytest.mark.parametrize("key", [0x9A, 0x9E])
def test_a_signature_is_that_of_the_key(key: int) -> None:
    signature, sw = authenticate(on(FREE).transmit, "P-256", key, template(0x81, DIGEST))
    assert sw == 0x9000
    public = FREE.public_keys()[f"{key:X}"]
    public.verify(signature, DIGEST, ec.ECDSA(Prehashed(hashes.SHA256())))


def test_agreement_with_9d_equals_the_hosts() -> None:
    host = ec.generate_private_key(ec.SECP384R1())
    point = host.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    secret, sw = authenticate(on(FREE).transmit, "P-384", 0x9D, template(0x85, point))
    assert (secret, sw) == (host.exchange(ec.ECDH(), FREE.public_keys()["9D"]), 0x9000)


@pytest.mark.parametrize("bits", [2048, 3072])
@pytest.mark.parametrize("chunk", [255, 100])
def test_rsa_decrypts_in_chains(rsa_keys: dict, bits: int, chunk: int) -> None:
    card = PivCard.create(ready_keys={"9D": rsa_keys[bits]})
    sealed = (
        rsa_keys[bits]
        .public_key()
        .encrypt(b"content key", padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    )
    block, sw = authenticate(
        on(card).transmit, f"RSA-{bits}", 0x9D, template(0x81, sealed), chunk=chunk
    )
    assert sw == 0x9000
    numbers = rsa_keys[bits].public_key().public_numbers()
    again = pow(int.from_bytes(block, "big"), numbers.e, numbers.n)
    assert again.to_bytes(bits // 8, "big") == sealed


@pytest.fixture(scope="module")
def rsa_keys() -> dict:
    return {bits: rsa.generate_private_key(65537, bits) for bits in (2048, 3072)}


def test_an_interrupted_chain_has_no_effect() -> None:
    chip = on(FREE)
    body = template(0x81, DIGEST)
    head = bytes([0x87, 0x11, 0x9E])
    assert chip.transmit(b"\x10" + head + bytes([9]) + body[:9]) == b"\x90\x00"
    assert get_data(chip.transmit, Tag.DISCOVERY)[1] == 0x9000
    rest = b"\x00" + head + bytes([len(body) - 9]) + body[9:] + b"\x00"
    assert chip.transmit(rest) == b"\x6a\x80"
    assert signs(chip, 0x9E) == 0x9000


POINT = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
)


@pytest.mark.parametrize(
    ("reason", "algorithm", "key", "body", "sw"),
    [
        ("another algorithm", "P-384", 0x9A, template(0x81, bytes(48)), 0x6A86),
        ("RSA", "RSA-2048", 0x9A, template(0x81, bytes(256)), 0x6A86),
        ("no such key", "P-256", 0x9B, template(0x81, DIGEST), 0x6A86),
        ("retired key", "P-256", 0x82, template(0x81, DIGEST), 0x6A86),
        ("9A does not agree", "P-256", 0x9A, template(0x85, POINT), 0x6A80),
        ("9E does not agree", "P-256", 0x9E, template(0x85, POINT), 0x6A80),
        ("9D does not sign", "P-384", 0x9D, template(0x81, bytes(48)), 0x6A80),
        ("another curve", "P-384", 0x9D, template(0x85, POINT), 0x6A80),
        ("off the curve", "P-384", 0x9D, template(0x85, b"\x04" + b"\x01" * 96), 0x6A80),
        ("compressed", "P-384", 0x9D, template(0x85, b"\x02" + b"\x01" * 48), 0x6A80),
        ("infinity", "P-384", 0x9D, template(0x85, b"\x00"), 0x6A80),
        ("short digest", "P-256", 0x9A, template(0x81, DIGEST[:20]), 0x6A80),
        ("request for a challenge", "P-256", 0x9A, template(0x81, b""), 0x6A80),
        ("no response asked for", "P-256", 0x9A, b"\x7c\x22\x81\x20" + DIGEST, 0x6A80),
        ("two challenges", "P-256", 0x9A, b"\x7c\x06\x82\x00\x81\x00\x81\x00", 0x6A80),
        ("both", "P-256", 0x9A, b"\x7c\x06\x82\x00\x81\x00\x85\x00", 0x6A80),
        ("another template", "P-256", 0x9A, b"\x7d\x02\x82\x00", 0x6A80),
        ("trailing byte", "P-256", 0x9A, template(0x81, DIGEST) + b"\x00", 0x6A80),
        ("cut", "P-256", 0x9A, template(0x81, DIGEST)[:-1], 0x6A80),
    ],
)
def test_an_authentication_that_is_none_is_refused(reason, algorithm, key, body, sw) -> None:
    assert authenticate(on(FREE).transmit, algorithm, key, body) == (b"", sw)


def test_the_pin_is_asked_for_before_the_data_is_looked_at() -> None:
    assert authenticate(on(BOUND).transmit, "P-256", 0x9A, b"\x00")[1] == 0x6982


def test_the_order_within_the_template_is_free() -> None:
    body = b"\x7c\x24\x81\x20" + DIGEST + b"\x82\x00"
    assert authenticate(on(FREE).transmit, "P-256", 0x9E, body)[1] == 0x9000


@pytest.mark.parametrize("ins", [0x21, 0xF7, 0xFD, 0x00])
def test_commands_this_card_has_not_are_refused(ins: int) -> None:
    assert on(FREE).transmit(bytes([0, ins, 0, 0])) == b"\x6d\x00"


def test_the_pin_field_of_these_tests_is_the_standards() -> None:
    # SP 800-73-5 part 2, 2.4.3.
    assert PIN_FIELD.hex().upper() == "313233343536FFFF"
