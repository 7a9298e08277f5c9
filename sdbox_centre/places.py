"""Is each box where it was placed? What the centre sees by itself, and what the box says.

From the day that staff placed a box on (`boxes.placed_s`), the network it came from first is
remembered, salted and hashed; another one later is a move. So is the box's own word, which can
only ever be to its disadvantage: it knows more (gateway, reader, sensor, parts), and one whose
software was replaced says nothing. Whatever was seen stays until staff place the box anew: one
that was away for a night is not where it was because it is back.

A hash hides nothing from who has the database, salt and all: there are 16.7 million networks, and
host and place stand beside it in clear. It keeps addresses out of what is merely read, and boxes
from being compared by it. Knows no rule of access: what follows, `access` says.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, select

from sdbox_centre.store import note
from sdbox_centre.tables import places
from sdbox_centre.upsert import Upsert

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sqlalchemy import Connection, Row

SALT_BYTES: Final = 32
# A host's connections may come from any of its addresses: the network is the place. /24 is the
# longest that is routed between networks; RFC 6177 section 2 gives a site /48 to /56.
IPV4_BITS: Final = 24
IPV6_BITS: Final = 48
_SAID: Final = {"box-moved": "said_moved_s", "machine-altered": "said_altered_s"}
_CHANGES: Final = ("moved_s", *_SAID.values())

_PLACE: Final = select(places).where(
    places.c.box == bindparam("b_box"), places.c.placed_s == bindparam("b_placed")
)
_KEEP: Final = Upsert(places, ("placed_s", "salt", "network", *_CHANGES))


def network_of(address: str) -> str:
    """The network that an address belongs to, as text: what a place is known by.

    Raises ValueError for what is no address.
    """
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped  # of a listener for both families
    bits = IPV4_BITS if found.version == 4 else IPV6_BITS
    return str(ipaddress.ip_network((found.packed, bits), strict=False))


def observe(
    tx: Connection,
    box: Row[Any],
    network: str | None,
    said: Collection[str],
    now_s: int,
    random_bytes: Callable[[int], bytes],
) -> bool:
    """Compare; whether something is otherwise that was not before, which is then in the trace.

    The caller holds the box. `network`: see `network_of`; None where nobody could see one. `said`:
    codes, in the box's own word. Of a box that is placed nowhere, nothing is known.
    """
    if box.placed_s is None:
        return False
    row = _place(tx, box)
    before = _begun(box, random_bytes) if row is None else row._asdict()
    after, codes = dict(before), []
    if network is not None:
        hashed = hmac.new(before["salt"], network.encode(), hashlib.sha256).digest()
        if before["network"] is None:
            after["network"] = hashed
        elif before["moved_s"] is None and before["network"] != hashed:
            after["moved_s"] = now_s
            codes.append(("place", "box-moved"))
    for code, name in _SAID.items():
        if code in said and before[name] is None:
            after[name] = now_s
            codes.append(("health", code))
    if after != before:
        _KEEP.run(tx, after)
    for act, code in codes:
        note(tx, now_s, act, code, box=box.name)
    return bool(codes)


def is_changed(tx: Connection, box: Row[Any]) -> bool:
    """Was it moved or altered since it was placed, by anybody's word?"""
    row = _place(tx, box)
    return row is not None and any(getattr(row, name) is not None for name in _CHANGES)


def _place(tx: Connection, box: Row[Any]) -> Row[Any] | None:
    return tx.execute(_PLACE, {"b_box": box.name, "b_placed": box.placed_s}).first()


def _begun(box: Row[Any], random_bytes: Callable[[int], bytes]) -> dict[str, Any]:
    """Nothing is known of it since it was placed there; what was, is over."""
    about = {"box": box.name, "placed_s": box.placed_s, "salt": random_bytes(SALT_BYTES)}
    return {**about, "network": None, **dict.fromkeys(_CHANGES)}
