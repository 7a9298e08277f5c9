"""API (uid 61011) and gateway (uid 61012, CAP_NET_ADMIN) with a box, in one network of the test.

A session is opened, found on the interface, revoked by an act of staff's, opened again, and lost
with the gateway, which is killed.
"""

import contextlib
import ctypes
import dataclasses
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hil import scratch
from hil.net.process import CODE, PYTHON, REPOSITORY
from hil.staff import Staff
from sdbox_agent.errors import SdboxError
from sdbox_agent.terms import Level
from sdbox_centre.gateway_wire import GatewayClient
from sdbox_centre.store import Store
from tests.sdbox_centre import tls
from tests.sdbox_centre import world as w
from tests.sdbox_centre.listing import unlisted
from tests.sdbox_centre.parties import Device
from tests.sdbox_centre.rig import bind_over, own_network
from tests.sdbox_centre.settled import settings
from tests.sdbox_centre.world import Session, World
from tests.waiting import PATIENCE_S, until

API, GATEWAY = 61011, 61012
PORT = 8443
SESSIONS = 25  # measured
RUN = "/run/wireguard"
CAP_NET_ADMIN = 12
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
_libc = ctypes.CDLL(None, use_errno=True)


def become(uid: int, *, net_admin: bool) -> None:
    """In the child: that uid, no capability but the one, dead when the test is."""
    _libc.prctl(8, 1 if net_admin else 0, 0, 0, 0)  # PR_SET_KEEPCAPS
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if net_admin:
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        data = (ctypes.c_uint32 * 6)(*([1 << CAP_NET_ADMIN] * 3), 0, 0, 0)
        assert _libc.capset(header, data) == 0
        assert _libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0) == 0
    _libc.prctl(1, signal.SIGKILL, 0, 0, 0)


def start(name: str, config: str, uid: int, *, net_admin: bool) -> subprocess.Popen:
    return subprocess.Popen(
        [PYTHON, "-m", "sdbox_centre", name, "--config", config],
        cwd=CODE,
        preexec_fn=lambda: become(uid, net_admin=net_admin),  # noqa: PLW1509  no threads yet
    )


@contextlib.contextmanager
def running(*argument: object, **named: bool) -> Iterator[subprocess.Popen]:
    child = start(*argument, **named)
    try:
        yield child
    finally:
        child.terminate()
        child.wait(PATIENCE_S)


def listening(port: int = PORT) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def peers() -> list[str]:
    shown = subprocess.run(
        ["wg", "show", "sdboxvm1", "allowed-ips"], capture_output=True, text=True, check=False
    )
    return shown.stdout.splitlines()


def prepare(
    root: Path, database: str | None = None
) -> tuple[World, str, str, tuple[w.Card, Device]]:
    world = World(root, database)
    certificate, key = tls.server_identity(world)
    tls.authority_file(world, "boxes-authority", world.boxes)
    api, gateway = settings(world)
    without = w.make_card(world.cards, 3, world.now)
    device = Device(world.admit_without_finger(without, 3), world.clock)
    (root / "otp.key").write_bytes(w.CODES_KEY)
    (root / "otp.key").chmod(0o600)
    shutil.chown(root / "otp.key", API, API)
    world.close()
    unlisted(root / "projects" / f"{w.PROJECT}.toml")
    (root / "centre").mkdir()
    for file in root.glob("centre.db*"):
        file.rename(root / "centre" / file.name)
    text = Path(api).read_text().replace("cli.db", database or "centre/centre.db")
    text = text.replace("server.pem", Path(certificate).name).replace("port = 0", f"port = {PORT}")
    text = text.replace("server.key", Path(key).name).replace(
        "gateway_uid = 0", f"gateway_uid = {GATEWAY}"
    )
    text = text.replace('"gateway.sock"', '"gate/gateway.sock"')
    Path(api).write_text('otp_key = "otp.key"\n' + text)
    text = Path(gateway).read_text().replace("api_uid = 0", f"api_uid = {API}\napi_gid = {API}")
    text = text.replace('acts = "acts"', 'acts = "gate/acts"')
    Path(gateway).write_text(text.replace('"gateway.sock"', '"gate/gateway.sock"'))
    (root / "gate").mkdir()
    shutil.chown(root / "gate", GATEWAY, API)
    (root / "gate").chmod(0o2710)
    shutil.chown(key, API, API)
    for path in (root / "centre", *(root / "centre").iterdir()):
        shutil.chown(path, API, API)
    root.chmod(0o755)
    return world, api, gateway, (without, device)


def rig(play: Callable[[Path], None]) -> None:
    """Play in a network of its own, in a directory that is gone afterwards."""
    run = Path(f"/run/sdbox-test-{os.getpid()}")
    run.mkdir(mode=0o755)
    root = Path(tempfile.mkdtemp(prefix="sdbox-test-", dir="/run"))
    node = tempfile.mktemp(prefix="sdbox-test-")  # not under /run: no devices there
    try:
        own_network((str(run), RUN))
        bind_over(str(REPOSITORY), str(CODE))  # these users may not reach the directory itself
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        os.chown(run, GATEWAY, GATEWAY)
        os.mknod(node, stat.S_IFCHR | 0o600, os.stat("/dev/net/tun").st_rdev)
        os.chown(node, GATEWAY, GATEWAY)
        bind_over(node, "/dev/net/tun")  # as a udev rule of the centre would let it
        play(root)
    finally:
        Path(node).unlink(missing_ok=True)
        scratch.removed(run)
        scratch.removed(root)


def play(root: Path) -> None:
    world, api, gateway, by_pin = prepare(root)
    client = tls.client(world, PORT)
    with running("api", api, API, net_admin=False) as serving:
        with running("gateway", gateway, GATEWAY, net_admin=True) as child:
            until((root / "gate/gateway.sock").exists)
            until(listening)
            staff = staff_of(world)
            assert staff.office.deliver() > 0  # the gateway came after the API
            world.clock.utc = int(
                time.time()
            )  # a receipt from before the gateway's start is refused
            one = Session(world, client, world.box, world.card, "boot-1-1")
            lease = one.to_open()
            assert len(peers()) == 1
            assert all(address in peers()[0] for address in lease.addresses)
            one.renew()
            children = {"gateway": child, "API": serving}
            before_s = {name: cpu_s(one) for name, one in children.items()}
            for n in range(2, 2 + SESSIONS):
                Session(world, client, world.box, world.card, f"boot-1-{n}").to_open()
            for name, one_child in children.items():
                took_ms = 1000 * (cpu_s(one_child) - before_s[name]) / SESSIONS
                say(f"{name}: {took_ms:.1f} ms of CPU a session, PSS {pss_kb(one_child)} kB")
            without_a_finger(world, client, *by_pin)
            one = Session(world, client, world.box, world.card, "boot-1-99")
            one.to_open()
            caps = Path(f"/proc/{child.pid}/status").read_text()
            assert f"CapEff:\t{1 << CAP_NET_ADMIN:016x}" in caps
            assert f"Uid:\t{GATEWAY}\t{GATEWAY}" in caps
            start_s = time.monotonic()
            staff.revoke_card(world.card.name)
            assert peers() == []
            took_ms = 1000 * (time.monotonic() - start_s)
            say(f"a card revoked, from the signature to the peer gone: {took_ms:.0f} ms")
            staff.office.store.close()
            refused(one.renew, "session-closed")
            again = w.make_card(world.cards, 2, world.now)
            two = Session(world, client, world.box, again, "boot-1-100")
            two.hello()
            refused(two.prove, "card-unknown")
        assert peers() == []
        assert "sdboxvm1" not in Path("/proc/net/dev").read_text()
        with running("gateway", gateway, GATEWAY, net_admin=True) as child:
            until(lambda: len(interfaces()) == 1)
            child.kill()
            child.wait(PATIENCE_S)
            until(lambda: not interfaces())
    client.close()


def staff_of(world: World, database: str | None = None) -> Staff:
    """Two of staff at a station beside the running centre."""
    store = Store(database or world.root / "centre/centre.db")
    gateway = GatewayClient(world.root / "gate/gateway.sock", GATEWAY)
    office = dataclasses.replace(
        world.office, store=store, gateway=gateway, utc_s=lambda: int(time.time())
    )
    first, second, _ = world.members.members
    return Staff(office, (first.signer, second.signer))


def without_a_finger(world: World, client: object, card: w.Card, device: Device) -> None:
    """By PIN and code; what the box claims beyond that, the gateway refuses of itself."""
    one = Session(world, client, world.box, card, "boot-1-90")
    said = {"enrolment": "test-enrolment-03", "level": Level.CARD_PIN, "reference_sha256": None}
    one.hello()
    assert one.prove().level is Level.CARD_PIN
    code = device.code()
    assert one.attempt(otp=code).code_right is True
    refused(lambda: one.receipt(**{**said, "level": Level.CARD_MATCH}), "card-not-match-bound")
    one.receipt(**said)
    one.renew()
    assert len(peers()) == 1
    one.end()
    two = Session(world, client, world.box, card, "boot-1-91")
    two.hello()
    two.prove()
    assert two.attempt(otp=code).code_right is False
    two.end()
    assert peers() == []


def interfaces() -> list[str]:
    return [line for line in Path("/proc/net/dev").read_text().splitlines() if "sdbox" in line]


def refused(call, code: str) -> None:
    with pytest.raises(SdboxError, match=f"^{code}$"):
        call()


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def cpu_s(child: subprocess.Popen) -> float:
    fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss_kb(child: subprocess.Popen) -> int:
    text = Path(f"/proc/{child.pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


if __name__ == "__main__":
    rig(play)
