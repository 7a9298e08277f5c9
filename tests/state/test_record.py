"""The record has one form, and nothing else is read."""

import hashlib
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from sdbox_agent.errors import DecodeError
from sdbox_agent.state import record
from sdbox_agent.state.record import CardAttempts, Fact, Known, State
from tests.fuzz.fuzz_state_record import target

COUNTS = st.integers(0, 2**53)
NAMES = st.binary(min_size=32, max_size=32).map(bytes.hex)
STATES = st.builds(
    State,
    generation=COUNTS,
    boot_counter=COUNTS,
    wire=COUNTS,
    policy_version=COUNTS,
    clock_utc_s=COUNTS,
    crl_numbers=st.dictionaries(NAMES, COUNTS, max_size=4),
    attempts=st.dictionaries(
        NAMES, st.builds(CardAttempts, st.integers(0, 1000), COUNTS, COUNTS), max_size=4
    ),
    anchor=COUNTS | st.just(UNSET),
    settings=COUNTS | st.just(UNSET),
    known=st.builds(
        Known,
        salt=NAMES,
        facts=st.dictionaries(
            st.sampled_from(get_args(Fact)),
            st.lists(NAMES, min_size=1, max_size=3).map(tuple),
            max_size=4,
        ),
    )
    | st.just(UNSET),
)


@given(STATES)
def test_what_is_encoded_is_read_back(state: State) -> None:
    assert record.decode(record.encode(state)) == state


@given(st.binary(max_size=300))
def test_arbitrary_bytes_give_one_error(data: bytes) -> None:
    target(data)


@given(STATES, st.data())
def test_any_changed_byte_is_found(state: State, data: st.DataObject) -> None:
    whole = bytearray(record.encode(state))
    index = data.draw(st.integers(0, len(whole) - 1))
    whole[index] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DecodeError):
        record.decode(bytes(whole))


@pytest.mark.parametrize(
    "line",
    [
        b'{"v":0}\n',
        b'{"v":1}\n',
        b'{"v":2,"generation":1}\n',
        b"{}\n",
        b"[" * 5000 + b"\n",
        record.encode(State())[65:].replace(b"0", b"-1", 1),
        record.encode(State())[65:].replace(b"{}", b'{"x":1}', 1),
        record.encode(State())[65:].replace(b",", b", ", 1),
        record.encode(State())[65:] + b"\n",
    ],
)
def test_another_version_or_form_is_refused_though_its_checksum_holds(line: bytes) -> None:
    with pytest.raises(DecodeError):
        record.decode(hashlib.sha256(line).hexdigest().encode() + b"\n" + line)


def test_every_truncation_is_found() -> None:
    whole = record.encode(State(generation=7))
    for length in range(len(whole)):
        with pytest.raises(DecodeError):
            record.decode(whole[:length])
