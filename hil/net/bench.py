"""How fast the tunnel helper opens and closes: `python -m hil.net.bench [ROUNDS]`, JSON out.

    prepare_ms       key asked for .. public key here
    start_ms         prepare asked for .. wireguard-go runs and its interface has moved
    open_ms          open_tunnel sent .. `up` here (handshake, and the VM's answer)
    close_ms         close_tunnel sent .. `tunnel_closed` here (no interface, no process)
    last_packet_ms   close_tunnel sent .. last WireGuard frame on the cable, under a paced flood
    killed_ms        helper killed -9 .. last WireGuard frame on the cable, under that flood
    pss_mb           the helper, idle, after all that

A negative time: the last frame had left before the trigger (the flood sends every 0.5 ms).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hil.bench_figures import timing
from hil.bench_processes import pss_mb
from hil.net.helper import UID, TunnelHelper
from hil.net.observe import Observer, now_ns
from hil.net.peer import VM4, FarPeer
from hil.net.process import Process, Unit
from hil.net.topology import CENTRE4, CENTRE_SIDE, UPLINK, Topology
from sdbox_agent import ipc
from sdbox_agent.paths import Paths
from sdbox_agent.tunnel.config import parse_endpoint
from sdbox_agent.tunnel.killswitch import Walls, ruleset

if TYPE_CHECKING:
    from collections.abc import Callable

FLOOD_GAP_US = 500


class Core:
    """The core's side, for one helper."""

    def __init__(self, root: Path, far: FarPeer) -> None:
        self._channel: ipc.Channel[ipc.FromTunnel] = ipc.connect(
            Paths(root).tunnel_socket, ipc.FromTunnel, UID
        )
        self._channel.sock.settimeout(10)
        self._far = far
        self._number = 0

    def ask(self, message: ipc.Message) -> float:
        """Milliseconds to the answer, which is kept."""
        start_s = time.perf_counter()
        self._channel.send(message)
        self.answer = self.hear()
        return (time.perf_counter() - start_s) * 1000

    def hear(self) -> ipc.Message:
        """The next word of the helper."""
        return self._channel.receive()

    def open(self) -> tuple[float, float, float]:
        """Milliseconds of prepare, of the start behind it, and of open."""
        self._number += 1
        prepared_ms = self.ask(ipc.PrepareTunnel(n=self._number))
        assert isinstance(self.answer, ipc.TunnelPrepared)
        prepared = self.answer
        started_ms = prepared_ms + self.ask(ipc.TunnelStatus())
        message = self._far.invite(prepared)
        opened_ms = self.ask(message)
        assert isinstance(self.answer, ipc.TunnelUp)
        return prepared_ms, started_ms, opened_ms

    def close(self) -> float:
        """Milliseconds to nothing."""
        return self.ask(ipc.CloseTunnel(n=self._number))

    def leave(self) -> None:
        """Let go of the helper."""
        self._channel.close()


def last_frame_ms(topology: Topology, log: Path, trigger: Callable[[], object]) -> float:
    """From the trigger to the last WireGuard frame on the cable, under a flood."""
    flood = ["-m", "hil.net.flood", VM4, "9", str(FLOOD_GAP_US), "30"]
    sender = Process(Unit([sys.executable, *flood], topology.session, uid=65534, output=log))
    with Observer(topology.centre, CENTRE_SIDE) as observer:
        while len(observer.frames) < 100:
            time.sleep(0.01)
        asked_ns = now_ns()
        trigger()
        time.sleep(0.05)
    sender.end()
    frames = observer.arrived(lambda frame: frame.port == 51820)
    return (max(frame.time_ns for frame in frames) - asked_ns) / 1e6


def run(rounds: int) -> dict[str, object]:
    """Every figure."""
    figures: dict[str, list[float]] = {}

    def note(**values: float) -> None:
        for name, value in values.items():
            figures.setdefault(name, []).append(value)

    with (
        tempfile.TemporaryDirectory(prefix="sdbox-rig-") as made,
        Topology() as topology,
        FarPeer(topology) as far,
    ):
        root = Path(made)
        root.chmod(0o755)
        topology.box.nft(ruleset(Walls((parse_endpoint(f"{CENTRE4}:443"),), (UPLINK,))))
        with TunnelHelper(topology, root, os.getuid()) as helper:
            core = Core(root, far)
            core.close()  # it has started
            for _ in range(rounds):
                prepared, started, opened = core.open()
                note(prepare_ms=prepared, start_ms=started, open_ms=opened, close_ms=core.close())
            for _ in range(max(rounds // 5, 3)):
                core.open()
                note(last_packet_ms=last_frame_ms(topology, root / "log", core.close))
            memory = pss_mb(helper.process.pid)
            for _ in range(max(rounds // 10, 3)):
                core.open()
                note(killed_ms=last_frame_ms(topology, root / "log", helper.process.kill))
                core.leave()
                helper.restart()
                core = Core(root, far)
            core.leave()
    return {name: timing(values) for name, values in figures.items()} | {"pss_mb": memory}


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else 50), indent=2))
