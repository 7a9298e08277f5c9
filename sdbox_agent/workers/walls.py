"""The walls' keeper: raises them before the network comes up, and again when anybody touched them.

Own user, CAP_NET_ADMIN; reads box.toml once, opens no other file, hears nobody. It also sees to
the devices: an uplink gets its hook as it appears, and any device that box.toml does not name is
set down, whoever sets it up. Its own end leaves the walls standing. With a box.toml that can't be
read it keeps everything shut: then no device is named.
The tunnel helper watches too, and takes the tunnel down by itself.
"""

from __future__ import annotations

import argparse
import selectors
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from sdbox_agent import notify
from sdbox_agent.errors import Fault
from sdbox_agent.hardening import close_memory
from sdbox_agent.paths import Paths
from sdbox_agent.profile import load
from sdbox_agent.provision.walls import walls_of
from sdbox_agent.state.trusted import FileRefused
from sdbox_agent.tunnel import killswitch, rtnetlink
from sdbox_agent.tunnel.config import INTERFACE
from sdbox_agent.tunnel.guard import Guard
from sdbox_agent.tunnel.kernel import Bell, Links

if TYPE_CHECKING:
    from sdbox_agent.tunnel.killswitch import Walls
    from sdbox_agent.tunnel.rtnetlink import Link
    from sdbox_agent.tunnel.standing import Standing

NFT: Final = "/usr/sbin/nft"
NFT_S: Final = 10.0  # 15 ms on a quiet box
TRIES: Final = 20  # while others change rules at the same time
SHUT: Final = killswitch.Walls(centre=(), uplinks=())  # nothing in, nothing out
_OURS: Final = frozenset({"lo", INTERFACE})  # WireGuard's is born here, and moved away


class Keeper:
    """The event loop: a bell for rules, a bell for devices."""

    def __init__(self, walls: Walls) -> None:
        self._walls = walls
        self._guard = Guard()
        self._links = Links.here()
        self._news = Bell(socket.NETLINK_ROUTE, rtnetlink.RTMGRP_LINK)
        self._stands: Standing | None = None
        self._known: set[int] = set()  # uplinks that have had their hook, by number

    def run(self) -> NoReturn:
        """Until killed. Raises Fault if the walls can't be raised."""
        self._raise_walls()
        self._see_to_devices()
        notify.ready()
        with selectors.DefaultSelector() as selector:
            selector.register(self._guard.bell, selectors.EVENT_READ, self._see_to_walls)
            selector.register(self._news, selectors.EVENT_READ, self._see_to_devices)
            while True:
                for key, _ in selector.select():
                    key.data()

    def _raise_walls(self) -> None:
        """Until they stand as this very transaction has left them. Raises Fault."""
        for _ in range(TRIES):
            before = self._guard.generation()
            self._load()
            stands = self._guard.look()
            if stands is not None and self._guard.generation() == before + 1:
                self._stands = stands
                return
        raise Fault("walls-missing")

    def _see_to_walls(self) -> None:
        """A rule has changed: if it was one of ours, say so, and put all of them back."""
        self._guard.bell.hush()
        self._see_to_devices()  # one that has just come is nobody's touch
        if not self._as_raised(self._guard.look()):
            notify.event(notify.Event.FAULT, "walls-missing")
            self._raise_walls()
            self._known.clear()  # of the walls that were
            self._see_to_devices()

    def _see_to_devices(self) -> None:
        """Hooks for uplinks; every other device is set down."""
        self._news.hush()
        links = self._links.all()
        for link in links:
            if link.name in self._walls.uplinks:
                if link.index not in self._known and _nft(killswitch.hook(link.name)):
                    self._known.add(link.index)
            elif link.up and link.name not in _OURS:
                self._refuse(link)
        self._known &= {link.index for link in links}

    def _as_raised(self, found: Standing | None) -> bool:
        """Hooks included: a device that is gone takes its own with it, or leaves it empty."""
        if found is None or self._stands is None or found.words != self._stands.words:
            return False
        return self._present() <= found.devices

    def _present(self) -> set[str]:
        return {link.name for link in self._links.all()} & set(self._walls.uplinks)

    def _load(self) -> None:
        """One transaction. Where it can't be done, what stands under our names is none of ours."""
        tables = killswitch.tables(self._walls)
        hooks = "".join(killswitch.hook(device) for device in self._present())
        if _nft(tables + hooks) or _nft(tables):  # a device may have left in between
            return
        if self._guard.look() is None:  # else nft itself has failed: what stands stays
            _nft(killswitch.remove())

    def _refuse(self, link: Link) -> None:
        try:
            self._links.run([rtnetlink.lower(link.index)])
        except OSError:
            return  # it has left
        notify.status(f"set down, as box.toml does not name it: {link.name}")


def _nft(text: str) -> bool:
    """Run nft on `text`; did it do all of it? What it did not, it did nothing of."""
    with subprocess.Popen([NFT, "-f", "-"], stdin=subprocess.PIPE) as process:  # noqa: S603
        try:
            process.communicate(text.encode(), NFT_S)
        finally:
            process.kill()  # if it hangs
        return process.returncode == 0


def main() -> NoReturn:
    """Entry point. Without settings it keeps everything shut; the agent refuses them by itself."""
    parser = argparse.ArgumentParser(prog="sdbox-walls")
    parser.add_argument("--root", type=Path, default=Path("/"))
    options = parser.parse_args()
    close_memory()  # nobody of our uid borrows the capability
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        walls = walls_of(load.load_box(Paths(options.root).config))
    except FileRefused as error:
        sys.stderr.write(f"sdbox-walls: {error.diagnosis}; everything is shut\n")
        walls = SHUT
    Keeper(walls).run()


if __name__ == "__main__":
    main()
