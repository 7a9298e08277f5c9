"""Every check, in the order in which a person would want to hear of them.

Each is a look and a judgement; a check that can't look says so, and the others go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

from msgspec import UNSET

from sdbox_agent.audit import outbox
from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.identity import machine, tpmfile
from sdbox_agent.identity.place import Changes, changes
from sdbox_agent.paths import Paths
from sdbox_agent.profile import load, sets
from sdbox_agent.provision.doctor import certificates, disk, files, memory, parts, usb
from sdbox_agent.provision.doctor.finding import ACTIVATION, failed, ok, skipped, warn, whole
from sdbox_agent.provision.doctor.hindrance import NotRunningError, hindered
from sdbox_agent.provision.doctor.places import (
    ALWAYS,
    ANCHORS,
    CONFIG,
    MARK,
    OWN,
    RUNS_SYSTEMD,
    SHELVES,
    STATE,
    TARGETS,
    UNITS,
)
from sdbox_agent.provision.walls import walls_of
from sdbox_agent.state import record, store
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from sdbox_agent.profile.load import Whole
    from sdbox_agent.profile.schema import Box, Profile, Sensor
    from sdbox_agent.provision.doctor.finding import Finding
    from sdbox_agent.provision.doctor.look import Look

    Check = Callable[["Examination"], "Iterable[Finding]"]


@dataclass(frozen=True)
class Examination:
    """One look at a machine. `profiles`: where those lie that are not under its settings.

    `ask`: the running core, under that root; it raises SdboxError, OSError.
    `unencrypted`: what a box that is being made will have as `[disk] unencrypted`.
    """

    look: Look
    now: dt.datetime
    profiles: Path
    ask: Callable[[Path], parts.Answer] | None = None
    unencrypted: Literal["warn", "refuse"] | None = None

    @cached_property
    def box(self) -> Box:
        """Raises FileRefused, OSError."""
        self.look.at(f"{CONFIG}/{load.BOX_FILE}")
        return load.load_box(self.paths.config)

    @cached_property
    def whole(self) -> Whole:
        """The profile as the agent goes by it: of the set that counts, drop-ins laid over.

        A box's disk under another root is judged as where it comes from. Raises FileRefused,
        OSError.
        """
        for name in SHELVES:
            self.look.at(f"{CONFIG}/{name}/x")
        rig = None if self.look.live else load.is_marked(self.paths.rig_mark)
        return load.whole(self.box.profile, self.paths, self.profiles, rig=rig)

    @property
    def profile(self) -> Profile:
        """Raises as `whole`."""
        return self.whole.profile

    @property
    def sensor(self) -> Sensor:
        """Raises as `whole`."""
        return self.whole.sensor

    @property
    def paths(self) -> Paths:
        """Of the box that is looked at."""
        return Paths(self.look.root)

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
        except Exception as error:  # noqa: BLE001  whatever it is: it is told, and the others go on
            return (hindered(name, error),)


# -- where what was in memory could come to lie ----------------------------------------------------


def _kernels(at: Examination, name: str) -> str:
    """A file that each kernel has. Raises NotRunningError."""
    try:
        return at.look.kernels(name)
    except FileNotFoundError:
        raise NotRunningError from None


def _swap(at: Examination) -> Iterable[Finding]:
    look = at.look
    units = [f"{p}/{name}" for p in UNITS for name in look.names(p) if name.endswith(".swap")]
    return memory.swap(_kernels(at, "proc/swaps"), look.text_if("etc/fstab"), units)


def _hibernation(at: Examination) -> Iterable[Finding]:
    _kernels(at, ALWAYS)
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
    inside = at.look.root / STATE if at.look.live else f"/{STATE}"
    mount = disk.mount_of(str(inside), _kernels(at, "proc/self/mountinfo"))
    try:
        policy = at.unencrypted or at.box.disk.unencrypted
    except FileRefused:
        policy = "refuse"  # nobody has said that it may be so
    ways = at.look.mapped(mount.major, mount.minor, mount.source)
    yield disk.data_partition(mount, ways, policy)


# -- what is on its disk ---------------------------------------------------------------------------


def _files(at: Examination) -> Iterable[Finding]:
    return whole("files", files.exposed(at.look.files()))


def _settings(at: Examination) -> Iterable[Finding]:
    yield ok("settings", at.box.box)


def _profile(at: Examination) -> Iterable[Finding]:
    at.box  # noqa: B018  its refusal is told under `settings`
    found = f"{at.profile.name}, {at.sensor.name}"
    installed = at.paths.profile_set
    counts = sets.newest_first(installed, at.profiles)[0] == installed
    if counts or (installed.exists() and not sets.version(installed)):  # not used, and nobody told
        found += f", {sets.check(installed)}"
    yield ok("profile", found)


def _identity(at: Examination) -> Iterable[Finding]:
    in_chip = tpmfile.FILE in (kept := set(at.look.names(f"{CONFIG}/identity")))
    for name in ("statement",) if in_chip else OWN:  # the chip's box makes the other in memory
        path = f"{CONFIG}/identity/{name}"
        if not {f"{name}.pem", tpmfile.FILE if in_chip else f"{name}.key"} <= kept:
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
    for lying in sorted(kept & {"tls.key", "tls.pem"}) if in_chip else ():
        yield failed("identity", code="config-invalid", detail=f"/{CONFIG}/identity/{lying}")


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
    paths = at.paths
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


def _agent(at: Examination) -> Iterable[Finding]:
    runs = at.look.is_there(RUNS_SYSTEMD) or at.look.is_socket(at.paths.agent_socket)
    if at.ask is None or not at.look.live or not runs:
        yield skipped("agent", "not-running")
    else:
        yield parts.agent(at.ask(at.look.root))


def _clock(at: Examination) -> Iterable[Finding]:
    try:
        state = _record(at)
        mark = 0 if state is None else state.clock_utc_s
    except Fault:
        mark = 0  # told under `state`
    served = bool(at.box.lan.time_servers)
    known = at.look.synchronised()
    return parts.clock(int(at.now.timestamp()), mark, synchronised=known, served=served)


def _reader(at: Examination) -> Iterable[Finding]:
    _kernels(at, ALWAYS)
    yield parts.reader(at.profile, [each.usb_id for each in at.look.usb()])


def _sensor(at: Examination) -> Iterable[Finding]:
    _kernels(at, ALWAYS)
    plugged = at.look.usb()
    nodes = tuple(each.node for each in plugged if each.usb_id in at.sensor.usb)
    return parts.sensor(at.sensor, [each.usb_id for each in plugged], at.look.nodes(nodes))


def _tpm(at: Examination) -> Iterable[Finding]:
    _kernels(at, ALWAYS)
    version = at.look.kernels_if("sys/class/tpm/tpm0/tpm_version_major").strip()
    yield parts.tpm(at.profile, version)


def _rig_mark(at: Examination) -> Iterable[Finding]:
    if not at.look.is_there(MARK):
        yield ok("rig-mark")
        return
    try:
        field = not at.profile.card.test_issuers
    except FileRefused:  # where there are no settings yet, it is asked again when there are
        field = at.look.is_there(f"{CONFIG}/{load.BOX_FILE}")
    yield parts.rig_mark(f"/{MARK}", field=field)


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
    "rig-mark": _rig_mark,
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
    "agent": _agent,
    "clock": _clock,
    "reader": _reader,
    "sensor": _sensor,
    "tpm": _tpm,
    usb.NAME: usb.rules,
    "virtual-hardware": _virtual_hardware,
    "wireguard": _wireguard,
    "walls": _walls,
}


def for_activation(look: Look, now: dt.datetime, profiles: Path) -> tuple[Finding, ...]:
    """The checks that `finding.permit_activation` asks for."""
    return Examination(look, now, profiles).findings(ACTIVATION)
