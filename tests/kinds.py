"""The kinds of card that the rig's box takes, and its sensor. Not a module of tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sdbox_agent.profile.schema import parse_kind, parse_sensor

if TYPE_CHECKING:
    from sdbox_agent.cardkind import CardKind

CARDS = Path(__file__).parents[1] / "firmware_profiles/cards"


def _kind(name: str) -> CardKind:
    return parse_kind((CARDS / f"{name}.toml").read_bytes()).kind


FREE, PIN, MATCH, MATCH_7816 = (
    _kind(name) for name in ("piv-free", "piv-pin", "piv-match", "piv-match-7816")
)
SENSOR = parse_sensor((CARDS.parent / "sensors/virtual-image.toml").read_bytes()).kind
