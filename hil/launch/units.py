"""Unit files, sysusers.d and tmpfiles.d, as far as they are played; strict about the rest."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

# Accepted and not played: the manager's own order of things, and confinement that needs systemd.
NOT_PLAYED: Final = frozenset(
    """
    After AssertPathExists Backlog Before BindReadOnlyPaths BindsTo CapabilityBoundingSet
    CollectMode ConditionPathExists Conflicts DefaultDependencies Description DeviceAllow
    DevicePolicy DirectoryMode Documentation ExecStop FileDescriptorStoreMax IPAddressAllow
    IPAddressDeny KeyringMode KillMode LimitCORE LockPersonality MemoryDenyWriteExecute
    MemorySwapMax NoExecPaths NoNewPrivileges NotifyAccess PartOf PassCredentials PrivateDevices
    PrivateMounts PrivateTmp ProcSubset ProtectClock ProtectControlGroups ProtectHome
    ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables ProtectProc
    ProtectSystem ReadWritePaths RemainAfterExit RemoveIPC RemoveOnStop Requires
    RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID Slice StandardError
    StandardInput StandardOutput StartLimitIntervalSec SupplementaryGroups SystemCallArchitectures
    SystemCallErrorNumber SystemCallFilter TTYPath TTYReset TTYVHangup TTYVTDisallocate
    TemporaryFileSystem TimeoutStartSec TimeoutStopSec UMask WantedBy Wants WatchdogSignal
    """.split()  # noqa: SIM905  a list that is read, not written
)
CAPABILITIES: Final = {"CAP_NET_ADMIN": 12}


class UnitError(Exception):
    """A unit file says what the launcher does not know."""


@dataclass(frozen=True)
class Socket:
    """A .socket unit."""

    name: str
    service: str
    descriptor: str  # its name in LISTEN_FDNAMES
    paths: tuple[str, ...]
    accept: bool
    mode: int
    user: str
    group: str
    max_connections: int


@dataclass(frozen=True)
class Service:
    """A .service unit."""

    name: str
    kind: str
    before: tuple[tuple[str, ...], ...]  # ExecStartPre, all with root's rights (+)
    start: tuple[tuple[str, ...], ...]
    user: str | None
    group: str | None
    capabilities: tuple[int, ...]
    restart_s: float | None  # None: once
    watchdog_s: float | None
    private_network: bool
    tun: bool
    lock_memory: bool  # LimitMEMLOCK=infinity
    realtime: int | None  # round-robin at this priority; none of its children is
    binds: dict[str, str] = field(default_factory=dict)  # seen at -> lies at
    environment: dict[str, str] = field(default_factory=dict)
    directories: tuple[tuple[str, int], ...] = ()  # path, mode: state and runtime


def read(path: Path) -> dict[str, list[str]]:
    """Every assignment of a unit file, in order; an empty one clears what stands before it."""
    values: dict[str, list[str]] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.strip()
        if not text or text[0] in "#;" or (text[0] == "[" and text[-1] == "]"):
            continue
        key, equals, value = text.partition("=")
        if not equals:
            raise UnitError(f"{path.name}:{number}: not an assignment")
        if value.strip():
            values.setdefault(key.strip(), []).append(value.strip())
        else:
            values[key.strip()] = []
    return values


def socket(path: Path) -> Socket:
    """Read a .socket unit."""
    values = _Taken(path)
    accept = values.one("Accept", "no") == "yes"
    name = path.stem
    return values.rest_known(
        Socket(
            name=name,
            service=f"{name}@" if accept else name,
            descriptor=values.one("FileDescriptorName", path.name),
            paths=tuple(values.all("ListenSequentialPacket")),
            accept=accept,
            mode=int(values.one("SocketMode", "0666"), 8),
            user=values.one("SocketUser", "root"),
            group=values.one("SocketGroup", "root"),
            max_connections=int(values.one("MaxConnections", "64")),
        )
    )


def service(path: Path) -> Service:
    """Read a .service unit."""
    values = _Taken(path)
    restart = values.one("Restart", "no") in {"always", "on-failure"}
    restart_s = _seconds(values.one("RestartSec", "100ms"))
    watchdog = values.one("WatchdogSec", "")
    capabilities = " ".join(values.all("AmbientCapabilities")).split()
    # One that may be missing (a leading "-") is a device: the rig's lie under its own root.
    pairs = " ".join(values.all("BindPaths")).split()
    binds = (pair.split(":") for pair in pairs if not pair.startswith("-"))
    values.all("Sockets")
    allowed = " ".join(values.peek("DeviceAllow"))
    policy = values.one("CPUSchedulingPolicy", "other")
    kept = policy != "other" and values.one("CPUSchedulingResetOnFork", "no") != "yes"
    if policy not in {"other", "rr"} or kept:
        raise UnitError(f"{path.name}: a way of scheduling that is not played")
    return values.rest_known(
        Service(
            name=path.stem,
            kind=values.one("Type", "simple"),
            before=tuple(_command(line) for line in values.all("ExecStartPre")),
            start=tuple(_command(line) for line in values.all("ExecStart")),
            user=values.one("User", "") or None,
            group=values.one("Group", "") or None,
            capabilities=tuple(CAPABILITIES[name] for name in capabilities),
            restart_s=restart_s if restart else None,
            watchdog_s=_seconds(watchdog) if watchdog else None,
            private_network=values.one("PrivateNetwork", "no") == "yes",
            tun="/dev/net/tun" in allowed,
            lock_memory=values.one("LimitMEMLOCK", "") == "infinity",
            realtime=int(values.one("CPUSchedulingPriority", "1")) if policy == "rr" else None,
            binds={seen: lies for lies, seen in binds},
            environment=dict(
                word.split("=", 1)
                for line in values.all("Environment")
                for word in shlex.split(line)
            ),
            directories=_directories(values),
        )
    )


def users(path: Path) -> dict[str, int]:
    """sysusers.d: names to numbers, groups too."""
    numbers = {"root": 0}
    for line in path.read_text().splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0] != "m":  # a membership
            numbers[words[1]] = int(words[2])
    return numbers


def directories(path: Path) -> list[tuple[str, int, str, str]]:
    """tmpfiles.d: the directories it makes, as (path, mode, user, group)."""
    rows = []
    for line in path.read_text().splitlines():
        words = shlex.split(line, comments=True)
        if words:
            if words[0] != "d":
                raise UnitError(f"{path.name}: only directories are played")
            rows.append((words[1], int(words[2], 8), words[3], words[4]))
    return rows


class _Taken:
    """Assignments of one file, and which of them have been looked at."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._values = read(path)
        self._seen: set[str] = set()

    def all(self, key: str) -> list[str]:
        self._seen.add(key)
        return self._values.get(key, [])

    def peek(self, key: str) -> list[str]:
        return self._values.get(key, [])

    def one(self, key: str, default: str) -> str:
        values = self.all(key)
        return values[-1] if values else default

    def rest_known(self, unit: T) -> T:
        unknown = set(self._values) - self._seen - NOT_PLAYED
        if unknown:
            raise UnitError(
                f"{self._name}: {', '.join(sorted(unknown))}: not known to the launcher"
            )
        return unit


def _command(line: str) -> tuple[str, ...]:
    return tuple(shlex.split(line.lstrip("+")))


def _seconds(text: str) -> float:
    """systemd.time(7), the forms our units use."""
    for suffix, factor in (("ms", 0.001), ("min", 60.0), ("s", 1.0)):
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)


def _directories(values: _Taken) -> tuple[tuple[str, int], ...]:
    rows = []
    for key, parent in (("StateDirectory", "/var/lib"), ("RuntimeDirectory", "/run")):
        mode = int(values.one(f"{key}Mode", "0755"), 8)
        rows += [(f"{parent}/{name}", mode) for name in " ".join(values.all(key)).split()]
    return tuple(rows)
