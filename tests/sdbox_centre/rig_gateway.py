"""The gateway as a process (uid 61012, CAP_NET_ADMIN) with boxes whose WireGuard is real.

Each box has a namespace of its own and sends a numbered datagram every 20 ms to the VM's address,
which sends it back. The gateway is reloaded under them, again and again; a second one is started
beside it; peers are put on its interface, and its box is suspended. Then it ends, after
a reload, in each way that there is.
"""

import base64
import dataclasses
import itertools
import os
import select
import signal
import socket
import subprocess
import threading
import time
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Self

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hil.net.namespace import Claim
from hil.net.process import CODE, PYTHON
from hil.staff import Staff
from sdbox_agent.errors import Fault, Refused
from sdbox_agent.statements import fields, jws
from sdbox_agent.tunnel import psk
from sdbox_agent.tunnel.config import Endpoint
from sdbox_agent.tunnel.kernel import Links
from sdbox_agent.tunnel.link import WireGuardGo, move
from sdbox_agent.tunnel.uapi import PeerConfig
from sdbox_centre import gateway_wire
from sdbox_centre.gateway_wire import GatewayClient
from tests.sdbox_centre import world as w
from tests.sdbox_centre.listing import unlisted
from tests.sdbox_centre.rig_processes import GATEWAY, RUN, interfaces, rig, say, start
from tests.sdbox_centre.settled import settings
from tests.sdbox_centre.test_gateway import install, renewal
from tests.sdbox_centre.world import World
from tests.waiting import PATIENCE_S, until

VM, ECHO_PORT, WIREGUARD_PORT = "10.77.0.1", 7000, 51820
EVERY_S = 0.02
LEASE_S = 600  # a slow machine's test is shorter


class Echo:
    """The VM: every datagram goes back."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((VM, ECHO_PORT))
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            data, sender = self.sock.recvfrom(100)
            self.sock.sendto(data, sender)


class LiveBox:
    """A box's end of the tunnel, and somebody who uses it."""

    def __init__(self, claim: Claim, n: int) -> None:
        self.namespace, self.name = claim.namespace(f"box{n}"), f"box{n}"
        self._private = os.urandom(32)
        key = X25519PrivateKey.from_private_bytes(self._private)
        self.public = key.public_key().public_bytes_raw()
        self.sent = self.came = 0
        self._going = False

    def open(self, world: World, request, installed) -> None:
        """As the tunnel helper does."""
        payload = jws.unb64url(msgspec.json.decode(request.statement)["payload"])
        digest = fields.digest(fields.parse("receipt", payload))
        offer = psk.Offer(installed.psk_salt, installed.kem_ciphertext)
        key = world.box.kem.psk(offer, psk.Bound(digest, self.public, installed.peer))
        self.wireguard = WireGuardGo(self.name, Path(RUN))
        self.wireguard.start()
        self.wireguard.configure(bytearray(self._private))
        there = Links(self.namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW))
        with self.namespace.path.open("rb") as file:
            move(self.name, Links.here(), there, file.fileno())
        self.namespace.ip(
            f"addr add {installed.addresses[0]} dev {self.name}",
            f"link set {self.name} up",
            f"route add {VM}/32 dev {self.name}",
        )
        gateway = Endpoint(ip_address("127.0.0.1"), WIREGUARD_PORT)
        peer = PeerConfig(installed.peer, (ip_network(f"{VM}/32"),), key, gateway)
        self.wireguard.set_peers([peer], replace=True)
        self._sock = self.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.connect((VM, ECHO_PORT))
        self._going = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for n in itertools.count():
            if not self._going:
                return
            self._sock.send(n.to_bytes(8))
            self.sent += 1
            end_s = time.monotonic() + EVERY_S
            while (left_s := end_s - time.monotonic()) > 0:
                if select.select([self._sock], [], [], left_s)[0]:
                    self._sock.recv(100)
                    self.came += 1

    def rest(self) -> int:
        """Stop; how many never came back."""
        self._going = False
        self._thread.join(PATIENCE_S)
        while self.came < self.sent and select.select([self._sock], [], [], PATIENCE_S)[0]:
            self._sock.recv(100)
            self.came += 1
        return self.sent - self.came

    def works(self) -> None:
        """Echoes come, from now on."""
        before = self.came
        until(lambda: self.came > before + 3)


class Gate:
    """The process, and what is said to it."""

    def __init__(self, world: World, lease_s: int = LEASE_S) -> None:
        _, config = settings(world)
        text = Path(config).read_text().replace('"gateway.sock"', '"gate/gateway.sock"')
        text = text.replace('acts = "acts"', f'acts = "gate/acts"\nlease_s = {lease_s}')
        Path(config).write_text(text)
        gate = world.root / "gate"
        gate.mkdir(exist_ok=True)
        os.chown(gate, GATEWAY, GATEWAY)
        self.world, self.config, self.path = world, config, gate / "gateway.sock"
        self.process = start("gateway", config, GATEWAY, net_admin=True)
        self.client = GatewayClient(self.path, GATEWAY)
        until(self.answers)  # its interface is up, then
        self.staff().office.deliver()
        world.clock.utc = int(time.time()) + 1  # a receipt from before its start is refused

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def staff(self) -> Staff:
        """Two of staff, whose acts are told to it alone."""
        office = dataclasses.replace(self.world.office, gateway=self.client)
        return Staff(office, self.world.staff.signers)

    def answers(self) -> bool:
        """Does it?"""
        try:
            self.client.remove(["nobody/1"])
        except Fault:
            return False
        return True

    def reload(self) -> None:
        """Until the new program answers."""
        before, program = self.open_files(), self.program()
        start_s = time.monotonic()
        self.process.send_signal(signal.SIGHUP)
        until(lambda: self.program() != program)
        until(self.answers)
        say(f"reload: {time.monotonic() - start_s:.2f} s until it answers")
        assert self.process.poll() is None
        assert self.open_files() <= before + 2, "nothing is left open by the program before"

    def program(self) -> bytes:
        """Another one after each execve(2): where the kernel laid things is drawn anew."""
        return Path(f"/proc/{self.process.pid}/auxv").read_bytes()

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def second(self, config: str) -> str:
        """What another gateway says, started with these settings; it must not live."""
        done = subprocess.run(
            [PYTHON, "-m", "sdbox_centre", "gateway", "--config", config],
            cwd=CODE, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode != 0
        return done.stderr


def play(root: Path) -> None:
    gateway_wire.DEADLINE_S = PATIENCE_S  # the machine may be slow
    world = World(root)
    root.chmod(0o755)
    unlisted(root / "projects" / f"{w.PROJECT}.toml")
    others = [w.make_card(world.cards, n, world.now) for n in (2, 3, 4, 5)]
    for number, card in enumerate(others, 2):
        world.admit(card, number)
    cards = [world.card, *others]
    claim = Claim()
    try:
        with Gate(world, lease_s=2) as gate:
            gate.client.install(install(world, 6, cards[0]))
            gate.reload()
            until(lambda: not peers())  # nobody asked, and no API has ever been there
        until(lambda: not interfaces())
        with Gate(world) as gate:
            live(world, gate, claim, cards)
        for end in (settings_that_can_not_be_read, a_dead_interface, a_kill):
            until(lambda: not interfaces())
            with Gate(world) as gate:
                gate.reload()
                assert interfaces()
                end(gate)
                assert gate.process.wait(PATIENCE_S) != 0
                until(lambda: not interfaces())
    finally:
        claim.release()


def live(world: World, gate: Gate, claim: Claim, cards: list) -> None:
    echo = Echo()
    boxes = [LiveBox(claim, n) for n in range(3)]
    asked = []
    for n, box in enumerate(boxes):
        request = install(world, n, cards[n], wg_public_key=box.public)
        since_s = time.monotonic()
        box.open(world, request, gate.client.install(request))
        asked.append((request, since_s, time.monotonic()))
    for box in boxes:
        box.works()
    children = wireguards(gate.process.pid)
    connection = gate.client._sock
    for _ in range(2):
        gate.reload()
        assert gate.client._sock is connection, "nobody was cut"
        assert wireguards(gate.process.pid) == children
        for box in boxes:
            box.works()
    neither_lost_nor_lengthened(gate, asked)
    renewals_and_new_sessions(world, gate, cards)
    a_second_gateway_is_refused(world, gate)
    lost = [box.rest() for box in boxes]
    say(f"echoes sent {[box.sent for box in boxes]}, lost over the reloads {lost}")
    assert lost == [0, 0, 0]
    what_nobody_leased_is_put_out(gate)
    a_box_that_staff_suspend_is_out(world, gate)
    echo.sock.close()


def wireguards(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def neither_lost_nor_lengthened(gate: Gate, asked: list) -> None:
    for request, since_s, until_s in asked:
        start_s = time.monotonic()
        left_s = gate.client.install(request).lease_s  # the very receipt: the same answer
        assert left_s <= LEASE_S - (start_s - until_s)
        assert left_s >= LEASE_S - (time.monotonic() - since_s) - 1


def renewals_and_new_sessions(world: World, gate: Gate, cards: list) -> None:
    assert gate.client.renew(renewal(world, 1, session=0)).lease_s == LEASE_S
    gate.client.install(install(world, 3, cards[3]))
    with pytest.raises(Refused, match=r"^session-elsewhere$"):
        gate.client.install(install(world, 4, cards[3]))
    gate.reload()
    with pytest.raises(Refused, match=r"^lease-refused$"):
        gate.client.renew(renewal(world, 3, session=0))
    assert gate.client.renew(renewal(world, 2, session=0)).lease_s == LEASE_S
    gate.client.remove([f"{world.box.name}/{world.box.boot_id}-3"])
    request = install(world, 5, cards[4])
    gate.client.install(request)
    gate.client.remove([f"{world.box.name}/{world.box.boot_id}-5"])
    gate.reload()
    with pytest.raises(Refused, match=r"^challenge-used$"):  # seen by the program before
        gate.client.install(request)


def a_second_gateway_is_refused(world: World, gate: Gate) -> None:
    """With the same settings; with another directory but that socket; with the interface alone."""
    children, text = wireguards(gate.process.pid), Path(gate.config).read_text()
    assert "Another gateway is already running" in gate.second(gate.config)
    other = world.root / "other.toml"
    (world.root / "elsewhere").mkdir()
    other.write_text(text.replace("/run/wireguard", "elsewhere"))
    assert "Another gateway is already running" in gate.second(str(other))
    other.write_text(other.read_text().replace("gate/gateway.sock", "another.sock"))
    assert "the interface did not come up" in gate.second(str(other))
    gate.client.remove(["nobody/1"])
    assert wireguards(gate.process.pid) == children


def what_nobody_leased_is_put_out(gate: Gate) -> None:
    """By `wg set`, as root: a new peer, and an address taken from one who has it."""
    before = peers()
    assert len(before) == 3
    first = "10.77.0.2/32"  # of session 0
    set_peer(os.urandom(32), "10.77.0.6/32")
    set_peer(os.urandom(32), first)
    until(lambda: peers() == {key: ip for key, ip in before.items() if ip != first})


def a_box_that_staff_suspend_is_out(world: World, gate: Gate) -> None:
    assert len(peers()) == 2
    start_s = time.monotonic()
    gate.staff().suspend_box(world.box.name)
    until(lambda: not peers())
    say(f"box suspended: its peers gone after {time.monotonic() - start_s:.2f} s")
    with pytest.raises(Refused, match=r"^box-suspended$"):
        gate.client.renew(renewal(world, 1, session=1))
    gate.staff().resume_box(world.box.name)


def settings_that_can_not_be_read(gate: Gate) -> None:
    Path(gate.config).write_text("lease_s = nonsense")
    gate.process.send_signal(signal.SIGHUP)


def a_dead_interface(gate: Gate) -> None:
    """A child that the program before had started."""
    (pid,) = wireguards(gate.process.pid)
    os.kill(int(pid), signal.SIGKILL)


def a_kill(gate: Gate) -> None:
    gate.process.kill()


def peers() -> dict[str, str]:
    """Key and first address of each."""
    shown = subprocess.run(
        ["wg", "show", "sdboxvm1", "allowed-ips"], capture_output=True, text=True, check=True
    )
    return {line.split()[0]: line.split()[1] for line in shown.stdout.splitlines()}


def set_peer(key: bytes, address: str) -> None:
    public = base64.b64encode(key).decode()
    subprocess.run(["wg", "set", "sdboxvm1", "peer", public, "allowed-ips", address], check=True)


if __name__ == "__main__":
    rig(play)
