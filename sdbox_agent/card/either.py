"""A card that is spoken to directly or through its maker's library: whichever kind fits first.

The order of the kinds decides, and each way of speaking lets go of the card before the next one is
tried. Knows neither way.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from sdbox_agent.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sdbox_agent.card.token import Decision, Face, Signature, Token
    from sdbox_agent.cardkind import CardKind, FingerKey, KeyName
    from sdbox_agent.statements import fields

# "This is no card of yours"; a card that was recognised and then failed is not tried otherwise.
_OTHER_KIND = frozenset({"card-kind-unknown", "not-a-piv-card"})


class EitherToken:
    """A `Token` that becomes one of those `ways` makes, each named as `CardKind.access` does."""

    def __init__(self, ways: Mapping[str, Callable[[], Token]]) -> None:
        self._ways = ways
        self._token: Token | None = None
        self._stopped = False

    def open(self, kinds: tuple[CardKind, ...]) -> Face:
        """As `Token.open`; "card-kind-unknown" if any way at least knew what it is."""
        codes = set()
        for access, run in groupby(kinds, key=lambda kind: kind.access):
            token = self._taken(access)
            try:
                return token.open(tuple(run))
            except Refused as error:
                if error.code not in _OTHER_KIND:
                    raise
                codes.add(error.code)
            token.close()
        raise Refused("not-a-piv-card" if codes == {"not-a-piv-card"} else "card-kind-unknown")

    def sign(self, statement: fields.Statement, key: KeyName) -> Signature:
        """As `Token.sign`."""
        return self._opened().sign(statement, key)

    def unwrap(self, algorithm: str, blob: bytes) -> bytes:
        """As `Token.unwrap`."""
        return self._opened().unwrap(algorithm, blob)

    def compare(self, key: FingerKey, minutiae: bytes) -> Decision:
        """As `Token.compare`."""
        return self._opened().compare(key, minutiae)

    def verify_pin(self, field: bytearray | None, *, last: bool) -> int | None:
        """As `Token.verify_pin`."""
        return self._opened().verify_pin(field, last=last)

    def stop(self) -> None:
        """As `Token.stop`."""
        self._stopped = True
        if self._token is not None:
            self._token.stop()

    def close(self) -> None:
        """As `Token.close`."""
        self._stopped = True
        if self._token is not None:
            self._token.close()

    def _taken(self, access: str) -> Token:
        token = self._token = self._ways[access]()
        if self._stopped:  # looked at after the token is there for `stop` to find
            raise Refused("card-removed")
        return token

    def _opened(self) -> Token:
        if self._token is None:
            raise Refused("card-removed")
        return self._token
