"""PC/SC part 10: features, the PIN_VERIFY structure, what a pad answers."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.card import pad
from sdbox_agent.errors import AskAgain, DecodeError, Fault, Refused, SdboxError

FEATURES = bytes.fromhex("0604 42000DB6 0704 42000DB7 1204 42000DC2")


def test_a_readers_features_are_read() -> None:
    found = {0x06: 0x42000DB6, 0x07: 0x42000DB7, 0x12: 0x42000DC2}
    assert pad.decode_features(FEATURES) == found
    assert pad.verify_code(FEATURES) == 0x42000DB6
    assert pad.verify_code(FEATURES[6:]) is None
    assert pad.verify_code(b"") is None
    assert pad.verify_code(FEATURES[:-1]) is None


@pytest.mark.parametrize("data", [FEATURES[:5], FEATURES[:6] * 2, b"\x06\x03" + bytes(4)])
def test_another_list_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        pad.decode_features(data)
    assert pad.verify_code(data) is None


@given(st.binary(max_size=400))
def test_any_list_is_read_or_refused(data: bytes) -> None:
    code = pad.verify_code(data)
    assert code is None or len(data) % 6 == 0


def test_the_request_is_pin_verify_for_the_piv_pin() -> None:
    """Field by field, as part 10 section 2.5.2 lists them; the APDU waits for the digits."""
    request = pad.request("en")
    names = struct.unpack("<BBBBBHBBHB3sI", request[:19])
    assert names == (25, 25, 0x82, 8, 0, 0x0608, 2, 1, 0x0409, 0, bytes(3), 13)
    assert request[19:] == bytes.fromhex("0020008008") + b"\xff" * 8


@pytest.mark.parametrize(("reply", "left"), [("9000", None), ("63C2", 2), ("6983", 0)])
def test_what_the_card_said_is_told(reply: str, left: int | None) -> None:
    assert pad.was_sent(bytes.fromhex(reply))
    assert pad.decode_left(bytes.fromhex(reply)) == left


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("", Fault("card-failed")),
        ("6400", AskAgain("transaction-timeout")),
        ("6401", Refused("cancelled")),
        ("6403", Refused("cancelled")),
    ],
)
def test_what_the_pad_said_is_told(reply: str, error: SdboxError) -> None:
    assert pad.was_sent(bytes.fromhex(reply)) == (reply != "6403")
    with pytest.raises(type(error), match=error.code):
        pad.decode_left(bytes.fromhex(reply))


@pytest.mark.parametrize("reply", ["6B80", "90", "7C82"])
def test_another_answer_is_refused(reply: str) -> None:
    with pytest.raises(DecodeError):
        pad.decode_left(bytes.fromhex(reply))
