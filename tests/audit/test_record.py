"""An audit line has one form, and nothing of a person's can get into it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.audit import record
from sdbox_agent.audit.record import Entry
from sdbox_agent.errors import DecodeError
from sdbox_agent.terms import Level
from tests.fuzz.fuzz_audit_line import target

NAMES = st.from_regex(r"[A-Za-z0-9._:-]{1,100}", fullmatch=True)
COUNTS = st.integers(0, 2**53)
ENTRIES = st.builds(
    Entry,
    seq=st.integers(1, 2**53),
    prev=st.binary(min_size=32, max_size=32).map(bytes.hex),
    boot_id=NAMES,
    mono_ms=COUNTS,
    utc=st.none() | st.integers(0, 2**38).map(record.utc_text),
    code=st.from_regex(r"[a-z][a-z0-9-]{1,40}", fullmatch=True),
    session=st.none() | NAMES,
    level=st.none() | st.sampled_from(Level),
    result=st.sampled_from(["ok", "ask-again", "refused", "fault", "bug"]),
)
EVIL = [
    "a\nb",
    "ab\n",
    "a\r\nb",
    "\x1b[31mred",
    "a\x00",
    '","result":"ok',
    "\u2028",
    "\u202e",
    "a b",
    "CN=Test Holder",
    "",
    "x" * 101,
]


def entry(**change: object) -> Entry:
    fields: dict[str, object] = {
        "seq": 1,
        "prev": record.GENESIS,
        "boot_id": "b1",
        "mono_ms": 5,
        "utc": "2026-01-02T03:04:05Z",
        "code": "agent-started",
        "session": "b1-1",
        "level": Level.HOST_MATCH,
        "result": "ok",
    }
    return Entry(**{**fields, **change})  # type: ignore[arg-type]


def test_the_fields_and_their_order_are_final() -> None:
    assert record.encode(entry()).decode() == (
        '{"v":1,"seq":1,"prev":"' + "0" * 64 + '","boot_id":"b1","mono_ms":5,'
        '"utc":"2026-01-02T03:04:05Z","code":"agent-started","session":"b1-1",'
        '"level":"host-match","result":"ok"}'
    )


@given(ENTRIES)
def test_what_is_encoded_is_read_back(value: Entry) -> None:
    line = record.encode(value)
    assert record.decode(line) == value
    assert line.isascii()
    assert b"\n" not in line
    assert len(line) <= record.MAX_LINE_BYTES
    assert json.loads(line)["seq"] == value.seq


@given(st.binary(max_size=400))
def test_arbitrary_bytes_give_one_error(data: bytes) -> None:
    target(data)


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
@pytest.mark.parametrize("field", ["boot_id", "code", "session", "utc", "prev", "level", "result"])
def test_fault_94_no_newline_escape_or_name_gets_in(field: str, evil: str) -> None:
    with pytest.raises(DecodeError) as caught:
        record.encode(entry(**{field: evil}))
    assert evil not in str(caught.value) or not evil


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"v":1', b'"v":2'),
        (b'"v":1,', b""),
        (b'"seq":1', b'"seq":0'),
        (b'"seq":1', b'"seq":01'),
        (b'"seq":1', b'"seq":1.0'),
        (b",", b", "),
        (b"}", b',"x":1}'),
        (b'"code"', b'"c\\u006fde"'),
        (b"}", b"}\n"),
        (b'"seq":1,', b'"seq":1,"seq":1,'),
    ],
)
def test_any_other_form_is_refused(old: bytes, new: bytes) -> None:
    line = record.encode(entry())
    assert old in line
    with pytest.raises(DecodeError):
        record.decode(line.replace(old, new, 1))


def test_a_line_too_long_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(DecodeError, match="too long"):
        record.decode(b"[" * (record.MAX_LINE_BYTES + 1))


def test_time_is_written_as_rfc_3339() -> None:
    assert record.utc_text(0) == "1970-01-01T00:00:00Z"
    assert record.utc_text(1_700_000_000) == "2023-11-14T22:13:20Z"
    assert record.utc_text(2**60) == "9999-12-31T23:59:59Z"
