"""What a firmware profile and a box's own settings may say.

A profile describes a model of box: its reader, its sensor, what it can prove; kinds of card and
sensors have files of their own. box.toml says which box this is. All are closed: an unknown key is
an error, not a wish. Pure.
"""

from __future__ import annotations

from ipaddress import IPv6Network, ip_address
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta
from typing_extensions import override

from sdbox_agent.cardkind import Algorithm, CardKind, KeyName, KindName, VerifyForm
from sdbox_agent.profile import toml
from sdbox_agent.profile.hardware import (
    Board,
    Clock,
    Closed,
    Facts,
    Label,
    Panel,
    Tpm,
    Usb,
    UsbId,
)
from sdbox_agent.profile.toml import TomlRefused
from sdbox_agent.sensorkind import Driver, Minutiae, Pixels, PixelsPerMm, SensorKind
from sdbox_agent.terms import Level  # noqa: TC001  msgspec reads it at run time

if TYPE_CHECKING:
    from collections.abc import Iterator

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}\Z")]
BoxName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,100}\Z")]
Serial = Annotated[int, Meta(ge=0, le=2**31)]
Host = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z|^[0-9a-fA-F:]{2,45}\Z")
]
Address = Annotated[str, Meta(pattern=r"^[0-9.]{7,15}\Z|^[0-9a-fA-F:.]{2,45}\Z")]
HexName = Annotated[str, Meta(pattern=r"^([0-9A-F]{2}){5,16}\Z")]
Device = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}\Z")]
Prefix = Annotated[str, Meta(pattern=r"^[0-9a-f:]{2,39}/[0-9]{1,3}\Z")]
_GLOBAL, _LOCAL = IPv6Network("2000::/3"), IPv6Network("fc00::/7")
Port = Annotated[int, Meta(ge=1, le=65535)]


class Reader(Closed, frozen=True, kw_only=True):
    """The card reader, as PC/SC and USB name it."""

    names: Annotated[
        tuple[Label, ...], Meta(min_length=1, max_length=8)
    ]  # beginnings of PC/SC names
    usb: Annotated[tuple[UsbId, ...], Meta(max_length=8)] = ()
    interface: Literal["contact"] = "contact"  # 9A and 9D answer on the contact interface only
    pad: bool | None = None  # PIN pad; None: not known
    sources: Facts = ()


class Sensor(Closed, frozen=True, kw_only=True):
    """A model of finger sensor, as its file writes it; `kind` is for the finger process."""

    v: Literal[1]
    name: Name
    model: Label
    driver: Driver
    usb: Annotated[tuple[UsbId, ...], Meta(max_length=8)] = ()
    ppmm: PixelsPerMm | None = None  # not known: then no box can use it
    min_width_px: Pixels
    max_width_px: Pixels
    min_height_px: Pixels
    max_height_px: Pixels
    min_minutiae: Minutiae = 0
    enrols: bool = True
    quirks: Facts = ()
    sources: Facts = ()

    @property
    def kind(self) -> SensorKind:
        """Without what is for people and for udev. Raises ValueError if `ppmm` is not known."""
        if self.ppmm is None:
            raise ValueError("ppmm: not known")
        return SensorKind(**{name: getattr(self, name) for name in SensorKind.__struct_fields__})


class Cards(Closed, frozen=True, kw_only=True):
    """The cards this box takes: their kinds, each a file of `cards/`, the most demanding first."""

    kinds: Annotated[tuple[KindName, ...], Meta(min_length=1, max_length=8)]
    test_issuers: bool = False  # cards of an authority that issues for tests: the rig's alone


class Network(Closed, frozen=True, kw_only=True):
    """What carries the tunnel."""

    wireguard: Literal["kernel-or-userspace", "userspace"] = "kernel-or-userspace"


class Profile(Closed, frozen=True, kw_only=True):
    """One model of box."""

    v: Literal[1]
    name: Name
    model: Label
    levels: Annotated[tuple[Level, ...], Meta(min_length=1, max_length=3)]
    reader: Reader
    sensor: Name  # a file of `sensors/`
    card: Cards
    network: Network = Network()
    revision: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    board: Board = Board()
    clock: Clock = Clock()
    tpm: Tpm = Tpm()
    panel: Panel = Panel()
    usb: Usb = Usb()


class Centre(Closed, frozen=True, kw_only=True):
    """Where the centre answers. `addresses` are those the walls let through; with none, `host`."""

    host: Host
    port: Port = 443
    addresses: Annotated[tuple[Address, ...], Meta(max_length=8)] = ()

    @property
    def is_named(self) -> bool:
        """Is `host` a name? Then it stands, to be read by anybody, in each TLS greeting."""
        try:
            ip_address(self.host)
        except ValueError:
            return True
        return False

    @property
    def url(self) -> str:
        """The base URL; the certificate must name `host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"


class Lan(Closed, frozen=True, kw_only=True):
    """The host's network, as far as the walls let the box use it: addresses, never names.

    With no uplink nothing passes at all. `prefixes`: IPv6 on the cable, where neighbours are looked
    for; where none is named (a router advertises them), at any unicast address.
    """

    uplinks: Annotated[tuple[Device, ...], Meta(max_length=8)] = ()
    dhcp: bool = True
    router_advertisements: bool = False
    prefixes: Annotated[tuple[Prefix, ...], Meta(max_length=8)] = ()
    resolvers: Annotated[tuple[Address, ...], Meta(max_length=8)] = ()
    time_servers: Annotated[tuple[Address, ...], Meta(max_length=8)] = ()


class Proxy(Closed, frozen=True, kw_only=True):
    """The host's HTTP proxy: asked for a connection where no UDP gets through. Never a name."""

    address: Address
    port: Port

    @override
    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


class Disk(Closed, frozen=True, kw_only=True):
    """The partition of /var/lib/sdbox: what `doctor` says if it is not encrypted."""

    unencrypted: Literal["warn", "refuse"] = "warn"


class Box(Closed, frozen=True, kw_only=True):
    """box.toml: which box this is."""

    v: Literal[1]
    box: BoxName
    profile: Name
    language: Literal["fr", "en"] = "fr"
    centre: Centre
    lan: Lan = Lan()
    proxy: Proxy | None = None
    disk: Disk = Disk()
    serial: Serial = 0  # up by one with each change; never taken lower


class Kind(Closed, frozen=True, kw_only=True):
    """One kind of card, as its file writes it; `kind` is what the card worker is told."""

    v: Literal[1]
    name: KindName
    model: Label
    access: Literal["pcsc", "pkcs11"] = "pcsc"
    aid: HexName = "A000000308000010000100"
    atr: Annotated[str, Meta(pattern=r"^([0-9A-F]{2}){0,33}\Z")] = ""
    algorithms: Annotated[tuple[Algorithm, ...], Meta(min_length=1, max_length=4)]
    proof_key: KeyName = "9E"
    pin_policy: Literal["never", "once"]
    pad: bool = True
    comparison: Literal["host", "card"]
    verify: VerifyForm = "raw"
    module: Annotated[str, Meta(max_length=200, pattern=r"^(/[A-Za-z0-9._+-]+)*\Z")] = ""
    token_serial: Annotated[str, Meta(max_length=16, pattern=r"^[\x21-\x7e]*\Z")] = ""

    @property
    def kind(self) -> CardKind:
        """Without what is for people."""
        values = {name: getattr(self, name) for name in CardKind.__struct_fields__}
        return CardKind(
            **{**values, "aid": bytes.fromhex(self.aid), "atr": bytes.fromhex(self.atr)}
        )


def parse_kind(data: bytes) -> Kind:
    """Read a kind of card. Raises TomlRefused (line and reason)."""
    kind = toml.parse(data, Kind)
    wants_library = kind.access == "pkcs11"
    if wants_library and not kind.module:
        raise TomlRefused(toml.line_of(data.decode(), ("module",)), "module: missing")
    for name in ("module", "token_serial"):
        if getattr(kind, name) and not wants_library:
            line = toml.line_of(data.decode(), (name,))
            raise TomlRefused(line, f"{name}: only with access pkcs11")
    if wants_library and kind.comparison == "card":
        line = toml.line_of(data.decode(), ("comparison",))
        raise TomlRefused(line, "comparison: no library reaches 96 and 97")
    return kind


def parse_sensor(data: bytes) -> Sensor:
    """Read a sensor. Raises TomlRefused (line and reason)."""
    sensor = toml.parse(data, Sensor)
    for low, high in (("min_width_px", "max_width_px"), ("min_height_px", "max_height_px")):
        if getattr(sensor, low) > getattr(sensor, high):
            raise TomlRefused(toml.line_of(data.decode(), (low,)), f"{low}: more than {high}")
    return sensor


def parse_profile(data: bytes) -> Profile:
    """Read a firmware profile. Raises TomlRefused (line and reason)."""
    profile = toml.parse(data, Profile)
    for keys, reason in contradictions(profile):
        raise TomlRefused(toml.line_of(data.decode(), keys), f"{'.'.join(keys)}: {reason}")
    return profile


def contradictions(profile: Profile) -> Iterator[tuple[tuple[str, ...], str]]:
    """What no single key shows: where, and why."""
    allowed = profile.usb.allow
    twice = "one stands there twice; strike one"
    if len(set(profile.levels)) != len(profile.levels):
        yield ("levels",), twice
    if len(set(profile.card.kinds)) != len(profile.card.kinds):
        yield ("card", "kinds"), twice
    if set(allowed) & set(profile.reader.usb):
        yield ("usb", "allow"), "the reader stands there; strike it, it is let in as the reader"


def _unicast_prefix(text: str) -> None:
    """Raises ValueError for a network that hosts are given no addresses of (RFC 4291, 2.4)."""
    network = IPv6Network(text)
    if not network.subnet_of(_GLOBAL) and not network.subnet_of(_LOCAL):
        raise ValueError("not unicast")


def _other_host(text: str) -> None:
    """An address that a box can call, in its canonical form. Raises ValueError."""
    address = ip_address(text)
    nobody = address.is_unspecified or address.is_loopback
    if str(address) != text or nobody or address.is_multicast or address.is_link_local:
        raise ValueError


def parse_box(data: bytes) -> Box:
    """Read box.toml. Raises TomlRefused (line and reason)."""
    box = toml.parse(data, Box)
    check_addresses(data.decode(), box.centre, box.lan, box.proxy)
    return box


def check_addresses(text: str, centre: Centre, lan: Lan, proxy: Proxy | None) -> None:
    """What no pattern shows of those tables of `text`. Raises TomlRefused (line and reason)."""
    proxies = () if proxy is None else (proxy.address,)
    for path, values, kind in (
        (("proxy", "address"), proxies, _other_host),
        (("centre", "addresses"), centre.addresses, ip_address),
        (("lan", "resolvers"), lan.resolvers, ip_address),
        (("lan", "time_servers"), lan.time_servers, ip_address),
        (("lan", "prefixes"), lan.prefixes, _unicast_prefix),
    ):
        for value in values:
            try:
                kind(value)
            except ValueError:
                line = toml.line_of(text, path)
                raise TomlRefused(line, f"{'.'.join(path)}: no such address") from None
