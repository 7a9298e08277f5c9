"""Every check, in the order in which a person would want to hear of them.

Each is a look and a judgement; a check that can't look says so, and the others go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from sdbox_agent.audit import outbox
from sdbox_agent.errors import DecodeError, Fault, SdboxError
from sdbox_agent.identity import machine
from sdbox_agent.identity.place import Changes, changes
from sdbox_agent.paths import Paths
from sdbox_agent.profile import load
from sdbox_agent.provision.doctor import certificates, disk, files, memory, parts
from sdbox_agent.provision.doctor.finding import ACTIVATION, failed, ok, skipped, warn, whole
from sdbox_agent.provision.walls import walls_of
from sdbox_agent.state import record, store
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from sdbox_agent.profile.schema import Box, Profile, Sensor
    from sdbox_agent.provision.doctor.finding import Finding
    from sdbox_agent.provision.doctor.look import Look

    Check = Callable[["Examination"], "Iterable[Finding]"]

UNITS: Final = ("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
TARGETS: Final = ("multi-user.target.wants", "sockets.target.wants", "sysinit.target.wants")
CONFIG, STATE = "etc/sdbox", "var/lib/sdbox"
OWN: Final = ("statement", "tls")
IN_CHIP: Final = "statement.tpm"
ANCHORS: Final = ("centre.pem", "cards.pem", "desk.pem")
_ALWAYS: Final = "proc/cmdline"  # every kernel has it
_OWNER: Final = {"config-invalid": "settings", "profile-invalid": "profile"}  # who tells it
RUNS_SYSTEMD: Final = "run/systemd/system"  # sd_booted(3)


class _NotRunningError(Exception):
    """What is under this root does not run: no kernel can be asked."""


@dataclass(frozen=True)
class Examination:
    """One look at a machine. `profiles`: where those lie that are not under its settings."""

    look: Look
    now: dt.datetime
    profiles: Path

    @cached_property
    def box(self) -> Box:
        """Raises FileRefused."""
        return load.load_box(Paths(self.look.root).config)

    @cached_property
    def profile(self) -> Profile:
        """Raises FileRefused."""
        return load.load_profile(self.box.profile, self._directories)

    @cached_property
    def sensor(self) -> Sensor:
        """Raises FileRefused."""
        return load.load_sensor(self.profile, self._directories)

    @property
    def _directories(self) -> tuple[Path, ...]:
        return (Paths(self.look.root).config / "profiles", self.profiles)

    def findings(self, only: frozenset[str] | None = None) -> tuple[Finding, ...]:
        """All of them, or those of the checks named."""
        return tuple(
            found
            for name, check in CHECKS.items()
            if only is None or name in only
            for found in self._made(name, check)
        )

    def _made(self, name: str, check: Check) -> tuple[Finding, ...]:
        try:
            return tuple(check(self))
        except (SdboxError, DecodeError, OSError, _NotRunningError) as error:
            return (_hindered(name, error),)


def _hindered(name: str, error: Exception) -> Finding:
    """What is to be said where a check could not be made."""
    match error:
        case _NotRunningError():
            return skipped(name, "not-running")
        case PermissionError():
            return skipped(name, "needs-root")
        case FileRefused() if _OWNER.get(error.code) != name:
            return skipped(name, "needs-settings")
        case SdboxError():
            return failed(name, code=error.code, detail=getattr(error, "diagnosis", ""))
        case _:
            pass
    detail = error.filename if isinstance(error, OSError) else error
    return failed(name, code="not-readable", detail=str(detail or ""))


# -- where what was in memory could come to lie ----------------------------------------------------


def _kernels(at: Examination, name: str) -> str:
    """A file that each kernel has. Raises _NotRunningError."""
    try:
        return at.look.kernels(name)
    except FileNotFoundError:
        raise _NotRunningError from None


def _swap(at: Examination) -> Iterable[Finding]:
    look = at.look
    units = [f"{p}/{name}" for p in UNITS for name in look.names(p) if name.endswith(".swap")]
    return memory.swap(_kernels(at, "proc/swaps"), look.text_if("etc/fstab"), units)


def _hibernation(at: Examination) -> Iterable[Finding]:
    _kernels(at, _ALWAYS)
    yield memory.hibernation(at.look.kernels_if("sys/power/state"))


def _core_dumps(at: Examination) -> Iterable[Finding]:
    pattern = _kernels(at, "proc/sys/kernel/core_pattern")
    said = memory.settings(at.look.drop_ins("coredump.conf"), "Coredump")
    yield memory.core_dumps(pattern, at.look.kernels_if("proc/1/limits"), said)


def _journal(at: Examination) -> Iterable[Finding]:
    yield memory.journal(memory.settings(at.look.drop_ins("journald.conf"), "Journal"))


def _freed_memory(at: Examination) -> Iterable[Finding]:
    command_line = _kernels(at, "proc/cmdline")
    release = at.look.kernels_if("proc/sys/kernel/osrelease").strip()
    yield memory.freed_memory(command_line, at.look.text_if(f"boot/config-{release}"))


def _data_partition(at: Examination) -> Iterable[Finding]:
    mountinfo = _kernels(at, "proc/self/mountinfo")
    inside = at.look.root / STATE if at.look.live else f"/{STATE}"
    mount = disk.mount_of(str(inside), mountinfo)
    try:
        policy = at.box.disk.unencrypted
    except FileRefused:
        policy = "refuse"  # nobody has said that it may be so
    uuids = at.look.mapped(mount.major, mount.minor, mount.source)
    yield disk.data_partition(mount, uuids, policy)


# -- what is on its disk ---------------------------------------------------------------------------


def _files(at: Examination) -> Iterable[Finding]:
    return whole("files", files.exposed(at.look.files()))


def _settings(at: Examination) -> Iterable[Finding]:
    yield ok("settings", at.box.box)


def _profile(at: Examination) -> Iterable[Finding]:
    at.box  # noqa: B018  its refusal is told under `settings`
    load.load_kinds(at.profile, at._directories)
    yield ok("profile", f"{at.profile.name}, {at.sensor.name}")


def _identity(at: Examination) -> Iterable[Finding]:
    kept = at.look.names(f"{CONFIG}/identity")
    for name in OWN:
        path = f"{CONFIG}/identity/{name}"
        in_chip = name == "statement" and IN_CHIP in kept
        if not {f"{name}.pem", IN_CHIP if in_chip else f"{name}.key"} <= set(kept):
            yield failed("identity", code="box-identity-missing", detail=f"/{path}.*")
            continue
        try:
            first, *_ = certificates.parse(at.look.text(f"{path}.pem").encode())
        except DecodeError:
            yield failed("identity", code="config-invalid", detail=f"/{path}.pem")
            continue
        yield certificates.own(name, first, at.now)
        if name == "statement" and not in_chip and _has_chip(at):
            yield warn("identity", code="identity-copyable", detail=f"/{path}.key")


def _has_chip(at: Examination) -> bool:
    """By its profile; a refusal of that is told under `profile`."""
    try:
        return at.profile.tpm.version == "2.0"
    except FileRefused:
        return False


def _anchors(at: Examination) -> Iterable[Finding]:
    for name in ANCHORS:
        path = f"{CONFIG}/anchors/{name}"
        try:
            found = certificates.parse(at.look.text_if(path).encode())
        except DecodeError:
            yield failed("anchors", code="config-invalid", detail=f"/{path}")
            continue
        yield certificates.anchors(name, found, at.now)


def _state(at: Examination) -> Iterable[Finding]:
    state = _record(at)
    if state is None:
        yield skipped("state", "not-activated")
        return
    found = Changes()
    if at.look.live and state.known is not UNSET:  # of what does not run, no part can be seen
        found = changes(state.known, machine.facts(at.look.root))
    if found.copied:
        yield failed("state", code="state-copied")
    elif found.altered:
        yield warn("state", code="machine-altered", detail=" ".join(found.altered))
    else:
        yield ok("state")


def _record(at: Examination) -> record.State | None:
    """None before the box has one. Raises Fault."""
    try:
        text = at.look.text(f"{STATE}/{store.NAME}")
    except FileNotFoundError:
        return None
    try:
        return record.decode(text.encode())
    except DecodeError:
        raise Fault("state-damaged") from None


def _disk_space(at: Examination) -> Iterable[Finding]:
    yield disk.disk_space(at.look.room(STATE, outbox.NAME))


def _audit_fill(at: Examination) -> Iterable[Finding]:
    yield disk.audit_fill(at.look.room(STATE, outbox.NAME).record_bytes)


# -- its parts -------------------------------------------------------------------------------------


def _users(at: Examination) -> Iterable[Finding]:
    return parts.users(at.look.text_if("etc/passwd"), at.look.text_if("etc/group"))


def _units(at: Examination) -> Iterable[Finding]:
    look = at.look
    installed = {name for place in UNITS for name in look.names(place)}
    masked = look.masked(UNITS[0])
    wanted = {name for place in UNITS for each in TARGETS for name in look.names(f"{place}/{each}")}
    return parts.units(installed, masked, wanted)


def _sockets(at: Examination) -> Iterable[Finding]:
    if not at.look.live or not at.look.is_there(RUNS_SYSTEMD):
        return (skipped("sockets", "not-running"),)
    paths = Paths(at.look.root)
    wanted = (
        paths.agent_socket,
        paths.card_socket,
        paths.unwrap_socket,
        paths.pin_socket,
        paths.finger_socket,
        paths.tunnel_socket,
        paths.carrier_socket,
    )
    return parts.sockets(str(each) for each in wanted if not at.look.is_socket(each))


def _clock(at: Examination) -> Iterable[Finding]:
    try:
        state = _record(at)
        mark = 0 if state is None else state.clock_utc_s
    except Fault:
        mark = 0  # told under `state`
    served = bool(at.box.lan.time_servers)
    synchronised = at.look.synchronised()
    now_utc_s = int(at.now.timestamp())
    return parts.clock(now_utc_s, mark, synchronised=synchronised, served=served)


def _reader(at: Examination) -> Iterable[Finding]:
    _kernels(at, _ALWAYS)
    yield parts.reader(at.profile, [each.usb for each in at.look.usb()])


def _sensor(at: Examination) -> Iterable[Finding]:
    _kernels(at, _ALWAYS)
    plugged = at.look.usb()
    nodes = tuple(each.node for each in plugged if each.usb in at.sensor.usb)
    return parts.sensor(at.sensor, [each.usb for each in plugged], at.look.nodes(nodes))


def _virtual_hardware(at: Examination) -> Iterable[Finding]:
    found = [f"/{name}" for name in parts.VIRTUAL if at.look.is_there(name)]
    return parts.virtual_hardware(found, rig=at.profile.card.test_issuers)


def _wireguard(at: Examination) -> Iterable[Finding]:
    release = _kernels(at, "proc/sys/kernel/osrelease").strip()
    modules = f"lib/modules/{release}/modules"
    listed = at.look.text_if(f"{modules}.dep") + at.look.text_if(f"{modules}.builtin")
    loaded = bool(at.look.kernels_if("sys/module/wireguard/uevent"))
    tun = bool(at.look.kernels_if("sys/class/misc/tun/uevent"))
    yield parts.wireguard(
        kernel=loaded or parts.has_module("wireguard", listed),
        userspace=at.look.is_there("usr/bin/wireguard-go"),
        tun=tun or parts.has_module("tun", listed),
        profile=at.profile,
    )


def _walls(at: Examination) -> Iterable[Finding]:
    if not at.look.live:
        yield skipped("walls", "not-running")
    elif not at.look.may_ask_about_walls():
        yield skipped("walls", "needs-root")
    else:
        rules, standing = at.look.rules(), at.look.standing()
        present = at.look.devices()
        yield parts.walls(at.box, walls_of(at.box), rules, standing, present)


CHECKS: Final[dict[str, Check]] = {
    "swap": _swap,
    "hibernation": _hibernation,
    "core-dumps": _core_dumps,
    "journal": _journal,
    "freed-memory": _freed_memory,
    "data-partition": _data_partition,
    "files": _files,
    "settings": _settings,
    "profile": _profile,
    "identity": _identity,
    "anchors": _anchors,
    "state": _state,
    "disk-space": _disk_space,
    "audit-fill": _audit_fill,
    "users": _users,
    "units": _units,
    "sockets": _sockets,
    "clock": _clock,
    "reader": _reader,
    "sensor": _sensor,
    "virtual-hardware": _virtual_hardware,
    "wireguard": _wireguard,
    "walls": _walls,
}


def for_activation(look: Look, now: dt.datetime, profiles: Path) -> tuple[Finding, ...]:
    """The checks that `finding.permit_activation` asks for."""
    return Examination(look, now, profiles).findings(ACTIVATION)
