"""Chaining, Le and GET RESPONSE, over an application that repeats what it hears."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.card.apdu import Command, Reply
from hil.card.chip import CHAIN_MAX_BYTES, Chip

ECHO, LONG, OTHER = 0x10, 0x12, 0x14


class Echo:
    """ECHO (which may be chained) answers with its data, LONG with P1P2 bytes, OTHER with none."""

    chainable = frozenset({ECHO})

    def handle(self, command: Command) -> Reply:
        if command.ins == LONG:
            return Reply(bytes(i % 251 for i in range(command.p1p2)))
        return Reply(command.data if command.ins == ECHO else b"")


def piece(data: bytes, cla: int = 0x10, ins: int = ECHO, p2: int = 0) -> bytes:
    return bytes([cla, ins, 0, p2, len(data)]) + data + (b"\x00" if cla == 0 else b"")


def long(size: int, le: bytes) -> bytes:
    return bytes([0x00, LONG, size >> 8, size & 0xFF]) + le


@given(st.lists(st.binary(min_size=1, max_size=255), min_size=1, max_size=12))
def test_a_chain_is_one_command(pieces: list[bytes]) -> None:
    chip = Chip(Echo())
    for data in pieces[:-1]:
        assert chip.transmit(piece(data)) == b"\x90\x00"
    reply = chip.transmit(piece(pieces[-1], cla=0x00))
    data = reply[:-2]
    while reply[-2] == 0x61:
        reply = chip.transmit(bytes([0, 0xC0, 0, 0, reply[-1]]))
        data += reply[:-2]
    assert (data, reply[-2:]) == (b"".join(pieces), b"\x90\x00")


@given(size=st.integers(0, 2000), wants=st.lists(st.integers(0, 255), min_size=1, max_size=40))
def test_an_answer_comes_whole_whatever_is_asked_for_at_a_time(size: int, wants) -> None:
    chip = Chip(Echo())
    reply = chip.transmit(long(size, bytes(wants[:1])))
    data = reply[:-2]
    for want in [*wants[1:], *[0] * 9]:
        if reply[-2:] == b"\x90\x00":
            break
        left = size - len(data)
        assert reply[-2:] == bytes([0x61, left if left < 256 else 0])
        reply = chip.transmit(bytes([0, 0xC0, 0, 0, want]))
        assert len(reply) - 2 <= (want or 256)
        data += reply[:-2]
    assert reply[-2:] == b"\x90\x00"
    assert data == bytes(i % 251 for i in range(size))


def test_without_le_only_the_number_of_bytes_is_told() -> None:
    chip = Chip(Echo())
    assert chip.transmit(long(5, b"")) == b"\x61\x05"
    assert chip.transmit(bytes.fromhex("00C0000000")) == bytes(range(5)) + b"\x90\x00"


def test_extended_le_brings_all_at_once() -> None:
    assert len(Chip(Echo()).transmit(long(2000, b"\x00\x00\x00"))) == 2002


@pytest.mark.parametrize(
    "between",
    [bytes([0, OTHER, 0, 0]), bytes([0x10, ECHO, 0, 0]), b"\x00", bytes([0x0C, ECHO, 0, 0])],
)
def test_what_is_left_over_is_dropped_at_the_next_command(between: bytes) -> None:
    chip = Chip(Echo())
    assert chip.transmit(long(300, b"\x08"))[-2:] == b"\x61\x00"
    chip.transmit(between)
    assert chip.transmit(bytes.fromhex("00C0000000")) == b"\x69\x85"


@pytest.mark.parametrize(
    "between",
    [
        bytes([0, OTHER, 0, 0]),
        bytes([0, 0xC0, 0, 0, 0]),
        piece(b"x", p2=1),
        bytes([0x10, OTHER, 0, 0]),
        b"\x00",
    ],
)
def test_a_chain_that_is_broken_into_is_as_if_it_had_never_begun(between: bytes) -> None:
    chip = Chip(Echo())
    chip.transmit(piece(b"lost"))
    chip.transmit(between)
    assert chip.transmit(piece(b"kept", cla=0x00)) == b"kept\x90\x00"


def test_a_chain_has_an_end() -> None:
    chip = Chip(Echo())
    for _ in range(CHAIN_MAX_BYTES // 255):
        assert chip.transmit(piece(bytes(255))) == b"\x90\x00"
    assert chip.transmit(piece(bytes(255))) == b"\x67\x00"
    assert chip.transmit(piece(b"again", cla=0x00)) == b"again\x90\x00"


@pytest.mark.parametrize(
    ("raw", "sw"),
    [
        (bytes([0x10, OTHER, 0, 0]), "6884"),
        (bytes([0x0C, ECHO, 0, 0]), "6882"),
        (bytes([0x80, ECHO, 0, 0]), "6e00"),
        (bytes([0x01, ECHO, 0, 0]), "6e00"),
        (bytes([0, 0xC0, 0, 1, 0]), "6a86"),
        (bytes([0, 0xC0, 0, 0, 1, 7]), "6a86"),
        (b"\x00\xa4\x04", "6700"),
        (b"", "6700"),
    ],
)
def test_what_a_chip_says_no_to(raw: bytes, sw: str) -> None:
    assert Chip(Echo()).transmit(raw).hex() == sw
