"""The gateway's own list of boxes and projects, and both processes' settings: files [door].

Box NAME: `boxes/NAME.pem`, its statement certificate. Project NAME: `projects/NAME.toml`. They are
read at each question, so what an operator takes away is gone at once. The database has no say here.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.terms import Level  # noqa: TC001  msgspec reads annotations at run time
from sdbox_agent.tunnel.config import parse_endpoint
from sdbox_centre.cardrules import certificates_of
from sdbox_centre.gateway import CarrierEnd, Project
from sdbox_centre.tomlfile import load

if TYPE_CHECKING:
    from pathlib import Path

_NAME: Final = re.compile(r"[A-Za-z0-9._:-]{1,100}")  # no slash: it can't leave the directory

HexDigest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Uid = Annotated[int, Meta(ge=0, le=2**31)]


class _Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file with an unknown key is not read at all."""


class ProjectFile(_Settings, frozen=True, kw_only=True):
    """projects/NAME.toml."""

    levels: Annotated[tuple[Level, ...], Meta(min_length=1)]
    endpoint: str  # where boxes send WireGuard's packets: "192.0.2.1:51820"
    pools: Annotated[tuple[str, ...], Meta(min_length=1, max_length=2)]  # host 1 is the VM's own
    interface: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,14}\Z")]  # IFNAMSIZ - 1
    namespace: str | None = None  # where the interface goes: the VM's, if it has one of its own
    cards: tuple[HexDigest, ...] = ()  # SHA-256 of the 9A certificates that may enter by a finger
    pin_cards: tuple[HexDigest, ...] = ()  # and by PIN and one-time code; never in both


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
    database: str
    gateway_socket: str
    gateway_uid: Uid
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

    socket: str
    api_uid: Uid
    api_gid: Annotated[int, Meta(ge=-1, le=2**31)] = -1  # may open the socket; -1: its owner alone
    staff_uid: Uid = 0  # may only remove
    card_anchors: str
    crls: Annotated[tuple[str, ...], Meta(min_length=1, max_length=4)]
    test_issuers: bool = False
    boxes: str
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
        self, boxes: Path, projects: Path, carrier: tuple[str, Path] | None = None
    ) -> None:
        """`carrier`: its end's address and the file of its certificate."""
        self._boxes = boxes
        self._projects = projects
        self._carrier = carrier

    def box(self, name: str) -> bytes:
        """Raises Refused: box-refused."""
        if not _NAME.fullmatch(name):
            raise Refused("box-refused")
        try:
            (certificate,) = certificates_of(self._boxes / f"{name}.pem")
        except (OSError, ValueError):
            raise Refused("box-refused") from None
        return certificate

    def project(self, name: str) -> Project:
        """Raises Refused: project-not-granted; Fault: config-invalid."""
        settings = self.settings(name)
        if set(settings.cards) & set(settings.pin_cards):
            raise Fault("config-invalid") from ValueError("a card in both lists")
        try:
            return Project(
                name=name,
                levels=frozenset(level.value for level in settings.levels),
                cards=_digests(settings.cards),
                pin_cards=_digests(settings.pin_cards),
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
        path = self._projects / f"{name}.toml"
        if not _NAME.fullmatch(name) or not path.is_file():
            raise Refused("project-not-granted")
        return load(path, ProjectFile)

    def projects(self) -> tuple[str, ...]:
        """The names there are."""
        return tuple(sorted(path.stem for path in self._projects.glob("*.toml")))


def _digests(cards: tuple[str, ...]) -> frozenset[bytes]:
    return frozenset(bytes.fromhex(card) for card in cards)


def pools(settings: ProjectFile) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """The project's address pools, each with room for the VM and a box. Raises ValueError."""
    networks = tuple(ipaddress.ip_network(pool) for pool in settings.pools)
    if any(network.num_addresses < 4 for network in networks):
        raise ValueError("pool too small")
    return networks
