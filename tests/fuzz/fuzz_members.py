"""Lists of members."""

import contextlib
import datetime as dt

from sdbox_agent.errors import DecodeError
from sdbox_centre import members

PARSERS = (members.parse,)
TODAY = dt.date(2026, 11, 22)
HEAD = b"holder,project,role,undertaking\n"
SEEDS: list[bytes] = [
    HEAD,
    HEAD + b"h-01,p-01,lead,2026-11-01\r\nh-02,p-01,member,\r\n",
    HEAD + b'"h-01","p-01","member","2026-11-01"\n',
    HEAD + b"h,p,member,\nh,p,lead,\n",
    HEAD + b"h,p,member,2026-13-01\n",
    HEAD + b"h,p,member,2026-11-23\n",
    HEAD + b"h,p,member,tomorrow\n",
    HEAD + b"h,p,owner,\n",
    HEAD + b"h,p q,member,\n",
    HEAD + b"h,p\n",
    HEAD + b'h,p,member,"',
    b"\xff",
    b"",
    HEAD + b"h,p,member,\n" * (members.MAX_MEMBERS + 1),
    b"project,holder,role,undertaking\n",
    bytes(members.MAX_BYTES + 1),
]
TOKENS = [b"member", b"lead", b",", b'"', b"\r\n", b"2026-11-22"]


def target(data: bytes) -> None:
    """Whatever is read names somebody, and nobody twice."""
    with contextlib.suppress(DecodeError):
        read = members.parse(data, TODAY)
        assert len({(one.holder, one.project) for one in read}) == len(read)
        assert all(one.holder and one.project for one in read)
