"""What every call of the API stands on: store, card rules, gateway, clock, randomness.

And the two questions each call begins with: which box is this, and which session of its.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sdbox_agent.centre import wire
from sdbox_agent.errors import Fault, Refused
from sdbox_centre import access, linkrows, rows
from sdbox_centre.store import note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection, Row

    from sdbox_agent.centre.wire import Policy
    from sdbox_agent.pki.path import CheckedCard
    from sdbox_agent.terms import Delivered
    from sdbox_centre.codes import Codes
    from sdbox_centre.facts import Proven
    from sdbox_centre.gateway_wire import Install, Installed, Renewal, Renewed
    from sdbox_centre.store import Store

log = logging.getLogger("sdbox.centre")


class CardRules(Protocol):
    """Whether three certificates are those of one valid card."""

    def check(
        self, auth: bytes, key_management: bytes, card_auth: bytes, now_s: int
    ) -> CheckedCard:
        """What they say of the card. Raises Refused or Fault unless they hold now."""


class Gateway(Protocol):
    """The other process, as the API sees it. Every method may raise Fault or Refused."""

    def install(self, request: Install) -> Installed:
        """Verify a receipt and let its peer in."""

    def renew(self, request: Renewal) -> Renewed:
        """Verify a renewal and lengthen its lease."""

    def remove(self, keys: Iterable[str]) -> None:
        """Put these sessions' peers out."""


@dataclass(frozen=True, slots=True)
class Centre:
    """Everything a call needs; nothing else is reached for."""

    store: Store
    cards: CardRules
    gateway: Gateway
    policy: Policy
    utc_s: Callable[[], int]
    random_bytes: Callable[[int], bytes]
    proven: Proven  # whether staff signed what a row says
    codes: Codes | None = None  # without a key for them, nobody comes in at card-pin

    def evict(self, keys: Iterable[str]) -> None:
        """Have peers removed; if the gateway is away its own clock does it within the lease."""
        keys = tuple(keys)
        if not keys:
            return
        try:
            self.gateway.remove(keys)
        except Fault:
            log.warning("gateway away: %d peers are left to the end of their lease", len(keys))


def key_of(session: Row[Any]) -> str:
    """How the gateway calls a session: statements hold both parts."""
    return f"{session.box}/{session.name}"


def box_of(
    tx: Connection,
    fingerprint: bytes,
    find: Callable[[Connection, bytes], Row[Any] | None] = rows.box,
) -> Row[Any]:
    """The box behind a TLS certificate. Raises Refused: box-refused, or as access.shut_box."""
    box = find(tx, fingerprint)
    if box is None:
        raise Refused("box-refused")
    code = access.shut_box(box.state)
    if code is not None:
        raise Refused(code)
    return box


def session_of(
    tx: Connection,
    box: Row[Any],
    name: str,
    now_s: int,
    find: Callable[[Connection, str, int, str], Row[Any] | None] = rows.session,
) -> Row[Any]:
    """A live session of this box's last start. Raises Refused: not-found, session-closed."""
    session = find(tx, box.name, box.boot_counter, name)
    if session is None:
        raise Refused("not-found")
    if session.state == "ended" or session.live_until_s <= now_s:
        raise Refused("session-closed")
    return session


def held(
    tx: Connection, fingerprint: bytes, name: str, now_s: int
) -> tuple[Row[Any] | None, Row[Any]]:
    """The card (None before its proof) and its live session, held in that order.

    While a transaction holds the card, no other changes what the session may still do; others may
    end it, so each change of its state is conditional. Raises Refused, as box_of and session_of.
    """
    box = box_of(tx, fingerprint)
    card = rows.hold_card_of(tx, box.name, box.boot_counter, name)
    return card, session_of(tx, box, name, now_s)


def delivered(
    tx: Connection,
    now_s: int,
    what: Delivered,
    handed: bytes,
    box: str,
    session: str | None = None,
) -> None:
    """Trace what is handed to a box, by its hash; the box's audit record holds the same one."""
    sha256 = hashlib.sha256(handed).digest()
    note(tx, now_s, "delivered", what=what, sha256=sha256, box=box, session=session)


def end_all(tx: Connection, sessions: Iterable[Row[Any]], code: str, now_s: int) -> list[str]:
    """End these sessions; returns what the gateway must remove."""
    keys = []
    for session in sessions:
        if rows.end(tx, session.id, code):
            note(tx, now_s, "end", code, box=session.box, session=session.name, card=session.card)
            keys.append(key_of(session))
    return keys


def revoke_all(tx: Connection, over: Iterable[tuple[Row[Any], str]], now_s: int) -> list[str]:
    """As `end_all`, each for its code, and their boxes are told: none of them knows it yet.

    Told when all have ended, in the order of the boxes' names: see linkrows.
    """
    ended = [(session, code) for session, code in over if end_all(tx, [session], code, now_s)]
    for session, code in sorted(ended, key=lambda one: one[0].box):
        tell_over(tx, session, code, now_s)
    return [key_of(session) for session, _ in ended]


def tell_over(tx: Connection, session: Row[Any], code: str, now_s: int) -> None:
    """For its box to hear, in the order in which it was told: this session is over, and why."""
    linkrows.tell(tx, session.box, wire.Revoked(session=session.name, code=code), now_s)
