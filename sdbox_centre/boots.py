"""The starts of a box: one at a time, each counted; and what is done about two boxes of one key."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from sdbox_agent.centre import wire
from sdbox_centre import linkrows, rows
from sdbox_centre.core import end_all
from sdbox_centre.memory import take as take_away
from sdbox_centre.store import note

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from sdbox_centre.core import Centre

log = logging.getLogger("sdbox.centre")


class Start(Protocol):
    """What a box says of its present start, in a hello and on its link."""

    @property
    def boot_id(self) -> str:
        """Drawn anew at each start."""

    @property
    def boot_counter(self) -> int:
        """Higher at each start."""


def is_clone(box: Row[Any], start: Start) -> bool:
    """Two live starts of one box, or a start counter that goes back (design section 4)."""
    if start.boot_counter == box.boot_counter and box.boot_id is not None:
        return bool(start.boot_id != box.boot_id)
    return bool(start.boot_counter < box.boot_counter)


def take(tx: Connection, box: Row[Any], start: Start, now_s: int) -> list[str]:
    """Note a start; a new one ends the sessions of the last. What the gateway must remove."""
    if box.boot_id == start.boot_id:
        return []
    rows.boot(tx, box.name, start.boot_counter, start.boot_id)
    gone = end_all(tx, rows.live_of_box(tx, box.name), "shutdown", now_s)
    note(tx, now_s, "boot", box=box.name)
    return gone


def suspend_clone(centre: Centre, box: str, act: str) -> None:
    """Somebody else has the box's key: nobody uses it until staff have looked.

    Sessions ended, peers removed, connections cut (by every API process that has one), written
    down, and an alarm in the log: once, though each of the two may be heard at the same time.
    """
    now_s = centre.utc_s()
    with centre.store.begin() as tx:
        if not rows.suspend(tx, box):
            return
        gone = end_all(tx, rows.live_of_box(tx, box), "box-clone", now_s)
        note(tx, now_s, act, "box-clone", box=box)
        linkrows.tell(tx, box, wire.BoxSuspended(), now_s)
        take_away(tx, "box", box)
    log.critical("two holders of the key of box %s: suspended", box)
    centre.evict(gone)
