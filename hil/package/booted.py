"""[door] The centre's package on a booted Debian: its own units, settings of its own examples.

By the manual's first section, word for word: examples copied, certificates beside them, `init`,
`gateway-check`, units enabled. Then what an operator does to a centre that serves: a reload that is
good and one that is not, a newer package, a purge. Its addresses are on the loopback of a network
namespace. Authorities are real and made for it; the roster is empty, so nobody is let in.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil import scratch
from hil.boot import confinement, probe
from hil.boot.machine import Failed, Machine
from hil.issuing import Issuing
from hil.net.namespace import Claim
from hil.package import contents
from hil.package.clean import POLICY, Broken, newer, same
from sdbox_centre.authority import pem_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.issuing import Pair
    from hil.net.namespace import Namespace

SETTINGS: Final = "/etc/sdbox-centre"
EXAMPLES: Final = contents.documents("sdbox-centre") / "examples"
API, CARRIER = "192.0.2.1", "192.0.2.3"  # the examples' own
PORT: Final = 443
NEWER: Final = "root/newer.deb"
INTERFACE, VM = "wg-vm1", "10.77.0.1/20"
# Each unit's user, and its capabilities as /proc shows them: CAP_NET_ADMIN is bit 12,
# CAP_NET_BIND_SERVICE bit 10 (linux/capability.h).
UNITS: Final = {
    "sdbox-centre-gateway": (61102, 1 << 12),
    "sdbox-centre-api": (61101, 1 << 10),
    "sdbox-centre-carrier": (61103, 1 << 10),
}
# The network is what they are for, and there is no other on it.
ACTS: Final = sorted({act.__name__ for act in probe.ACTS} - {"internet", "stranger"})
START_S: Final = 20.0
CALL_S: Final = 5.0


def life(lower: Path, package: Path, told: Callable[[str, Callable[[], object]], None]) -> None:
    """Booted, installed, started, reloaded, upgraded, purged. Raises Broken."""
    with contextlib.ExitStack() as stack:
        room = scratch.made("boot")
        stack.callback(shutil.rmtree, room, ignore_errors=True)
        claim = Claim()
        stack.callback(claim.release)
        network = claim.namespace("centre")
        network.ip(*(f"addr add {address}/32 dev lo" for address in (API, CARRIER)))
        for terminal in (pair := os.openpty()):
            stack.callback(os.close, terminal)
        machine = stack.enter_context(Machine(lower, room, network, os.ttyname(pair[1])))
        centre = Booted(machine, network)
        try:
            told("boot", machine.boot)
            told("apt install", lambda: centre.install(package))
            told("settings, init, check", centre.settle)
            told("start", centre.start)
            centre.confined()
            told("what each unit is refused", centre.refused)
            told("reload", centre.reload)
            told("reload with settings that are wrong", centre.refuse)
            told("upgrade while it serves", lambda: centre.upgrade(package, room))
            told("apt purge", centre.purge)
        except Failed as error:
            raise Broken(f"{error}\n{centre.said()}") from error


class Booted:
    """A Debian with the centre's package, and how one sees from outside that it serves."""

    def __init__(self, machine: Machine, network: Namespace) -> None:
        self._machine, self._network = machine, network
        self._issuing = Issuing()
        self._box = self._issuing.box_tls("test-box-01")

    def install(self, package: Path) -> None:
        """By apt; nothing of it starts."""
        (self._machine.root / POLICY).unlink()
        name = f"/root/{package.name}"
        shutil.copyfile(package, self._machine.root / name.lstrip("/"))
        self._machine.run("apt-get", "install", "-qq", name)
        for unit in UNITS:
            same(self._state(unit) == "inactive", f"{unit} was started by its installation")

    def settle(self) -> None:
        """The manual's first section."""
        run = self._machine.run
        for name in ("api.toml", "carrier.toml"):
            run("cp", f"/{EXAMPLES}/{name}", f"{SETTINGS}/{name}")
        run("cp", f"/{EXAMPLES}/projects/NAME.toml", f"{SETTINGS}/projects/p-alpha.toml")
        text = (self._machine.root / EXAMPLES / "gateway.toml").read_text()
        self._write("gateway.toml", uncommented(text).encode())
        self._certificates()
        for unit, command, settings in (
            ("sdbox-centre-api", "init", "api.toml"),
            ("sdbox-centre-gateway", "gateway-check", "gateway.toml"),
        ):
            words = ("sdbox-centre", command, "--config", f"{SETTINGS}/{settings}")
            said = run("runuser", "-u", unit, "--", *words)
            same(said == "", said)

    def _certificates(self) -> None:
        issuing = self._issuing
        for name, authority in {
            "boxes": issuing.boxes,
            "cards": issuing.cards,
            "desks": issuing.desks,
            "staff": issuing.staff,
        }.items():
            self._write(f"{name}.pem", pem_of(authority.certificate))
        self._write("cards.crl", issuing.crl())
        self._write("desks.crl", issuing.desk_crl())
        self._write("staff.crl", issuing.staff_crl())
        self._write("roster.toml", b"member = []\n")
        for name, address, unit in (
            ("server", API, "sdbox-centre-api"),
            ("carrier", CARRIER, "sdbox-centre-carrier"),
        ):
            shown = issuing.server(address)
            self._write(f"{name}.pem", shown.pem)
            self._write(f"{name}.key", shown.key_pem, UNITS[unit][0])

    def _write(self, name: str, data: bytes, uid: int | None = None) -> None:
        """A file of root's for all to read, or a key of one user's."""
        path = self._machine.root / SETTINGS.lstrip("/") / name
        path.write_bytes(data)
        path.chmod(0o644 if uid is None else 0o600)
        if uid is not None:
            os.chown(path, uid, uid)

    def start(self) -> None:
        """All three; the API answers a box over TLS, and nobody without a certificate."""
        self._machine.run("systemctl", "enable", "--now", *UNITS)
        self._serves()
        same(self._asked(None) == b"", "the API answers somebody without a certificate")
        same(VM in self._network.show(f"addr show dev {INTERFACE}"), "the VM's address is not up")

    def confined(self) -> None:
        """Each as its own user, with the one capability its unit names."""
        managers = probe.held(f"/proc/{self._machine.leader}")
        for unit, (uid, capabilities) in UNITS.items():
            held = probe.held(f"/proc/{self._machine.pid(f'{unit}.service')}")
            same(set(held["Uid"]) == {str(uid)}, f"{unit}: {held['Uid']}")
            for kind in ("CapEff", "CapBnd", "CapAmb"):
                same(int(held[kind][0], 16) == capabilities, f"{unit}: {kind} {held[kind]}")
            same(held["NoNewPrivs"] == ["1"], f"{unit} may gain privileges")
            filters = [int(one["Seccomp_filters"][0]) for one in (managers, held)]
            same(filters[0] < filters[1], f"{unit} may make any call")

    def refused(self) -> None:
        """Every act of the probe, in each unit's place; for root whom nothing holds, none."""
        confinement.prepare(self._machine)
        words = ("/usr/bin/python3", "-I", confinement.PROBE, confinement.CONTROL)
        free = confinement.told(self._machine.run(*words), confinement.CONTROL)
        came = {"root": [act for act in ACTS if free.came[act] != "done"]}
        for unit in UNITS:
            told = confinement.taken_over(self._machine, f"{unit}.service")
            came[unit] = [act for act in ACTS if told.came[act] == "done"]
        self._machine.run("rm", "-r", str(Path(confinement.PROBE).parent))
        same(not any(came.values()), f"refused to root, or let through in a unit: {came}")
        self._machine.run("systemctl", "restart", *UNITS)
        self._serves()

    def reload(self) -> None:
        """Another program in the same process, under the same interface."""
        before = self._standing()
        self._machine.run("systemctl", "reload", "sdbox-centre-gateway")
        _until(self._serves_again, "it does not serve after a reload")
        same(self._standing() == before, f"a reload changed {before} into {self._standing()}")

    def refuse(self) -> None:
        """Settings with a key that nobody knows: told, and the gateway goes on with the old."""
        before = self._standing()
        good = (self._machine.root / SETTINGS.lstrip("/") / "gateway.toml").read_bytes()
        self._write("gateway.toml", b"unheard_of = 1\n" + good)
        status, _, _ = self._machine.ask("systemctl", "reload", "sdbox-centre-gateway")
        same(status != 0, "a reload with wrong settings is called good")
        same(self._standing() == before, f"it changed {before} into {self._standing()}")
        self._write("gateway.toml", good)
        self._serves()

    def upgrade(self, package: Path, room: Path) -> None:
        """The gateway is the same process, with its interface; the API is another."""
        before, api = self._standing(), self._machine.pid("sdbox-centre-api.service")
        newer(package, room / "newer.deb")
        shutil.copyfile(room / "newer.deb", self._machine.root / NEWER)
        self._machine.run("apt-get", "install", "-qq", f"/{NEWER}")
        _until(self._serves_again, "it does not serve after an upgrade")
        same(self._standing() == before, f"an upgrade changed {before} into {self._standing()}")
        same(self._machine.pid("sdbox-centre-api.service") != api, "the API is the old one")
        journal = self._machine.run("journalctl", "--unit=sdbox-centre-gateway", "--output=cat")
        same(journal.count("reload: 0 leases") == 2, "the gateway has not taken it up")

    def purge(self) -> None:
        """No process, no interface, no file."""
        pids = [self._machine.pid(f"{unit}.service") for unit in UNITS]
        self._machine.run("apt-get", "purge", "-qq", "sdbox-centre")
        same(not any(Path(f"/proc/{pid}").exists() for pid in pids), "a process is left")
        same(INTERFACE not in self._network.links(), "the interface is left")
        words = ("/etc", "/usr", "/lib", "/run", "/var/lib", "-name", "*sdbox*")
        found = self._machine.run("find", *words).splitlines()
        left = [path for path in found if not path.startswith("/run/systemd/")]  # its own notes
        same(not left, f"left by a purge: {left}")

    # -- what is seen of it ------------------------------------------------------------------------

    def said(self) -> str:
        """The last words of its units."""
        words = ("journalctl", "--no-pager", "--lines=60", "--output=cat", "--unit=sdbox-centre-*")
        return self._machine.ask(*words)[1]

    def _state(self, unit: str) -> str:
        return self._machine.show(f"{unit}.service")["ActiveState"]

    def _standing(self) -> tuple[int, str]:
        """The gateway's process, and its interface by the kernel's number."""
        (line,) = self._network.show(f"link show dev {INTERFACE}").splitlines()
        return self._machine.pid("sdbox-centre-gateway.service"), line.partition(":")[0]

    def _serves(self) -> None:
        _until(self._serves_again, f"it does not serve\n{self.said()}")

    def _serves_again(self) -> bool:
        """API, gateway's socket and the carriers' end: by a call, a connection, a handshake."""
        with contextlib.suppress(OSError):
            answer = self._asked(self._box)
            gateway = self._machine.root / "run/sdbox-centre/gateway.sock"
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
                sock.connect(str(gateway))
            self._connected(CARRIER, None).close()
            return answer.startswith(b"HTTP/1.1 404 ") and b"not-found" in answer
        return False

    def _asked(self, box: Pair | None) -> bytes:
        """What the API answers to a call that there is not; nothing, where it hangs up."""
        try:
            with self._connected(API, box) as tls:
                tls.sendall(b"GET /nothing HTTP/1.1\r\nHost: centre\r\nConnection: close\r\n\r\n")
                said = b""
                while more := tls.recv(4096):
                    said += more
                return said
        except (ssl.SSLError, ConnectionResetError):
            if box is None:  # in TLS 1.3 refused after the handshake
                return b""
            raise

    def _connected(self, address: str, box: Pair | None) -> ssl.SSLSocket:
        """TLS to who shows the certificate that was made for this address. Raises OSError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=pem_of(self._issuing.servers.certificate).decode())
        if box is not None:
            with _file_of(box.pem + box.key_pem) as path:
                context.load_cert_chain(path)
        sock = self._network.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(CALL_S)
        try:
            sock.connect((address, PORT))
            return context.wrap_socket(sock, server_hostname=address)
        except OSError:
            sock.close()
            raise


@contextlib.contextmanager
def _file_of(data: bytes) -> Iterator[Path]:
    """For a library that reads nothing but files: of nobody's disk."""
    memory = os.memfd_create("certificate")
    try:
        os.write(memory, data)
        yield Path(f"/proc/self/fd/{memory}")
    finally:
        os.close(memory)


def uncommented(text: str) -> str:
    """Settings with the section that the example only shows: `# [carrier]`, and its keys."""
    lines, inside = [], False
    for line in text.splitlines():
        inside = line.startswith("# [") or (inside and line.startswith("# "))
        lines.append(line.removeprefix("# ") if inside else line)
    return "\n".join(lines) + "\n"


def _until(holds: Callable[[], bool], otherwise: str) -> None:
    end_s = time.monotonic() + START_S
    while not holds():
        same(time.monotonic() < end_s, otherwise)
        time.sleep(0.1)
