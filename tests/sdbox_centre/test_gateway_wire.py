"""What API and gateway say is one of a few closed things; the sockets are test_gateway_server's."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_centre import gateway_wire
from tests.fuzz import fuzz_gateway_wire
from tests.fuzz.fuzz_gateway_wire import ANSWERS, REQUESTS


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: type(one).__name__)
def test_a_request_is_read_as_one_and_never_as_an_answer(request_: gateway_wire.Request) -> None:
    packet = gateway_wire.encode(request_)
    assert gateway_wire.decode_request(packet) == request_
    with pytest.raises(DecodeError):
        gateway_wire.decode_answer(packet)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda one: type(one).__name__)
def test_an_answer_is_read_as_one_and_never_as_a_request(answer: gateway_wire.Answer) -> None:
    packet = gateway_wire.encode(answer)
    assert gateway_wire.decode_answer(packet) == answer
    with pytest.raises(DecodeError):
        gateway_wire.decode_request(packet)


@given(st.binary())
@example(b"\xff")
@example(b"[" * 100_000)
def test_anything_else_is_a_decode_error(packet: bytes) -> None:
    for decode in (gateway_wire.decode_request, gateway_wire.decode_answer):
        with pytest.raises(DecodeError):
            decode(packet)


@pytest.mark.parametrize(
    ("message", "name"),
    [(REQUESTS[0], "kem_key"), (ANSWERS[0], "kem_ciphertext"), (ANSWERS[0], "psk_salt")],
    ids=["kem_key", "kem_ciphertext", "psk_salt"],
)
def test_what_the_preshared_key_comes_of_is_of_its_size(message: msgspec.Struct, name: str) -> None:
    decode = gateway_wire.decode_request if message in REQUESTS else gateway_wire.decode_answer
    whole = getattr(message, name)
    for wrong in (b"", whole[:-1], whole + b"k"):
        with pytest.raises(DecodeError):
            decode(gateway_wire.encode(msgspec.structs.replace(message, **{name: wrong})))


@pytest.mark.parametrize("seed", fuzz_gateway_wire.SEEDS)
def test_the_fuzz_target_takes_its_seeds(seed: bytes) -> None:
    fuzz_gateway_wire.target(seed)
