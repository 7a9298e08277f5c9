"""The core's side of the tunnel helper, and what tests of the helper look at."""

import os
from pathlib import Path

import msgspec

from hil.net.helper import UID
from hil.net.peer import FarPeer
from hil.net.topology import CENTRE6, PROXY4, Topology
from sdbox_agent import ipc
from sdbox_agent.paths import Paths
from sdbox_agent.tunnel import psk
from tests.devices import USERSPACE
from tests.waiting import PATIENCE_S

CORE_UID = os.getuid()
CARRIER6_AT = f"[{CENTRE6}]:8443"
PROXY_AT = f"{PROXY4}:3128"


class Core:
    """The core's side of the channel."""

    def __init__(self, root: Path, number: int = 1, device: str = USERSPACE) -> None:
        self.root = root
        self.userspace = device == USERSPACE
        self.channel: ipc.Channel[ipc.FromTunnel] = ipc.connect(
            Paths(root).tunnel_socket, ipc.FromTunnel, UID
        )
        self.channel.sock.settimeout(PATIENCE_S)
        self.number = number
        self.prepared = ipc.TunnelPrepared(wg_public_key=b"n" * 32, kem_key=psk.KemPair().public)

    def ask(self, message: ipc.Message) -> ipc.Message:
        self.channel.send(message)
        return self.channel.receive()

    def prepare(self) -> ipc.TunnelPrepared:
        answer = self.ask(ipc.PrepareTunnel(n=self.number, userspace=self.userspace))
        assert isinstance(answer, ipc.TunnelPrepared)
        self.prepared = answer
        return answer

    def opening(self, far: FarPeer, **change: object) -> ipc.OpenTunnel:
        invitation = msgspec.structs.replace(far.invite(self.prepared), n=self.number)
        return msgspec.structs.replace(invitation, **change)

    def open(self, far: FarPeer, **change: object) -> ipc.Message:
        return self.ask(self.opening(far, **change))

    def rise(self, far: FarPeer, **change: object) -> ipc.TunnelUp:
        self.prepare()
        answer = self.open(far, **change)
        assert isinstance(answer, ipc.TunnelUp), answer
        return answer

    def hear_down(self) -> str:
        answer = self.channel.receive()
        assert isinstance(answer, ipc.TunnelDown)
        return answer.code

    def close_tunnel(self) -> None:
        assert self.ask(ipc.CloseTunnel(n=self.number)) == ipc.TunnelClosed(n=self.number)


def code(answer: ipc.Message) -> str:
    assert isinstance(answer, (ipc.TunnelDown, ipc.Failed)), answer
    return answer.code


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def child_of(pid: int) -> int:
    return children_of(pid)[0]


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # before opening it, or before reading
        return True


def granted(topology: Topology) -> bool:
    shown = [topology.box.nft(f"list set {t} sdbox endpoint4") for t in ("inet", "netdev")]
    return any("elements" in text for text in shown)
