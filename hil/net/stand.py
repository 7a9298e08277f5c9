"""One tunnel helper with all that is around it, and nothing of the rest of a box.

Cable, walls, a gateway's far end with a VM behind it, the helper as its unit starts it, and the
core's side of its channel: for figures and campaigns that need no card.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil import scratch
from hil.net.helper import UID, TunnelHelper
from hil.net.peer import FarPeer
from hil.net.topology import CENTRE_API, UPLINK, Topology
from sdbox_agent import ipc
from sdbox_agent.paths import Paths
from sdbox_agent.tunnel.config import parse_endpoint
from sdbox_agent.tunnel.killswitch import Walls, ruleset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Core:
    """The core's side, for one helper: from it, everything is asked for."""

    def __init__(self, root: Path, far: FarPeer) -> None:
        self._channel: ipc.Channel[ipc.FromTunnel] = ipc.connect(
            Paths(root).tunnel_socket, ipc.FromTunnel, UID
        )
        self._channel.sock.settimeout(30)
        self._far = far
        self._number = 0

    def ask(self, message: ipc.Message) -> float:
        """Milliseconds to the answer, which is kept."""
        start_s = time.perf_counter()
        self.send(message)
        self.answer = self.hear()
        while isinstance(self.answer, ipc.TunnelActive):  # the session's, not an answer
            self.answer = self.hear()
        return (time.perf_counter() - start_s) * 1000

    def send(self, message: ipc.Message) -> None:
        """Ask, and wait for nothing."""
        self._channel.send(message)

    def hear(self) -> ipc.Message:
        """The next word of the helper."""
        return self._channel.receive()

    def prepare(self) -> tuple[float, ipc.OpenTunnel]:
        """Milliseconds of prepare, and what a gateway then invites to."""
        self._number += 1
        prepared_ms = self.ask(ipc.PrepareTunnel(n=self._number))
        assert isinstance(self.answer, ipc.TunnelPrepared)
        return prepared_ms, self._far.invite(self.answer)

    def ready(self) -> float:
        """Milliseconds of prepare and what is behind it, of a warm helper; nothing stays."""
        self.send(ipc.WarmTunnel(n=self._number + 1))
        self.ask(ipc.TunnelStatus())
        prepared_ms, _ = self.prepare()
        ready_ms = prepared_ms + self.ask(ipc.TunnelStatus())
        self.close()
        return ready_ms

    def open(self) -> tuple[float, float, float]:
        """Milliseconds of prepare, of the start behind it, and of open."""
        prepared_ms, invitation = self.prepare()
        started_ms = prepared_ms + self.ask(ipc.TunnelStatus())
        opened_ms = self.ask(invitation)
        assert isinstance(self.answer, ipc.TunnelUp)
        return prepared_ms, started_ms, opened_ms

    def close(self) -> float:
        """Milliseconds to nothing."""
        return self.ask(ipc.CloseTunnel(n=self._number))

    def leave(self) -> None:
        """Let go of the helper."""
        self._channel.close()


@dataclass(slots=True)
class Stand:
    """What stands; `core` has heard the helper say that nothing is up."""

    topology: Topology
    root: Path
    far: FarPeer
    helper: TunnelHelper
    core: Core

    def restart(self) -> None:
        """Another helper, and another core to it."""
        self.core.leave()
        self.helper.restart()
        self.core = Core(self.root, self.far)

    def leave(self) -> None:
        """Let go of the helper."""
        self.core.leave()


@contextlib.contextmanager
def standing() -> Iterator[Stand]:
    """Everything, until it is left."""
    with contextlib.ExitStack() as stack:
        root = scratch.made("tunnel")
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        topology = stack.enter_context(Topology())
        centre = tuple(map(parse_endpoint, CENTRE_API))
        topology.box.nft(ruleset(Walls(centre, (UPLINK,))))
        far = stack.enter_context(FarPeer(topology))
        helper = stack.enter_context(TunnelHelper(topology, root, os.getuid()))
        stand = Stand(topology, root, far, helper, Core(root, far))
        stack.callback(stand.leave)
        stand.core.close()  # it has started
        yield stand
