"""The data partition: encrypted, and with room left. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from sdbox_agent.audit import outbox
from sdbox_agent.errors import DecodeError
from sdbox_agent.provision.doctor.finding import failed, ok, warn

if TYPE_CHECKING:
    from sdbox_agent.provision.doctor.finding import Finding

# <linux/major.h>: 0 is of what has no block device (tmpfs, overlay, btrfs' own numbers)
_NO_DEVICE: Final = 0
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
# dm-crypt(8): cryptsetup names what it makes so (/sys/…/dm/uuid)
_CRYPT: Final = "CRYPT-"
# ours
STATE_BYTES: Final = 16 << 20  # for the counters, many times over
WARN_FILL: Final = 0.8


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of /proc/self/mountinfo (proc_pid_mountinfo(5))."""

    point: str
    major: int
    minor: int
    kind: str
    source: str


@dataclass(frozen=True, slots=True)
class Room:
    """What statvfs(3) tells, and how long the record is."""

    free_bytes: int
    free_inodes: int
    inodes: int  # 0: the file system does not count them
    record_bytes: int


def mount_of(path: str, mountinfo: str) -> Mount:
    """The mount that `path` lies in; of several on the same point, the last. Raises DecodeError."""
    found = None
    for line in mountinfo.splitlines():
        mount = _mount(line)
        inside = mount.point in {"/", path} or path.startswith(mount.point + "/")
        if inside and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    if found is None:
        raise DecodeError("mountinfo: no root")
    return found


def data_partition(
    mount: Mount, ways: tuple[tuple[str, ...], ...], policy: Literal["warn", "refuse"]
) -> Finding:
    """`ways`: down to each disk below, as the device mapper names what is on it: all encrypted.

    Of a file system without a device nobody can tell; it is taken for unencrypted.
    """
    if mount.major == _NO_DEVICE and mount.kind in _IN_MEMORY:
        return ok("data-partition", mount.kind)
    if ways and all(any(uuid.startswith(_CRYPT) for uuid in way) for way in ways):
        return ok("data-partition", "dm-crypt")
    tell = failed if policy == "refuse" else warn
    return tell("data-partition", code="data-unencrypted", detail=f"{mount.point}: {mount.kind}")


def disk_space(room: Room) -> Finding:
    """Room for all the record may still become, and for the counters."""
    needed = max(0, outbox.BUDGET_BYTES - room.record_bytes) + STATE_BYTES
    detail = f"{room.free_bytes >> 20} MiB"
    if room.free_bytes < STATE_BYTES or (room.inodes and room.free_inodes < 16):
        return failed("disk-space", code="disk-full", detail=detail)
    if room.free_bytes < needed or (room.inodes and room.free_inodes < 1024):
        return warn("disk-space", code="disk-full", detail=detail)
    return ok("disk-space", detail)


def audit_fill(record_bytes: int) -> Finding:
    """The share of the record's budget in use: at 95 % no session opens."""
    share = record_bytes / outbox.BUDGET_BYTES
    detail = f"{share:.0%}"
    if share >= outbox.FULL:
        return failed("audit-fill", code="audit-full", detail=detail)
    if share >= WARN_FILL:
        return warn("audit-fill", code="audit-filling", detail=detail)
    return ok("audit-fill", detail)


def _mount(line: str) -> Mount:
    """Raises DecodeError."""
    before, dash, after = line.partition(" - ")
    fields, rest = before.split(" "), after.split(" ")
    numbers = fields[2].split(":") if len(fields) > 4 else []
    if not dash or len(rest) < 2 or len(numbers) != 2 or not all(n.isdecimal() for n in numbers):
        raise DecodeError("mountinfo: a line")
    point = fields[4].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n")
    return Mount(point.replace("\\134", "\\"), int(numbers[0]), int(numbers[1]), rest[0], rest[1])
