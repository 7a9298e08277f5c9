"""Every single-line act of tampering is found, with the line and what was done."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.audit import hashchain, record
from sdbox_agent.audit.hashchain import ChainBroken
from sdbox_agent.errors import DecodeError


def chain(length: int) -> list[bytes]:
    lines: list[bytes] = []
    prev = record.GENESIS
    for seq in range(1, length + 1):
        entry = record.Entry(
            seq=seq,
            prev=prev,
            boot_id="b1",
            mono_ms=seq * 10,
            utc=None,
            code="session-open",
            session=f"b1-{seq}",
            level=None,
            result="ok",
        )
        lines.append(record.encode(entry))
        prev = hashchain.digest(lines[-1])
    return lines


LINES = chain(12)


def whole(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def found(data: bytes, head: str | None = None) -> tuple[int, str]:
    with pytest.raises(ChainBroken) as caught:
        hashchain.verify(data, head)
    assert caught.value.code == "audit-damaged"
    return caught.value.line, caught.value.kind


def test_a_whole_record_is_counted() -> None:
    assert hashchain.verify(b"") == 0
    assert hashchain.verify(whole(LINES)) == len(LINES)
    assert hashchain.verify(whole(LINES), hashchain.digest(LINES[-1])) == len(LINES)


def test_fault_86_a_last_line_cut_anywhere_is_found() -> None:
    data = whole(LINES)
    for length in range(len(whole(LINES[:-1])) + 1, len(data)):
        assert found(data[:length]) == (len(LINES), "truncated")


@given(st.data())
def test_fault_87_any_changed_byte_in_the_middle_is_found(data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(LINES) - 2))
    line = bytearray(LINES[index])
    line[data.draw(st.integers(0, len(line) - 1))] ^= data.draw(st.integers(1, 255))
    where, _ = found(whole([*LINES[:index], bytes(line), *LINES[index + 1 :]]))
    assert where in _blamed(index)


def _blamed(index: int) -> set[int]:
    """Nobody vouches for a line but the one after it: with two lines left it is one of the two."""
    return {index + 1} if index < len(LINES) - 2 else {index + 1, index + 2}


def test_fault_87_a_field_changed_in_a_valid_form_is_found_and_named() -> None:
    for index in range(len(LINES) - 1):
        lines = list(LINES)
        lines[index] = lines[index].replace(b'"ok"', b'"refused"')
        where, kind = found(whole(lines))
        assert where in _blamed(index)
        assert kind == "edited"


def test_fault_88_any_two_lines_exchanged_are_found() -> None:
    for first in range(len(LINES)):
        for second in range(first + 1, len(LINES)):
            lines = list(LINES)
            lines[first], lines[second] = lines[second], lines[first]
            assert found(whole(lines)) == (first + 1, "reordered")


def test_a_removed_or_doubled_line_is_found() -> None:
    for index in range(len(LINES) - 1):
        assert found(whole(LINES[:index] + LINES[index + 1 :])) == (index + 1, "removed")
        where, _ = found(whole([*LINES[: index + 1], *LINES[index:]]))
        assert where == index + 2


def test_two_acts_at_once_are_told_as_the_first() -> None:
    assert found(whole([LINES[0], LINES[2], b"garbage", LINES[1]])) == (2, "reordered")
    edited = LINES[1].replace(b'"ok"', b'"bug"')
    assert found(whole([LINES[0], edited, LINES[2], b"garbage"])) == (3, "edited")


def test_a_missing_end_is_found_by_who_knows_the_head() -> None:
    head = hashchain.digest(LINES[-1])
    assert hashchain.verify(whole(LINES[:-1])) == len(LINES) - 1
    assert found(whole(LINES[:-1]), head) == (len(LINES), "truncated")
    assert found(b"", head) == (1, "truncated")


def test_a_rewritten_record_is_found_by_who_knows_the_head() -> None:
    rewritten = [line.replace(b"session-open", b"session-over") for line in chain(12)]
    prev = record.GENESIS
    for index, line in enumerate(rewritten):
        rewritten[index] = (
            line[: line.index(b'"prev":"') + 8] + prev.encode() + line[line.index(b'","boot_id"') :]
        )
        prev = hashchain.digest(rewritten[index])
    assert hashchain.verify(whole(rewritten)) == 12
    found(whole(rewritten), hashchain.digest(LINES[-1]))


@given(st.binary(max_size=300))
def test_garbage_between_lines_is_found(garbage: bytes) -> None:
    try:
        record.decode(garbage)
    except DecodeError:
        assert found(whole([*LINES[:3], garbage, *LINES[3:]]))[0] == 4
