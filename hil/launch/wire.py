"""What the manager is told at its start, and what it tells whoever asks."""

from __future__ import annotations

import msgspec


class Spec(msgspec.Struct, forbid_unknown_fields=True):
    """What differs from rig to rig."""

    root: str  # the box's root directory
    code: str  # the repository
    box_netns: str
    session_netns: str
    environment: dict[str, dict[str, str]] = {}  # unit name -> variables
    options: dict[str, list[str]] = {}  # unit name -> arguments added at the end
    watchdog_s: dict[str, float] = {}  # unit name -> its WatchdogSec, as a drop-in would set it


class Seen(msgspec.Struct):
    """What the manager tells of one unit."""

    pids: list[int]
    starts: int
    ready: bool
    status: str
    ready_ms: float | None = None  # from its last start to its READY, if it says so
