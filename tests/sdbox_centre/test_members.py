"""Lists of members: read whole or not at all."""

import contextlib
import csv
import datetime as dt
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_centre import members
from sdbox_centre.members import Member, parse

TODAY = dt.date(2026, 11, 22)
HEAD = b"holder,project,role,undertaking\n"
names = st.from_regex(r"[A-Za-z0-9._:-]{1,100}", fullmatch=True)
listed = st.lists(
    st.builds(
        Member,
        holder=names,
        project=names,
        role=st.sampled_from(["member", "lead"]),
        undertaking=st.none() | st.dates(dt.date(1000, 1, 1), TODAY),
    ),
    unique_by=lambda one: (one.holder, one.project),
)


def written(lines: list[Member]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(members.COLUMNS)
    for one in lines:
        day = one.undertaking.isoformat() if one.undertaking else ""
        writer.writerow([one.holder, one.project, one.role, day])
    return text.getvalue().encode()


@given(listed)
def test_what_was_written_is_read(lines: list[Member]) -> None:
    assert parse(written(lines), TODAY) == tuple(lines)
    assert parse("\ufeff".encode() + written(lines), TODAY) == tuple(lines)


@given(st.binary() | st.text().map(lambda text: HEAD + text.encode()))
@example(HEAD + b'h,p,member,"')
@example(HEAD + b"h,p,member,2026-13-01\n")
@example(HEAD + b"h\x00,p,member,\n")
@example(HEAD + b"h,p,member,\r")
def test_anything_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        read = parse(data, TODAY)
        assert parse(written(list(read)), TODAY) == read


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("h,p,member", "line 2: not 4 columns"),
        ("h,p,member,,", "line 2: not 4 columns"),
        ("", "line 2: not 4 columns"),
        (",p,member,", "line 2: not a name"),
        ("h,a/b,member,", "line 2: not a name"),
        ("h" * 101 + ",p,member,", "line 2: not a name"),
        ("h,p,owner,", "line 2: not a role"),
        ("h,p,member,20261122", "line 2: not a day"),
        ("h,p,member,2026-02-30", "line 2: not a day"),
        ("h,p,member,2026-11-23", "line 2: a day to come"),
        ("h,p,member,\nh,p,lead,", "somebody stands there twice"),
        ("h,p,member,\nh,p,member", "line 3: not 4 columns"),
    ],
)
def test_one_line_out_of_order_refuses_the_list(line: str, said: str) -> None:
    with pytest.raises(DecodeError, match=f"^list of members: {said}$"):
        parse(HEAD + line.encode() + b"\n", TODAY)


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"holder,project,role\n", HEAD.decode().encode("utf-16")]
)
def test_a_list_has_its_columns(data: bytes) -> None:
    with pytest.raises(DecodeError):
        parse(data, TODAY)


def test_a_list_is_bounded() -> None:
    many = [Member(f"h{n}", "p", "member", None) for n in range(members.MAX_MEMBERS + 1)]
    assert len(parse(written(many[1:]), TODAY)) == members.MAX_MEMBERS
    with pytest.raises(DecodeError, match="too many"):
        parse(written(many), TODAY)
    with pytest.raises(DecodeError, match="too long"):
        parse(HEAD + b"x" * members.MAX_BYTES, TODAY)


def test_today_still_counts() -> None:
    (one,) = parse(HEAD + b"h,p,lead,2026-11-22\n", TODAY)
    assert one == Member("h", "p", "lead", TODAY)
