"""`sdbox-agent network-sheet`: what the host's network has to let pass, by the rules themselves."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final

import msgspec

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.paths import Paths
from sdbox_agent.profile.load import load_box
from sdbox_agent.provision import networksheet
from sdbox_agent.provision.walls import walls_of
from sdbox_agent.tunnel.nfset import TABLE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

NFT: Final = "/usr/sbin/nft"
NFT_S: Final = 10.0


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
    if os.geteuid() != 0:
        return None
    try:
        with subprocess.Popen(  # noqa: S603  a fixed command
            [NFT, "-j", "list", "table", "inet", TABLE],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                listed, _ = process.communicate(timeout=NFT_S)
            finally:
                process.kill()  # if it hangs
    except FileNotFoundError:
        return None
    return networksheet.read(listed) if process.returncode == 0 else None
