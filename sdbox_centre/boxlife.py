"""A box's own word on its beginning and its end: what it is, and that it is one no longer.

Neither gives it anything. A box is put into service by staff's act; what it reported is shown to
them before (`box reports`). What it says of its end takes away at once what a suspension does, and
is staff's to make final (`box retire`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, exists, select

from sdbox_agent.centre import wire
from sdbox_agent.errors import Refused
from sdbox_centre import linkrows, rows
from sdbox_centre.connections import halves
from sdbox_centre.core import end_all
from sdbox_centre.memory import take as take_away
from sdbox_centre.store import note
from sdbox_centre.tables import issued, reports
from sdbox_centre.upsert import Upsert

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sdbox_centre.core import Centre

_ISSUED: Final = select(issued.c.box).where(
    issued.c.key_sha256 == bindparam("b_key")  # of a TLS key, or the one that vouches for them
)
_later: Final = issued.alias()
_ISSUED_LAST: Final = _ISSUED.where(
    ~exists().where(  # a newer order's: this key is of a token that was void by then
        _later.c.box == issued.c.box,
        _later.c.purpose == issued.c.purpose,
        _later.c.at_s > issued.c.at_s,
    )
)
_REPORT: Final = Upsert(reports, ("at_s", "body"))
_REPORTS: Final = select(reports).order_by(reports.c.box)
_KNOWN: Final = frozenset({"active", "suspended", "retired"})


def report(centre: Centre, fingerprint: bytes, request: wire.ReportRequest, digest: bytes) -> bytes:
    """Keep what a box says of itself, and say how it stands. Raises Refused: box-refused.

    `active` is said of a box that staff's act says that of, and of no other.
    """
    now_s = centre.utc_s()
    with centre.store.begin() as tx:
        box = rows.box(tx, fingerprint)
        name = _ordered(tx, fingerprint) if box is None else box.name
        if name is None or name != request.box:
            raise Refused("box-refused")
        _REPORT.run(tx, {"box": name, "at_s": now_s, "body": wire.encode(request)})
        note(tx, now_s, "report", box=name, sha256=digest)
        answer = wire.ReportAnswer(state="ordered", voucher=False, placed=False)
        if box is not None and box.state in _KNOWN and centre.proven(tx, [("box", box)]) != [None]:
            answer = wire.ReportAnswer(
                state=box.state,
                voucher=box.voucher is not None,
                placed=box.place is not None and box.placed_s is not None,
            )
    return wire.encode(answer)


def retire(
    centre: Centre, fingerprint: bytes, request: wire.RetireRequest, _digest: bytes
) -> bytes:
    """A box is about to destroy its keys: whoever has them afterwards is not it.

    Only the box in service is taken out of it: not by a key that had its name before, or is to
    have it. Said twice, it is so once. Raises Refused: box-refused.
    """
    now_s = centre.utc_s()
    gone: list[str] = []
    with centre.store.begin() as tx:
        box = rows.hold_box(tx, fingerprint)
        name = _ordered(tx, fingerprint) if box is None else box.name
        if name is None or name != request.box:
            raise Refused("box-refused")
        if box is not None and rows.suspend(tx, name):
            gone = end_all(tx, rows.live_of_box(tx, name), "box-retired", now_s)
            linkrows.tell(tx, name, wire.BoxSuspended(), now_s)
            take_away(tx, "box", name)
        note(tx, now_s, "retire", box=name)
    centre.evict(gone)
    return wire.encode(wire.RetireAnswer())


def told(tx: Connection) -> list[dict[str, Any]]:
    """What every box reported last, for staff."""
    return [
        {
            "name": row.box,
            "at_s": row.at_s,
            **{
                word: getattr(said, word)
                for word in ("profile", "revision", "machine", "usb", "tpm", "agent_version")
            },
            "keys": said.keys,
            "network": tuple(f"{one.what}={one.code or one.result}" for one in said.network),
        }
        for row in tx.execute(_REPORTS).all()
        for said in (wire.decode(bytes(row.body), wire.ReportRequest),)
    ]


def _ordered(tx: Connection, fingerprint: bytes) -> str | None:
    """Whose certificate this is, by what was issued last to that name: it grants nothing."""
    return tx.execute(_ISSUED_LAST, {"b_key": halves(fingerprint)[1]}).scalar()
