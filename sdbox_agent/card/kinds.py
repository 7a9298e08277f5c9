"""Of which kind a card is: the first whose demands it meets.

Decides from what was read; reads nothing itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdbox_agent.card import spki

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sdbox_agent.cardkind import Algorithm, CardKind

_CURVES: dict[spki.Curve, Algorithm] = {spki.Curve.P256: "P-256", spki.Curve.P384: "P-384"}
_SIZES: dict[int, Algorithm] = {256: "RSA-2048", 384: "RSA-3072"}


def algorithm(key: spki.PublicKey) -> Algorithm:
    """The name by which a kind's file calls it."""
    if isinstance(key, spki.EcKey):
        return _CURVES[key.curve]
    return _SIZES[key.size_bytes]


def is_contactless(atr: bytes) -> bool:
    """Whether a reader made this ATR up for a card without contacts.

    PC/SC part 3, v2.01.09, section 3.1.3.2.3: 3B 8n 80 01, then n historical bytes and a check.
    """
    return len(atr) >= 4 and atr[0] == 0x3B and atr[1] >> 4 == 8 and atr[2:4] == b"\x80\x01"


def candidates(kinds: Iterable[CardKind], access: str, atr: bytes) -> list[CardKind]:
    """Those that are reached this way, and whose answer to reset begins like this."""
    return [kind for kind in kinds if kind.access == access and atr.startswith(kind.atr)]


def fits(kind: CardKind, keys: Iterable[spki.PublicKey], *, compares: bool) -> bool:
    """Whether a card with these keys, which compares fingers or does not, may be of this kind."""
    return compares == (kind.comparison == "card") and all(
        algorithm(key) in kind.algorithms for key in keys
    )
