"""Questions and changes of the box link's tables; built once, each rule one statement.

`links` of a box is locked last in a transaction, after its sessions: who tells a box of what
became of them can't wait for somebody who waits for the sessions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, delete, func, insert, or_, select, tuple_, update

from sdbox_agent.centre import wire
from sdbox_centre.tables import announced, boxes, events, link_messages, links
from sdbox_centre.upsert import Upsert

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Row

KEPT_EVENTS: Final = 64  # of each box
WINDOW: Final = 64  # messages of a box that may come late (as RFC 4303 section 3.4.3)

_p = bindparam
_MAKE: Final = Upsert(links)
_NEXT: Final = (
    update(links)
    .where(links.c.box == _p("b_box"))
    .values(seq=links.c.seq + 1)
    .returning(links.c.seq)
)
_EVENT: Final = insert(events)
_FORGET_EVENTS: Final = delete(events).where(
    events.c.box == _p("b_box"), events.c.seq <= _p("b_seq")
)

# As tell's four, of many boxes at once.
_ACTIVE: Final = select(boxes.c.name).where(boxes.c.state == "active").order_by(boxes.c.name)
_TOLD: Final = links.c.box.in_(_p("b_boxes", expanding=True))
_MAKE_ALL: Final = Upsert(links, rows=_ACTIVE)
_HOLD_ALL: Final = select(links.c.box).where(_TOLD).order_by(links.c.box).with_for_update()
_NEXT_ALL: Final = update(links).where(_TOLD).values(seq=links.c.seq + 1)
_EVENT_ALL: Final = insert(events).from_select(
    ["box", "seq", "kind", "body", "at_s"],
    select(links.c.box, links.c.seq, _p("b_kind"), _p("b_body"), _p("b_at")).where(_TOLD),
)
_FORGET_ALL: Final = delete(events).where(
    tuple_(events.c.box, events.c.seq).in_(
        select(links.c.box, links.c.seq - KEPT_EVENTS).where(_TOLD)
    )
)
_LINK: Final = select(links).where(links.c.box == _p("b_box"))
_EVENTS: Final = (
    select(events)
    .where(events.c.box == _p("b_box"), events.c.seq > _p("b_seq"))
    .order_by(events.c.seq)
)
_NEWEST: Final = select(func.max(events.c.id))
_HEADS: Final = (
    select(events.c.id, events.c.box, events.c.seq)
    .where(events.c.id > _p("b_id"))
    .order_by(events.c.id)
)
_WHOLE: Final = (
    select(events).where(events.c.id.in_(_p("b_ids", expanding=True))).order_by(events.c.id)
)
_CLOSED: Final = select(boxes.c.tls_sha256).where(boxes.c.state != "active")

_ONCE: Final = Upsert(link_messages)
_SAID: Final = select(link_messages.c.sha256).where(
    link_messages.c.box == _p("b_box"),
    link_messages.c.boot_counter == _p("b_counter"),
    link_messages.c.n == _p("b_n"),
)
_COUNT: Final = (
    update(links)
    .where(
        links.c.box == _p("b_box"),
        or_(
            links.c.boot_counter < _p("b_counter"),
            and_(links.c.boot_counter == _p("b_counter"), links.c.n < _p("b_n")),
        ),
    )
    .values(boot_counter=_p("b_counter"), n=_p("b_n"))
    .returning(links.c.box)
)
_FORGET_MESSAGES: Final = delete(link_messages).where(
    link_messages.c.box == _p("b_box"),
    or_(link_messages.c.boot_counter < _p("b_counter"), link_messages.c.n <= _p("b_n")),
)
_HEALTH: Final = (
    update(links).where(links.c.box == _p("b_box")).values(health=_p("b_body"), health_s=_p("b_at"))
)
_KNOW: Final = Upsert(announced)
_ANNOUNCE: Final = (
    update(announced)
    .where(announced.c.kind == _p("b_kind"), announced.c.value != _p("b_value"))
    .values(value=_p("b_value"))
    .returning(announced.c.kind)
)


def tell(tx: Connection, box: str, event: wire.Event, now_s: int) -> None:
    """Have the box told, once this transaction holds. The last thing to be done in one."""
    _MAKE.run(tx, {"box": box})
    seq = int(tx.execute(_NEXT, {"b_box": box}).scalar_one())
    row = {"box": box, "seq": seq, "kind": wire.kind_of(event), "body": wire.encode(event)}
    tx.execute(_EVENT, {**row, "at_s": now_s})
    tx.execute(_FORGET_EVENTS, {"b_box": box, "b_seq": seq - KEPT_EVENTS})


def tell_all(tx: Connection, event: wire.Event, now_s: int) -> None:
    """Have every active box told, in as many statements for a thousand as for one.

    The boxes' rows are held in the order of their names, so that two can't lock crosswise.
    """
    _MAKE_ALL.run(tx)
    told = {"b_boxes": tx.execute(_ACTIVE).scalars().all()}
    tx.execute(_HOLD_ALL, told)
    tx.execute(_NEXT_ALL, told)
    row = {"b_kind": wire.kind_of(event), "b_body": wire.encode(event), "b_at": now_s}
    tx.execute(_EVENT_ALL, told | row)
    tx.execute(_FORGET_ALL, told)


def announce(tx: Connection, kind: str, value: str) -> bool:
    """Is this another value than the last one announced? It is the last one from now on."""
    _KNOW.run(tx, {"kind": kind, "value": ""})
    return tx.execute(_ANNOUNCE, {"b_kind": kind, "b_value": value}).first() is not None


def link(tx: Connection, box: str) -> Row[Any] | None:
    """What is known of a box's link; None before its first word either way."""
    return tx.execute(_LINK, {"b_box": box}).first()


def events_after(tx: Connection, box: str, seq: int) -> list[Row[Any]]:
    """The kept events of a box with a higher number."""
    return list(tx.execute(_EVENTS, {"b_box": box, "b_seq": seq}))


def newest_event(tx: Connection) -> int:
    """The highest id there is."""
    return int(tx.execute(_NEWEST).scalar() or 0)


def heads(tx: Connection, after_id: int) -> list[Row[Any]]:
    """Id, box and number of every event from there on."""
    return list(tx.execute(_HEADS, {"b_id": after_id}))


def whole(tx: Connection, ids: Iterable[int]) -> list[Row[Any]]:
    """These events."""
    return list(tx.execute(_WHOLE, {"b_ids": list(ids)}))


def closed(tx: Connection) -> frozenset[bytes]:
    """TLS fingerprints of boxes that are not in service."""
    return frozenset(tx.execute(_CLOSED).scalars())


def said(tx: Connection, box: str, counter: int, n: int, sha256: bytes) -> bool:
    """Take message `n` of that start of the box; False if its only holder can't have said it.

    A message may be lost, come twice, or be overtaken by later ones. But its number stands for one
    text: another under the same number, or one older than any that can be under way, is of somebody
    else who has the box's key.
    """
    where = {"b_box": box, "b_counter": counter}
    _MAKE.run(tx, {"box": box})
    if tx.execute(_COUNT, {**where, "b_n": n}).first() is not None:
        tx.execute(_FORGET_MESSAGES, {**where, "b_n": n - WINDOW})
    else:
        newest = link(tx, box)
        if newest is None or newest.boot_counter != counter or newest.n - n >= WINDOW:
            return False
    _ONCE.run(tx, {"box": box, "boot_counter": counter, "n": n, "sha256": sha256})
    return bool(tx.execute(_SAID, {**where, "b_n": n}).scalar() == sha256)


def health(tx: Connection, box: str, body: bytes, now_s: int) -> None:
    """Keep the box's last health."""
    tx.execute(_HEALTH, {"b_box": box, "b_body": body, "b_at": now_s})
