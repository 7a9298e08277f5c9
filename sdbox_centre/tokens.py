"""Tokens for the carrier's end of the gateway: each admits one connection, once, for one session.

Kept by their hash, in memory: they go with the leases. No I/O; clock and randomness are arguments.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import Refused
from sdbox_agent.tunnel.frames import TOKEN_BYTES
from sdbox_centre.handover import KeptToken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TOKEN_S: Final = 30.0  # UDP is tried for 5 s first, then a connection made


class Tokens:
    """Those that have not been taken."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random = random_bytes
        self._issued: dict[bytes, tuple[str, float]] = {}  # SHA-256 -> session, when it is too old

    def issue(self, session: str, now_s: float) -> bytes:
        """A token for this session."""
        self._issued = {each: kept for each, kept in self._issued.items() if kept[1] > now_s}
        token = self._random(TOKEN_BYTES)
        self._issued[hashlib.sha256(token).digest()] = session, now_s + TOKEN_S
        return token

    def take(self, token: bytes, now_s: float) -> str:
        """Whose it was. Raises Refused (carrier-refused) for one that is nobody's, or too old."""
        session, ends_s = self._issued.pop(hashlib.sha256(token).digest(), ("", now_s))
        if ends_s <= now_s:
            raise Refused("carrier-refused")
        return session

    def kept(self) -> tuple[KeptToken, ...]:
        """Those that have not been taken."""
        return tuple(
            KeptToken(sha256=digest, session=session, ends_s=ends_s)
            for digest, (session, ends_s) in self._issued.items()
        )

    def resume(self, tokens: Iterable[KeptToken]) -> None:
        """Go on with what `kept` gave."""
        self._issued = {each.sha256: (each.session, each.ends_s) for each in tokens}
