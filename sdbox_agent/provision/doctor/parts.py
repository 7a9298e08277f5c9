"""The parts of a box: users, units, sockets, devices, WireGuard, clock, walls. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import DecodeError
from sdbox_agent.provision.doctor.files import GROUPS, USERS
from sdbox_agent.provision.doctor.finding import failed, ok, skipped, warn, whole
from sdbox_agent.provision.networksheet import sheet

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sdbox_agent.profile.schema import Box, Profile, Sensor
    from sdbox_agent.provision.doctor.finding import Finding
    from sdbox_agent.provision.networksheet import Loaded
    from sdbox_agent.tunnel.killswitch import Walls
    from sdbox_agent.tunnel.standing import Standing

UNITS: Final = (
    "sdbox-agent.service",
    "sdbox-card.service",
    "sdbox-card.socket",
    "sdbox-carrier.socket",
    "sdbox-carrier@.service",
    "sdbox-console.service",
    "sdbox-finger.socket",
    "sdbox-finger@.service",
    "sdbox-netns.service",
    "sdbox-renew.service",
    "sdbox-renew.timer",
    "sdbox-tunnel.service",
    "sdbox-tunnel.socket",
    "sdbox-walls.service",
)
STARTED_AT_BOOT: Final = (
    "sdbox-agent.service",
    "sdbox-card.socket",
    "sdbox-carrier.socket",
    "sdbox-console.service",
    "sdbox-finger.socket",
    "sdbox-renew.timer",
    "sdbox-tunnel.socket",
    "sdbox-walls.service",
)
NEEDED: Final = ("pcscd.service", "pcscd.socket")  # Debian's
# Drivers of virtual hardware (Debian's vsmartcard-vpcd): theirs is the rig.
VIRTUAL: Final = ("etc/reader.conf.d/vpcd", "usr/lib/pcsc/drivers/serial/libifdvpcd.so")
SENSOR_MODE: Final = 0o600  # udev/70-sdbox.rules
EARLIEST_UTC_S: Final = 1_767_225_600  # 2026-01-01: no box is older than its software
CLOCK_BEHIND_S: Final = 300


@dataclass(frozen=True, slots=True)
class Node:
    """A device node, by lstat(2)."""

    path: str
    mode: int  # permissions alone
    owner: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The running core's. `link`: why there is none to the centre; None where nothing is wrong."""

    state: str
    link: str | None


def users(passwd: str, group: str) -> tuple[Finding, ...]:
    """passwd(5), group(5): each of ours, by its number, which the units know."""
    wanted = ((USERS, _numbers(passwd)), (GROUPS, _numbers(group)))
    return whole(
        "users",
        (
            failed("users", code="user-missing", detail=f"{name} {number}")
            for names, found in wanted
            for name, number in names.items()
            if found.get(name) != str(number)
        ),
    )


def units(installed: Collection[str], masked: Collection[str], wanted: Collection[str]) -> tuple[
    Finding, ...
]:  # fmt: skip
    """Each unit is there and not masked, and what is to start at boot is wanted by somebody."""
    gone = [name for name in (*UNITS, *NEEDED) if name not in installed]
    found = [failed("units", code="unit-missing", detail=name) for name in gone]
    found += [
        failed("units", code="unit-missing", detail=f"{name}: masked")
        for name in (*UNITS, *NEEDED)
        if name in masked
    ]
    found += [
        warn("units", code="unit-not-enabled", detail=name)
        for name in STARTED_AT_BOOT
        if name not in wanted and name not in gone and name not in masked
    ]
    return whole("units", found)


def sockets(missing: Iterable[str]) -> tuple[Finding, ...]:
    """Where our processes meet, while the box runs."""
    return whole(
        "sockets", (failed("sockets", code="socket-missing", detail=path) for path in missing)
    )


def agent(answer: Answer) -> Finding:
    """It answers, it can open sessions, and reaches the centre."""
    if answer.state == "broken":
        return failed("agent", code="tunnel-not-down", detail=answer.state)
    if answer.link is not None:
        return warn("agent", code="centre-unreachable", detail=answer.link)
    return ok("agent", answer.state)


def tpm(profile: Profile, version: str) -> Finding:
    """`version`: the major one, as the kernel has it; empty if it sees no TPM."""
    if profile.tpm.version is None:
        return skipped("tpm", "not-in-profile")
    if profile.tpm.version == "2.0" and version != "2":
        return warn("tpm", code="tpm-missing", detail=version)
    return ok("tpm", version)


def rig_mark(mark: str, *, field: bool) -> Finding:
    """The mark is there: under a profile for the field, a box would take a virtual reader.

    The rig's own takes test cards alone, and no centre but the rig's has such.
    """
    return (failed if field else warn)("rig-mark", code="rig-marked", detail=mark)


def wireguard(*, kernel: bool, userspace: bool, tun: bool, profile: Profile) -> Finding:
    """In the kernel, or wireguard-go with the kernel's tun; as the profile wants it."""
    if kernel and profile.network.wireguard != "userspace":
        return ok("wireguard", "kernel")
    if userspace and tun:
        return ok("wireguard", "wireguard-go")
    detail = "/dev/net/tun" if userspace else "wireguard-go"
    return failed("wireguard", code="wireguard-missing", detail=detail)


def reader(profile: Profile, plugged: Iterable[str]) -> Finding:
    """A reader that the profile names is plugged in (ids, one a device); its card is not asked."""
    if not profile.reader.usb:
        return skipped("reader", "names-no-usb")
    found = _of(profile.reader.usb, plugged)
    if not found:
        return failed("reader", code="reader-missing", detail=" ".join(profile.reader.usb))
    return ok("reader", " ".join(found))


def sensor(model: Sensor, plugged: Iterable[str], nodes: Iterable[Node]) -> (
    tuple[Finding, ...]
):  # fmt: skip
    """One sensor of the profile's model, its node the finger process's alone."""
    if not model.usb:
        return (skipped("sensor", "names-no-usb"),)
    found = _of(model.usb, plugged)
    if len(found) != 1:
        code = "sensor-ambiguous" if found else "sensor-missing"
        return (failed("sensor", code=code, detail=" ".join(found or model.usb)),)
    open_to_others = [
        failed("sensor", code="sensor-exposed", detail=each.path)
        for each in nodes
        if each.mode != SENSOR_MODE or each.owner != USERS["sdbox-finger"]
    ]
    return whole("sensor", open_to_others, found[0])


def virtual_hardware(found: Collection[str], *, rig: bool) -> tuple[Finding, ...]:
    """None on a box: vpcd listens to the network for cards."""
    troubles = (failed("virtual-hardware", code="virtual-hardware", detail=each) for each in found)
    return whole("virtual-hardware", () if rig else troubles)


def clock(
    now_utc_s: int, mark_utc_s: int, *, synchronised: bool | None, served: bool
) -> tuple[Finding, ...]:
    """`mark_utc_s`: what the centre's clock has shown, 0 for never; `served`: by time servers."""
    if now_utc_s < EARLIEST_UTC_S:
        return (failed("clock", code="clock-unset", detail=str(now_utc_s)),)
    if now_utc_s < mark_utc_s - CLOCK_BEHIND_S:
        behind = f"{mark_utc_s - now_utc_s} s"
        return (failed("clock", code="clock-behind", detail=behind),)
    if served and synchronised is False:
        return (warn("clock", code="clock-drifting", detail="adjtimex: unsynchronised"),)
    return (ok("clock"),)


def walls(
    box: Box, made: Walls, loaded: Loaded | None, standing: Standing | None, present: Iterable[str]
) -> Finding:
    """The rules that stand are those of the settings, and hang at each uplink that is there."""
    if loaded is None or standing is None:
        return failed("walls", code="walls-missing", detail="nft")
    try:
        sheet(box, made, loaded)
    except DecodeError:
        return failed("walls", code="walls-missing", detail="table inet sdbox")
    bare = sorted(set(made.uplinks) & set(present) - standing.devices)
    if bare:
        return failed("walls", code="walls-missing", detail=" ".join(bare))
    if not made.uplinks:
        return warn("walls", code="no-uplink", detail="lan.uplinks")
    return ok("walls", " ".join(made.uplinks))


def has_module(name: str, listed: str) -> bool:
    """Does modules.dep or modules.builtin (modprobe(8)) have that module?"""
    files = (line.split(":")[0] for line in listed.splitlines())
    return any(f"/{name}.ko" in file for file in files)


def _of(ids: Iterable[str], plugged: Iterable[str]) -> list[str]:
    """The ids among these that are plugged in, one a device."""
    wanted = set(ids)
    return sorted(usb for usb in plugged if usb in wanted)


def _numbers(text: str) -> dict[str, str]:
    """Name -> number, of passwd(5) or group(5): both have it third."""
    fields = (line.split(":") for line in text.splitlines())
    return {each[0]: each[2] for each in fields if len(each) > 2}
