"""A real centre in the rig: API, gateway and the end of carriers, each process its own user."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import ssl
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil.device import Device
from hil.net import linux
from hil.net.process import Process, Unit
from hil.net.topology import CARRIER4, CENTRE4
from hil.staff import STAFF_AT, Members, Staff, Unheard
from sdbox_agent.pki import certificate
from sdbox_agent.terms import Level
from sdbox_agent.tunnel.link import UapiSocket
from sdbox_centre import engines
from sdbox_centre.authority import key_pem, pem_of
from sdbox_centre.codes import KEY_BYTES, Codes
from sdbox_centre.gateway_wire import GatewayClient
from sdbox_centre.staff.acts import Acts
from sdbox_centre.staff.office import Office
from sdbox_centre.store import Store
from sdbox_centre.wireguard import REPLY_MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hil.issuing import Holder, Issuing, Pair
    from hil.net.topology import Topology

API_UID, GATEWAY_UID, CARRIER_UID = 61011, 61012, 61013
PORT: Final = 443
SQLITE: Final = "db/centre.sqlite"
FIRST_WIREGUARD_PORT: Final = 51820
START_S: Final = 20.0
NO_FINGER_S: Final = 180 * 86400  # an enrolment without a finger

_CARRIER_AT: Final = f"""
            [carrier]
            endpoint = "{CARRIER4}:{PORT}"
            certificate = "carrier.pem"
            uid = {CARRIER_UID}
            """


_EST_AT: Final = """
            [est]
            certificate = "boxes.pem"
            key = "boxes.key"
            """


@dataclass(frozen=True)
class Project:
    """A project and its VM."""

    name: str
    label: str
    pool: str
    levels: tuple[Level, ...] = (Level.HOST_MATCH,)


ALL_LEVELS: Final = (Level.HOST_MATCH, Level.CARD_MATCH, Level.CARD_PIN)
PROJECTS: Final = (
    Project("p-alpha", "Alpha study", "10.77.0.0/20", ALL_LEVELS),
    Project("p-beta", "Beta study", "10.77.16.0/24"),
)


def utc_s() -> int:
    """The centre's clock is the machine's."""
    return int(time.time())


class Centre:
    """Files, store, processes."""

    def __init__(
        self,
        root: Path,
        topology: Topology,
        issuing: Issuing,
        lease_s: int = 60,
        *,
        carries: bool = False,
        enrols: bool = False,
        database: str = SQLITE,
    ) -> None:
        """`carries`: WireGuard over TLS, too. `enrols`: it gives boxes certificates.

        `database`: a file in `root`, or PostgreSQL's URL.
        """
        self._enrols = enrols
        self.root, self._database, self._carries = root, database, carries
        self._topology, self._issuing, self._lease_s = topology, issuing, lease_s
        self._otp_key = secrets.token_bytes(KEY_BYTES)
        self.api: Process
        self.gateway: Process
        self.carrier: Process | None = None
        for directory in ("", "db", "staff", "gateway", "gateway/projects", "gateway/run"):
            (root / directory).mkdir(mode=0o755, exist_ok=True)
        self.members = Members(root / "staff", issuing)
        self._settings()
        self.publish_crl()
        self.publish_desk_crl()
        with contextlib.closing(self._store()) as store:
            store.create()
        with self.acting(running=False) as staff:
            for project in PROJECTS:
                staff.add_project(project.name, project.label, list(project.levels))

    def _settings(self) -> None:
        server = self._issuing.server(CENTRE4, "centre.test")
        self._write("server.pem", server.pem)
        self._write("server.key", server.key_pem, API_UID, 0o600)
        self._write("boxes.pem", pem_of(self._issuing.boxes.certificate))
        self._write("cards.pem", pem_of(self._issuing.cards.certificate))
        self._write("desks.pem", pem_of(self._issuing.desks.certificate))
        self._write("otp.key", self._otp_key, API_UID, 0o600)
        self._write(
            "api.toml",
            f"""
            address = "{CENTRE4}"
            port = {PORT}
            certificate = "server.pem"
            key = "server.key"
            box_anchors = "boxes.pem"
            card_anchors = "cards.pem"
            crls = ["cards.crl"]
            desk_anchors = "desks.pem"
            desk_crls = ["desks.crl"]
            test_issuers = true
            database = "{self._database}"
            remembered = "db/remembered"
            gateway_socket = "gateway/gateway.sock"
            gateway_uid = {GATEWAY_UID}
            otp_key = "otp.key"
            """
            + (_EST_AT if self._enrols else "")
            + STAFF_AT,
        )
        if self._enrols:
            self._write("boxes.key", key_pem(self._issuing.boxes.key), API_UID, 0o600)
        self._write(
            "gateway.toml",
            f"""
            socket = "gateway/gateway.sock"
            api_uid = {API_UID}
            api_gid = {API_UID}
            card_anchors = "cards.pem"
            crls = ["cards.crl"]
            test_issuers = true
            acts = "gateway/acts"
            projects = "gateway/projects"
            runtime = "gateway/run"
            lease_s = {self._lease_s}
            """
            + (_CARRIER_AT if self._carries else "")
            + STAFF_AT,
        )
        self._carrier_settings()

    def _carrier_settings(self) -> None:
        shown = self._issuing.server(CARRIER4)
        self._write("carrier.pem", shown.pem)
        self._write("carrier.key", shown.key_pem, CARRIER_UID, 0o600)
        self._write(
            "carrier.toml",
            f"""
            address = "{CARRIER4}"
            port = {PORT}
            certificate = "carrier.pem"
            key = "carrier.key"
            gateway_socket = "gateway/gateway.sock"
            gateway_uid = {GATEWAY_UID}
            """,
        )

    def _write(self, name: str, content: bytes | str, uid: int = 0, mode: int = 0o644) -> None:
        data = content if isinstance(content, bytes) else content.replace("    ", "").encode()
        path = self.root / name
        new = path.with_name(path.name + ".new")
        new.write_bytes(data)
        new.chmod(mode)
        os.chown(new, uid, uid)
        new.replace(path)

    # -- acts of staff -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def acting(self, *, running: bool = True) -> Iterator[Staff]:
        """Two members of staff with their cards; before the start, no gateway hears them."""
        gateway = GatewayClient(self.root / "gateway/gateway.sock", GATEWAY_UID)
        with contextlib.closing(self._store()) as store, gateway:
            office = Office(
                store,
                Acts(self.members.source(), utc_s),
                gateway if running else Unheard(),
                utc_s,
                secrets.token_bytes,
                Codes(self._otp_key),
            )
            yield Staff(office, self.members.signers)

    def _store(self) -> Store:
        return Store(engines.parse(self._database, self.root))

    def add_box(self, name: str, tls: Pair | None, statement: Pair) -> None:
        """A box the centre knows: by its TLS key, or by the one that vouches for such."""
        with self.acting(running=False) as staff:
            staff.add_box(name, None if tls is None else tls.der, statement.der)

    def add_holder(self, holder: Holder, projects: tuple[str, ...]) -> None:
        """A person with a card, an enrolment and grants."""
        with self.acting(running=False) as staff:
            staff.add_holder(holder.name)
            card = staff.add_card(holder.name, holder.certificates)
            self._enrol(staff, holder, card)
            for project in projects:
                staff.grant(holder.name, project)

    @staticmethod
    def _enrol(staff: Staff, holder: Holder, card: bytes) -> None:
        name, begin_s = f"enrolment-{holder.name}", utc_s() - 60
        match holder.level, holder.sealed:
            case Level.CARD_PIN, _:
                staff.enrol_without_finger(name, card, utc_s() + NO_FINGER_S)
                holder.given(Device.from_uri(staff.give_device(name)))
            case _, None:
                end = certificate.load(holder.certificates.auth).not_valid_after_utc
                staff.add_enrolment(name, card, None, begin_s, int(end.timestamp()))
            case _, sealed:
                until_s = sealed.not_after_s
                begin_s = min(begin_s, until_s - 1)  # of a card that has ended, too
                staff.add_enrolment(name, card, sealed.sealed_der, begin_s, until_s)

    def add_project(self, name: str, label: str, levels: Sequence[Level]) -> None:
        """One more that staff know and no gateway serves: to be shown, never entered."""
        with self.acting(running=False) as staff:
            staff.add_project(name, label, list(levels))

    def publish_crl(self) -> None:
        """The card authority's newest list, for API, gateway and boxes."""
        self._write("cards.crl", self._issuing.crl())

    def publish_desk_crl(self) -> None:
        """The enrolment authority's newest list, for boxes."""
        self._write("desks.crl", self._issuing.desk_crl())

    # -- the processes -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start all, and wait until the API listens."""
        for path in (self.root / "db", *(self.root / "db").iterdir()):
            os.chown(path, API_UID, API_UID)
        for path in (self.root / "gateway", self.root / "gateway/run"):
            os.chown(path, GATEWAY_UID, API_UID)
        for number, project in enumerate(PROJECTS):
            self._project_file(number, project)
        self.start_gateway()
        if self._carries:
            self.start_carrier()
        self.api = self._start_listening("api", API_UID, CENTRE4)
        self._wait()

    def _project_file(self, number: int, project: Project) -> None:
        self._write(
            f"gateway/projects/{project.name}.toml",
            f"""
            endpoint = "{CENTRE4}:{FIRST_WIREGUARD_PORT + number}"
            pools = ["{project.pool}"]
            interface = "wg-vm{number + 1}"
            namespace = "{self._topology.vm[number].path}"
            """,
        )

    def _start_gateway(self) -> Process:
        """With a netlink socket opened inside each VM's namespace, as under a service manager."""
        inside = [
            vm.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            for vm in self._topology.vm
        ]
        names = ":".join(f"vm.{project.name}" for project in PROJECTS)
        try:
            return self._start(
                "gateway",
                GATEWAY_UID,
                gid=API_UID,  # its socket is for the API's group
                capabilities=(linux.CAP_NET_ADMIN,),
                listen=[each.fileno() for each in inside],
                environment={"LISTEN_FDNAMES": names},
                binds={Path("/run/wireguard"): self.root / "gateway/run"},
                tun=True,
            )
        finally:
            for each in inside:
                each.close()

    def _start(self, command: str, uid: int, **how: object) -> Process:
        environment = {"PATH": "/usr/sbin:/usr/bin", **how.pop("environment", {})}  # type: ignore[dict-item]
        return Process(
            Unit(
                argv=[
                    sys.executable,
                    *("-I", "-m", "sdbox_centre", command),
                    *("--config", str(self.root / f"{command}.toml")),
                ],
                network=self._topology.centre,
                uid=uid,
                environment=environment,
                output=self.root / f"{command}.log",
                **how,  # type: ignore[arg-type]
            )
        )

    def start_carrier(self) -> None:
        """The gateway's end of carriers: of the group that may speak to the gateway."""
        self.carrier = self._start_listening("carrier", CARRIER_UID, CARRIER4, gid=API_UID)

    def _start_listening(self, name: str, uid: int, address: str, **how: object) -> Process:
        """On port 443, which the service manager opens for it."""
        listener = self._topology.centre.socket(socket.AF_INET, socket.SOCK_STREAM)
        with listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, PORT))
            listener.listen(64)
            environment = {"LISTEN_FDNAMES": name}
            return self._start(
                name, uid, listen=[listener.fileno()], environment=environment, **how
            )

    def _wait(self) -> None:
        """Until the API shakes hands."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            for name, process in (("api", self.api), ("gateway", self.gateway)):
                if process.wait(0):
                    log = (self.root / f"{name}.log").read_text()
                    raise RuntimeError(f"{name} ended:\n{log[-2000:]}")
            probe = self._topology.centre.socket(socket.AF_INET, socket.SOCK_STREAM)
            probe.settimeout(1)
            with probe, contextlib.suppress(OSError):
                probe.connect((CENTRE4, PORT))
                context.wrap_socket(probe).close()
                return
        raise TimeoutError("the centre's API does not listen")

    def revoke_card(self, holder: Holder) -> None:
        """By staff: no certificate list says so."""
        with self.acting() as staff:
            staff.revoke_card(holder.certificates.hashes().auth)

    def unlock_card(self, holder: Holder) -> None:
        """By two of staff: its attempts are whole again."""
        with self.acting() as staff:
            staff.unlock_card(holder.certificates.hashes().auth)

    def control(self, project: Project) -> UapiSocket:
        """That project's WireGuard, as wireguard-go itself has it. The caller closes it."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(str(self.root / f"gateway/run/wg-vm{PROJECTS.index(project) + 1}.sock"))
        return UapiSocket(sock, reply_max_bytes=REPLY_MAX_BYTES)

    def end_api(self) -> None:
        """The API is gone, and nobody listens in its place; the gateway goes on."""
        self.api.end()

    def start_api(self) -> None:
        """The API again, over the same store."""
        self.api = self._start_listening("api", API_UID, CENTRE4)
        self._wait()

    def start_gateway(self) -> None:
        """The gateway, until it listens; after an end, with no peer, whatever it had before."""
        self.gateway = self._start_gateway()
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            probe = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with probe, contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                probe.connect(str(self.root / "gateway/gateway.sock"))
                return
            time.sleep(0.02)
        raise TimeoutError("the gateway does not listen")

    def stop(self) -> None:
        """End all."""
        for process in (self.api, self.gateway, self.carrier):
            if process is not None:
                process.end()
