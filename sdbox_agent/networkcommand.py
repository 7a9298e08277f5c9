"""`sdbox-agent network-sheet`: what the host's network has to let pass, by the rules themselves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.paths import Paths
from sdbox_agent.profile.load import load_box
from sdbox_agent.provision import networksheet
from sdbox_agent.provision.doctor import look
from sdbox_agent.provision.walls import walls_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def act(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Print the sheet. Raises FileRefused; Fault where other rules stand than box.toml makes."""
    box = load_box(Paths(options.root).config)
    try:
        sheet = networksheet.sheet(box, walls_of(box), _loaded())
    except DecodeError:
        raise Fault("walls-missing") from None
    if options.json:
        say(msgspec.json.encode(sheet).decode())
    else:
        say("\n".join(networksheet.text(sheet, options.language)))
    return 0


def _loaded() -> networksheet.Loaded | None:
    """The walls that stand, for root on a box; elsewhere nobody can tell, or none stand."""
    return look.rules() if os.geteuid() == 0 else None
