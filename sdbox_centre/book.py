"""What the gateway knows by itself, and both processes' settings: acts of staff, and files [door].

Which boxes there are, and who may enter which project how, staff's acts say, of which the gateway
keeps a copy. A project's interface and addresses stand in `projects/NAME.toml`, as the operator
wrote it, and are read at each question. The database has no say here.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.tunnel.config import parse_endpoint
from sdbox_centre.cardrules import CardRules, certificates_of
from sdbox_centre.gateway import CarrierEnd, Project
from sdbox_centre.staff import payload
from sdbox_centre.staff.roster import RosterSource
from sdbox_centre.tomlfile import beside, load
from sdbox_centre.unchanged import Unchanged
from sdbox_centre.window import Planned

if TYPE_CHECKING:
    from pathlib import Path

    from sdbox_centre.gateway import Way
    from sdbox_centre.staff.kept import KeptActs, Newest

_NAME: Final = re.compile(r"[A-Za-z0-9._:-]{1,100}")  # no slash: it can't leave the directory

Uid = Annotated[int, Meta(ge=0, le=2**31)]


class _Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file with an unknown key is not read at all."""


class ProjectFile(_Settings, frozen=True, kw_only=True):
    """projects/NAME.toml."""

    endpoint: str  # where boxes send WireGuard's packets: "192.0.2.1:51820"
    pools: Annotated[tuple[str, ...], Meta(min_length=1, max_length=2)]  # host 1 is the VM's own
    interface: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,14}\Z")]  # IFNAMSIZ - 1
    namespace: str | None = None  # where the interface goes: the VM's, if it has one of its own


class StaffAt(_Settings, frozen=True, kw_only=True):
    """In api.toml and gateway.toml: by what this process judges acts of staff (staff.roster)."""

    roster: str
    anchors: str  # authorities of staff's cards
    crls: Annotated[tuple[str, ...], Meta(min_length=1, max_length=4)]


class EstAt(_Settings, frozen=True, kw_only=True):
    """In api.toml: the boxes' authority, which certificates are issued by over EST."""

    certificate: str  # one of box_anchors
    key: str
    # of the authority of `certificate` above: the next one, and its key certified by the old one
    successors: str | None = None


class ApiSettings(_Settings, frozen=True, kw_only=True):
    """api.toml. Paths are taken from the file's own directory."""

    address: str
    port: Annotated[int, Meta(ge=0, le=65535)]
    certificate: str
    key: str
    box_anchors: str  # authorities of the boxes' TLS certificates
    card_anchors: str
    crls: Annotated[tuple[str, ...], Meta(min_length=1, max_length=4)]
    desk_anchors: str | None = None  # enrolment authorities, whose lists the boxes ask for
    desk_crls: Annotated[tuple[str, ...], Meta(max_length=4)] = ()
    test_issuers: bool = False  # cards of an authority that issues for tests: the rig's alone
    database: str  # SQLite's file, or postgresql+psycopg://centre@/NAME?host=/run/postgresql
    remembered: str | None = None  # a file beside no back-up: see docs/centre-backup.md
    gateway_socket: str
    gateway_uid: Uid
    staff: StaffAt
    est: EstAt | None = None
    otp_key: str | None = None  # the key of one-time codes' secrets; without it, no card-pin
    comparisons: Annotated[int, Meta(ge=1, le=10)] = 3
    policy_version: Annotated[int, Meta(ge=1, le=2**31)] = 1


class CarrierAt(_Settings, frozen=True, kw_only=True):
    """In gateway.toml: where boxes reach the carrier's end, and who it is."""

    endpoint: str  # "192.0.2.3:443"
    certificate: str  # what it shows there: boxes know it by its hash
    uid: Uid


class GatewaySettings(_Settings, frozen=True, kw_only=True):
    """gateway.toml. Paths are taken from the file's own directory."""

    socket: str  # made at a start, and kept at a reload, as `runtime` is
    api_uid: Uid
    api_gid: Annotated[int, Meta(ge=-1, le=2**31)] = -1  # may open the socket; -1: its owner alone
    staff_uid: Uid = 0  # may hand over acts, and remove
    card_anchors: str
    crls: Annotated[tuple[str, ...], Meta(min_length=1, max_length=4)]
    test_issuers: bool = False
    staff: StaffAt
    acts: str  # the file of staff's acts that this process keeps
    projects: str
    carrier: CarrierAt | None = None
    runtime: str  # directory of the interfaces' control sockets
    lease_s: Annotated[int, Meta(ge=2, le=3600)] = 60


class CarrierSettings(_Settings, frozen=True, kw_only=True):
    """carrier.toml. Paths are taken from the file's own directory."""

    address: str
    port: Annotated[int, Meta(ge=0, le=65535)]
    certificate: str
    key: str
    gateway_socket: str
    gateway_uid: Uid
    connections: Annotated[int, Meta(ge=1, le=400)] = 200
    rate_bytes_s: Annotated[int, Meta(ge=100_000, le=10**9)] = 25_000_000  # of each, from its box


class Book:
    """See gateway.Book."""

    def __init__(
        self, acts: KeptActs, projects: Path, carrier: tuple[str, Path] | None = None
    ) -> None:
        """`carrier`: its end's address and the file of its certificate."""
        self._acts = acts
        self._projects = projects
        self._carrier = carrier
        self._project_files = Unchanged(partial(load, kind=ProjectFile))

    def keep(self, statement: bytes) -> str:
        """Raises Refused, Fault: as `KeptActs.keep`."""
        return self._acts.keep(statement)

    def box(self, name: str) -> bytes:
        """Raises Refused: box-refused, box-suspended."""
        act, now_s = self._acts.newest()(f"box/{name}"), self._acts.utc_s()
        if not isinstance(act, payload.Box) or act.state in {"ordered", "retired"}:
            raise Refused("box-refused")
        if act.state == "suspended":
            raise Refused("box-suspended")
        if act.placed_s is None or not _within(act.rental_from_s, now_s, act.rental_until_s):
            raise Refused("box-refused")
        return act.statement_certificate

    def project(self, name: str) -> Project:
        """Raises Refused: project-not-granted; Fault: config-invalid."""
        settings = self.settings(name)
        newest, now_s = self._acts.newest(), self._acts.utc_s()
        act = newest(f"project/{name}")
        if not isinstance(act, payload.Project) or not _is_open(act, now_s):
            raise Refused("project-not-granted")
        try:
            return Project(
                name=name,
                levels=frozenset(level.value for level in act.levels),
                way=partial(_way, newest, now_s, name),
                endpoint=settings.endpoint,
                pools=pools(settings),
            )
        except ValueError:
            raise Fault("config-invalid") from None

    def carrier(self) -> CarrierEnd | None:
        """Raises Fault: config-invalid."""
        if self._carrier is None:
            return None
        endpoint, file = self._carrier
        try:
            (certificate,) = certificates_of(file)
            parse_endpoint(endpoint)
        except (OSError, ValueError) as error:  # DecodeError is a ValueError
            raise Fault("config-invalid") from error
        return CarrierEnd(endpoint, hashlib.sha256(certificate).digest())

    def settings(self, name: str) -> ProjectFile:
        """The project's file. Raises as `project`."""
        if not _NAME.fullmatch(name):
            raise Refused("project-not-granted")
        try:
            return self._project_files.of(self._projects / f"{name}.toml")
        except OSError:
            raise Refused("project-not-granted") from None

    def projects(self) -> tuple[str, ...]:
        """The names there are."""
        return tuple(sorted(path.stem for path in self._projects.glob("*.toml")))

    def window(self) -> Planned | None:
        """The newest one; it may be over. Raises Fault: config-invalid, crl-*."""
        act = self._acts.newest()("window")
        return Planned(act.from_s, act.until_s) if isinstance(act, payload.Window) else None

    def stamp(self) -> object:
        """Another one as soon as an act is added, the roster changed, or a project's file.

        Raises Fault: config-invalid, crl-*.
        """
        return self._acts.stamp(), {name: self._settings_now(name) for name in self.projects()}

    def _settings_now(self, name: str) -> ProjectFile | str:
        try:
            return self.settings(name)
        except (Refused, Fault) as error:  # gone since it was listed, or not in order
            return error.code


def _way(newest: Newest, now_s: int, project: str, card: bytes) -> Way | None:
    """From the card to its holder, the holder's grant, and how the holder was enrolled."""
    owned = newest(f"card/{card.hex()}")
    if not isinstance(owned, payload.Card) or owned.revoked:
        return None
    grant = newest(f"grant/{owned.holder}/{project}")
    if not isinstance(grant, payload.Grant) or not _is_granted(grant, now_s):
        return None
    enrolment = newest(f"enrolment/{owned.holder}")
    if not isinstance(enrolment, payload.Enrolment) or enrolment.card != card:
        return None
    if not enrolment.not_before_s <= now_s < enrolment.not_after_s:
        return None
    return "finger" if enrolment.finger else "no-finger"


def _is_open(project: payload.Project, now_s: int) -> bool:
    in_contract = _within(project.contract_from_s, now_s, project.contract_until_s)
    lawful = project.legal_until_s is None or now_s < project.legal_until_s
    return project.state == "open" and in_contract and lawful


def _is_granted(grant: payload.Grant, now_s: int) -> bool:
    over = grant.not_after_s is not None and now_s >= grant.not_after_s
    return not grant.withdrawn and grant.undertaking_s is not None and not over


def _within(from_s: int | None, now_s: int, until_s: int | None) -> bool:
    """A date that is not there never means yes."""
    return from_s is not None and until_s is not None and from_s <= now_s < until_s


def pools(settings: ProjectFile) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """The project's address pools, each with room for the VM and a box. Raises ValueError."""
    networks = tuple(ipaddress.ip_network(pool) for pool in settings.pools)
    if any(network.num_addresses < 4 for network in networks):
        raise ValueError("pool too small")
    return networks


def card_rules(settings_file: Path, settings: ApiSettings | GatewaySettings) -> CardRules:
    """A process's own anchors and lists."""
    lists = [beside(settings_file, crl) for crl in settings.crls]
    anchors = beside(settings_file, settings.card_anchors)
    return CardRules(anchors, lists, test_issuers=settings.test_issuers)


def roster_of(settings_file: Path, settings: ApiSettings | GatewaySettings) -> RosterSource:
    """A process's own roster of staff. Raises OSError, ValueError for bad anchors."""
    staff = settings.staff
    return RosterSource(
        beside(settings_file, staff.roster),
        beside(settings_file, staff.anchors),
        [beside(settings_file, crl) for crl in staff.crls],
        test_issuers=settings.test_issuers,
    )
