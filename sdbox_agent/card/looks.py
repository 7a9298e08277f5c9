"""What PC/SC says of its readers at one moment. Values, nothing else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """One reader: whether a card is in it, and PC/SC's event count for it."""

    reader: str
    present: bool
    events: int


Looks = tuple[Look, ...]  # in PC/SC's order; empty while pcscd is away
