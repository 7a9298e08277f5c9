"""Lists of members."""

import datetime as dt

from sdbox_agent.errors import DecodeError
from sdbox_centre import members

TODAY = dt.date(2026, 11, 22)
SEEDS = [
    b"holder,project,role,undertaking\n",
    b"holder,project,role,undertaking\r\nh-01,p-01,lead,2026-11-01\r\nh-02,p-01,member,\r\n",
    b'holder,project,role,undertaking\n"h-01","p-01","member","2026-11-01"\n',
]


def target(data: bytes) -> None:
    try:
        members.parse(data, TODAY)
    except DecodeError:
        return
