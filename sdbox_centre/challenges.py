"""Challenges: 32 random bytes, one use, bound to one session (and so to one box), short-lived.

The same bytes again get the same answer, so a box may repeat a call whose answer was lost; other
bytes on a used challenge are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from sqlalchemy import bindparam, delete, insert, select, update

from sdbox_agent.errors import Refused
from sdbox_agent.terms import CHALLENGE_BYTES
from sdbox_centre.tables import challenges

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

Purpose = Literal["proof", "transaction", "renew"]

PROOF_S: Final = 30
TRANSACTION_S: Final = 600  # from the proof's answer to the receipt
KEPT_S: Final = 3600  # a spent challenge is remembered that long after its end
OLD_AT_ONCE: Final = 500  # removed by one call, which waits for it

_ISSUE: Final = insert(challenges)
_TAKE: Final = (
    update(challenges)
    .where(
        challenges.c.value == bindparam("b_value"),
        challenges.c.session == bindparam("b_session"),
        challenges.c.purpose == bindparam("b_purpose"),
        challenges.c.used.is_(None),
        challenges.c.expires_s > bindparam("b_now"),
    )
    .values(used=bindparam("b_used"))
    .returning(challenges.c.value)
)
_FIND: Final = select(challenges.c.purpose, challenges.c.used, challenges.c.answer).where(
    challenges.c.value == bindparam("b_value"), challenges.c.session == bindparam("b_session")
)
_ANSWER: Final = (
    update(challenges)
    .where(challenges.c.value == bindparam("b_value"))
    .values(answer=bindparam("b_answer"))
)
_UNUSED: Final = delete(challenges).where(
    challenges.c.session == bindparam("b_session"), challenges.c.used.is_(None)
)
_OLD: Final = delete(challenges).where(
    challenges.c.value.in_(
        select(challenges.c.value)
        .where(challenges.c.expires_s < bindparam("b_before"))
        .order_by(challenges.c.expires_s)
        .limit(OLD_AT_ONCE)
        .with_for_update(skip_locked=True)  # another call forgets them just now
    )
)


def issue(
    tx: Connection,
    session: int,
    purpose: Purpose,
    expires_s: int,
    random_bytes: Callable[[int], bytes],
) -> bytes:
    """A new challenge; any earlier one of the session that nobody used is void from now on."""
    value = random_bytes(CHALLENGE_BYTES)
    tx.execute(_UNUSED, {"b_session": session})
    row = {"value": value, "session": session, "purpose": purpose, "expires_s": expires_s}
    tx.execute(_ISSUE, row)
    return value


def take(
    tx: Connection, session: int, purpose: Purpose, value: bytes, used: bytes, now_s: int
) -> bytes | None:
    """Spend a challenge on the call with digest `used`.

    Returns None the first time, and the answer kept for it when the same call comes again (b"" if
    none was kept yet: the work goes on). Raises Refused: challenge-unknown (or of another session
    or purpose), challenge-used, challenge-expired.
    """
    wanted = {"b_value": value, "b_session": session, "b_purpose": purpose}
    if tx.execute(_TAKE, {**wanted, "b_used": used, "b_now": now_s}).first() is not None:
        return None
    row = tx.execute(_FIND, {"b_value": value, "b_session": session}).first()
    if row is None or row.purpose != purpose:
        raise Refused("challenge-unknown")
    if row.used is None:
        raise Refused("challenge-expired")
    if row.used != used:
        raise Refused("challenge-used")
    return bytes(row.answer or b"")


def kept(tx: Connection, session: int, value: bytes) -> bytes:
    """The answer kept for a used challenge; b"" if there is none."""
    row = tx.execute(_FIND, {"b_value": value, "b_session": session}).first()
    return bytes(row.answer or b"") if row is not None else b""


def keep(tx: Connection, value: bytes, answer: bytes) -> None:
    """Remember the answer given to the call that used this challenge."""
    tx.execute(_ANSWER, {"b_value": value, "b_answer": answer})


def forget_old(tx: Connection, now_s: int) -> None:
    """Remove challenges that ended long ago; used again they are unknown, which refuses too."""
    tx.execute(_OLD, {"b_before": now_s - KEPT_S})
