"""A box in the rig: its files, and the launcher that runs it as systemd would."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from hil.launch.wire import Seen, Spec
from hil.net.process import Process, Unit
from hil.net.topology import CENTRE4, UPLINK
from hil.tpm import SoftTpm
from sdbox_agent.identity import tpmfile, tpmkey
from sdbox_agent.identity.tpm import Tpm
from sdbox_agent.identity.tpmcounter import TpmCounter
from sdbox_agent.paths import Paths
from sdbox_agent.state import store
from sdbox_agent.state.filesystem import RealFileSystem
from sdbox_centre.authority import pem_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.issuing import Issuing, Pair
    from hil.net.topology import Topology

CORE_UID, CARD_UID, FINGER_UID, TUNNEL_UID = 61001, 61002, 61003, 61004
PEERS_GID, PROMPT_UID, WALLS_UID, CONSOLE_UID = 61005, 61006, 61008, 61009
REPOSITORY: Final = Path(__file__).resolve().parents[1]
START_S: Final = 20.0
PROMPT_S: Final = 20.0


class Box:
    """One box. Provisioned by hand here; a box in the field has a script for it."""

    def __init__(
        self,
        root: Path,
        name: str,
        topology: Topology,
        issuing: Issuing,
        pcscd_socket: Path,
        *,
        by_hand: bool = True,
        chip: bool = False,
    ) -> None:
        """`by_hand`: else its root is a machine's that set-up is yet to make a box of.

        With `chip`, the statement key and a counter are in a security chip, swtpm's, and TLS keys
        are made in memory.
        """
        self.name = name
        self.paths = Paths(root)
        self._root = root
        self._topology = topology
        self._pcscd_socket = pcscd_socket
        self.sensor_socket = root / "run/sensor/image.sock"
        self.chip = self._powered() if chip else None
        self.tls = None if chip else issuing.box_tls(name)
        self.statement = self._in_chip(issuing) if chip else issuing.box_statement(name)
        self.card_environment: dict[str, str] = {}  # what a maker's library wants to find
        self.finger_environment = {"FP_VIRTUAL_IMAGE": str(self.sensor_socket)}
        self.watchdog_s: dict[str, float] = {}  # of units that are to have another than their own
        self.touches = itertools.count(1)  # no finger lies twice the same: the box would tell
        self.walled: Callable[[], None] = lambda: None
        self._launcher: Process | None = None
        self._places()
        if by_hand:
            self._provision(issuing)

    def _places(self) -> None:
        """Directories that a box has from its Debian."""
        for name in ("run", "log", "etc", "var/lib", "run/sensor"):
            (self._root / name).mkdir(mode=0o755, parents=True, exist_ok=True)
        os.chown(self._root / "run/sensor", FINGER_UID, FINGER_UID)

    def _provision(self, issuing: Issuing) -> None:
        config = self.paths.config
        for directory in (config, config / "anchors", config / "profiles", config / "identity"):
            directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        (config / "box.toml").write_text(
            f'v = 1\nbox = "{self.name}"\nprofile = "virtual"\nlanguage = "en"\n'
            f'[centre]\nhost = "{CENTRE4}"\nport = 443\naddresses = ["{CENTRE4}"]\n'
            f'[lan]\nuplinks = ["{UPLINK}"]\ndhcp = false\n'
        )
        anchors = {"cards": issuing.cards, "desk": issuing.desks, "centre": issuing.servers}
        for name, authority in anchors.items():
            (config / f"anchors/{name}.pem").write_bytes(pem_of(authority.certificate))
        self.set_identity(self.tls, self.statement)
        self.paths.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = RealFileSystem(self.paths.state)
        if self.chip is None:
            store.create(files)
        else:
            with contextlib.closing(Tpm(self.paths.tpm)) as tpm:
                counter = TpmCounter(tpm)
                counter.make()
                store.create(files, counter)
        files.close()
        for path in (self.paths.state, *self.paths.state.iterdir()):
            os.chown(path, CORE_UID, CORE_UID)

    def set_profile(self, name: str, drop_in: str = "") -> None:
        """A model of box, with a piece laid over it. Only the rig's own has the virtual sensor."""
        path = self.paths.config / "box.toml"
        path.write_text(path.read_text().replace('"virtual"', f'"{name}"'))
        if drop_in:
            (self.paths.config / "profile.d").mkdir(mode=0o755, exist_ok=True)
            (self.paths.config / "profile.d/50-rig.toml").write_text(drop_in)
        virtual = {"FP_VIRTUAL_IMAGE": str(self.sensor_socket)}
        self.finger_environment = virtual if name == "virtual" else {}

    def _powered(self) -> SoftTpm:
        self.paths.tpm.parent.mkdir()
        chip = SoftTpm(self._root / "chip", self.paths.tpm, CORE_UID)
        chip.start()
        return chip

    def _in_chip(self, issuing: Issuing) -> Pair:
        """A statement key made there: its file, and a certificate."""
        with contextlib.closing(Tpm(self.paths.tpm)) as tpm:
            key = tpmkey.create(tpm)
        identity = self.paths.config / "identity"
        identity.mkdir(mode=0o755, parents=True)
        (identity / "statement.tpm").write_bytes(tpmfile.encode(key))
        (identity / "statement.tpm").chmod(0o600)
        return issuing.box_statement_on(self.name, key.public_key)

    def set_identity(self, tls: Pair | None, statement: Pair) -> None:
        """The keys that the box keeps, readable by the core alone."""
        identity = self.paths.config / "identity"
        kept = {"tls": tls, "statement": statement}
        for name, pair in kept.items():
            if pair is None:
                continue
            (identity / f"{name}.pem").write_bytes(pair.pem)
            if pair.key_pem:  # a chip's is not here
                (identity / f"{name}.key").write_bytes(pair.key_pem)
                (identity / f"{name}.key").chmod(0o600)
        for path in (identity, *identity.iterdir()):
            os.chown(path, CORE_UID, CORE_UID)
        identity.chmod(0o700)

    def start(self) -> None:
        """Boot: walls, sockets, core. A kernel that has just started holds no rule.

        `walled` is called once they stand.
        """
        self._topology.box.nft("flush ruleset")
        spec = Spec(
            root=str(self._root),
            code=str(REPOSITORY),
            box_netns=str(self._topology.box.path),
            session_netns=str(self._topology.session.path),
            environment={
                "sdbox-card": {
                    "PCSCLITE_CSOCK_NAME": str(self._pcscd_socket),
                    **self.card_environment,
                },
                "sdbox-finger@": self.finger_environment,
            },
            watchdog_s=self.watchdog_s,
        )
        path = self._root / "launch.json"
        path.write_bytes(msgspec.json.encode(spec))
        self._launcher = Process(
            Unit(
                argv=[
                    str(REPOSITORY / ".venv/bin/python"), "-m", "hil.launch", str(path)
                ],
                environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                output=self._root / "log/launcher.log",
                directory=REPOSITORY,
            )
        )  # fmt: skip
        self.wait_ready()
        self.walled()

    def wait_ready(self) -> None:
        """Until the core has said READY."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._launcher is not None and self._launcher.wait(0):
                raise RuntimeError("launcher ended:\n" + self.log("launcher"))
            try:
                if self.units()["sdbox-agent"].ready:
                    return
            except (FileNotFoundError, ConnectionError):
                pass
            time.sleep(0.02)
        raise TimeoutError("the core is not ready:\n" + self.log("sdbox-agent"))

    def prompt(self, line: str, *options: str) -> int:
        """`sdbox-agent pin`, as its own user, with `line` typed; its exit status."""
        typed, typing = os.pipe()
        with os.fdopen(typed, "rb") as stdin, os.fdopen(typing, "wb") as hand:
            hand.write(line.encode() + b"\n")
            hand.flush()
            words = ("-I", "-m", "sdbox_agent", "--root", str(self._root), "pin", "--stdin")
            process = Process(
                Unit(
                    argv=[sys.executable, *words, *options],
                    uid=PROMPT_UID,
                    gid=PEERS_GID,
                    stdin=stdin.fileno(),
                    output=self._root / "log/prompt.log",
                )
            )
        try:
            if not process.wait(PROMPT_S):
                raise TimeoutError("the prompt does not end:\n" + self.log("prompt"))
            assert process.status is not None
            return process.status
        finally:
            process.end()

    def units(self) -> dict[str, Seen]:
        """Every unit: its pids, how often it was started, what it says."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as manager:
            manager.settimeout(5)
            manager.connect(str(self._root / "run/manager"))
            manager.send(b"units")
            return msgspec.json.decode(manager.recv(65536), type=dict[str, Seen])

    def pid(self, unit: str) -> int:
        """The newest process of a unit."""
        return self.units()[unit].pids[-1]

    @property
    def launcher_pid(self) -> int:
        """The launcher's own."""
        assert self._launcher is not None
        return self._launcher.pid

    def log(self, unit: str) -> str:
        """What a unit has printed."""
        path = self._root / f"log/{unit}.log"
        return path.read_text() if path.exists() else ""

    def kill_launcher(self) -> None:
        """As if the box's power went, as far as processes go."""
        if self._launcher is not None:
            self._launcher.end()
            self._launcher = None

    def stop(self) -> None:
        """Shut down as a box does, then make sure."""
        if self._launcher is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as manager:
                manager.settimeout(15)
                manager.connect(str(self._root / "run/manager"))
                manager.send(b"stop")
                manager.recv(64)
        except OSError:
            pass
        self._launcher.wait(2)
        self._launcher.end()
        self._launcher = None
