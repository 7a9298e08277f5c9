"""The box link, the centre's half without its sockets: who opens it, what a box missed, its health.

Each message of a box on its link carries the next number (see linkrows.said): whoever has copied a
box's key and memory repeats one of them with the second thing said by either of the two. A box
whose network broke comes again with its next number, and its new stream takes the old one's place.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdbox_agent.centre import eventstream, wire
from sdbox_agent.errors import Refused
from sdbox_centre import boots, linkrows, places, rows
from sdbox_centre.core import box_of
from sdbox_centre.review import Touched, review
from sdbox_centre.store import note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

    from sdbox_centre.core import Centre


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for the stream: its query, and its header Last-Event-ID."""

    claim: wire.LinkRequest
    last: int | None


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream may begin: first `missed`, then what comes after number `seq`."""

    box: str
    missed: tuple[eventstream.Message, ...]
    seq: int


def open_stream(centre: Centre, fingerprint: bytes, asked: Asked, digest: bytes) -> Opened:
    """Raises Refused: box-refused, box-suspended, box-clone."""
    now_s = centre.utc_s()
    name = _heard(centre, fingerprint, asked.claim, digest)
    with centre.store.begin() as tx:
        note(tx, now_s, "link", box=name)
        missed, seq = _missed(tx, name, asked.last)
    return Opened(name, missed, seq)


def health(
    centre: Centre,
    fingerprint: bytes,
    request: wire.HealthRequest,
    digest: bytes,
    network: str | None = None,
) -> bytes:
    """How a box is: kept as its last word. Raises as `open_stream`.

    `network`: where it came from (places.network_of). If it is not where it was placed, or says so,
    its sessions are decided again.
    """
    name, now_s, gone = _heard(centre, fingerprint, request, digest), centre.utc_s(), []
    with centre.store.begin() as tx:
        box = box_of(tx, fingerprint, rows.hold_box)
        # One that has not heard yet that it was placed anew speaks of where it was before.
        said = request.standing if request.placed_s in {None, box.placed_s} else ()
        if places.observe(tx, box, network, said, now_s, centre.random_bytes):
            gone = review(tx, now_s, Touched(box=name), centre.proven)
        linkrows.health(tx, name, wire.encode(request), now_s)
    centre.evict(gone)
    return wire.encode(wire.HealthAnswer(network=network, placed_s=box.placed_s))


def _heard(
    centre: Centre,
    fingerprint: bytes,
    message: wire.LinkRequest | wire.HealthRequest,
    digest: bytes,
) -> str:
    """The box that says so, and nobody else with its key."""
    with centre.store.begin() as tx:
        box = box_of(tx, fingerprint, rows.hold_box)
        clone, gone = boots.is_clone(box, message), []
        if not clone:
            gone = boots.take(tx, box, message, centre.utc_s())
            clone = not linkrows.said(tx, box.name, message.boot_counter, message.n, digest)
    centre.evict(gone)
    if clone:
        boots.suspend_clone(centre, box.name, "link")
        raise Refused("box-clone")
    return str(box.name)


def _missed(
    tx: Connection, box: str, last: int | None
) -> tuple[tuple[eventstream.Message, ...], int]:
    """What was told since number `last`; one resync if that is not known or not kept."""
    known = linkrows.link(tx, box)
    seq = 0 if known is None else int(known.seq)
    if last is not None and last <= seq:
        kept = linkrows.events_after(tx, box, last)
        if len(kept) == seq - last:
            return tuple(map(message, kept)), seq
    anew = eventstream.Message(seq, eventstream.RESYNC, wire.encode(wire.Resync()))
    return (anew,), seq


def message(event: Row[Any]) -> eventstream.Message:
    """An event as it goes over the link."""
    return eventstream.Message(event.seq, event.kind, bytes(event.body))


def announce(centre: Centre, crls: Sequence[bytes]) -> None:
    """Tell every box of other lists, or another policy, than they were told of last."""
    digest = hashlib.sha256(b"".join(hashlib.sha256(crl).digest() for crl in crls)).hexdigest()
    now_s, version = centre.utc_s(), centre.policy.version
    with centre.store.begin() as tx:
        if linkrows.announce(tx, "crl", digest):
            linkrows.tell_all(tx, wire.NewCrls(), now_s)
        if linkrows.announce(tx, "policy", str(version)):
            linkrows.tell_all(tx, wire.NewPolicy(version=version), now_s)
