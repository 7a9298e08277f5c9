"""[door] What a box holds at rest, counted from outside: processes, descriptors, files, the kernel.

Two counts of the same box at rest must be alike, however many sessions lie between them: what
`grown` names was left behind. Our own processes are counted as the kernel has them; the launcher
that plays systemd is counted too, but its memory is not ours.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil.bench_processes import children, pss_mb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hil.rig import Rig

LONG_LIVED: Final = ("sdbox-agent", "sdbox-card", "sdbox-tunnel")
_NAMESPACES: Final = ("net", "mnt", "pid", "ipc", "uts", "user", "cgroup")
_NUMBER: Final = re.compile(r"\d+")
_OWN_FILES: Final = {"log"}  # directories of the rig's own: what units have printed


@dataclass(frozen=True)
class Census:
    """How many there are of everything, by a name; and memory, in MB, by unit."""

    held: Mapping[str, int]
    pss_mb: Mapping[str, float]


def taken(rig: Rig) -> Census:
    """Of a box at rest (bench_processes.settle). Raises OSError if a process ends meanwhile."""
    held: Counter[str] = Counter()
    units = rig.box.units()
    processes = {"launcher": [rig.box.launcher_pid]}
    processes |= {name: seen.pids for name, seen in units.items() if seen.pids}
    namespaces = set()
    for name, pids in processes.items():
        held[f"process {name}"] = len(pids)
        below = [] if name == "launcher" else [c for pid in pids for c in children(pid)]
        held[f"child of {name}"] = len(below)
        for pid in (*pids, *below):
            held += _of(name, Path(f"/proc/{pid}"))
            namespaces |= {(Path(f"/proc/{pid}/ns") / kind).readlink() for kind in _NAMESPACES}
    held["namespace"] = len(namespaces)
    held += _of_networks(rig)
    held += _files(rig.root)
    memory = {name: sum(map(pss_mb, units[name].pids)) for name in LONG_LIVED if units[name].pids}
    return Census(dict(held), memory)


def grown(before: Census, after: Census, *, memory_mb: float) -> list[str]:
    """What there is more of, in words; memory if all of it together grew by more than that."""
    found = [
        f"{name}: {count}, was {before.held.get(name, 0)}"
        for name, count in sorted(after.held.items())
        if count > before.held.get(name, 0)
    ]
    more_mb = growth_mb(before, after)
    if more_mb > memory_mb:
        found.append(f"memory: {more_mb:+.1f} MB, at most {memory_mb:+.1f}")
    return found


def growth_mb(before: Census, after: Census) -> float:
    """Of all long-lived processes of ours together, PSS."""
    return sum(after.pss_mb.values()) - sum(before.pss_mb.values())


def _of(name: str, process: Path) -> Counter[str]:
    """Descriptors by what they are, and threads."""
    links = []
    for descriptor in (process / "fd").iterdir():
        try:
            links.append(str(descriptor.readlink()))
        except FileNotFoundError:  # closed meanwhile
            continue
    kinds = Counter(_NUMBER.sub("N", link.removesuffix(" (deleted)")) for link in links)
    held = Counter({f"{name} holds {kind}": count for kind, count in kinds.items()})
    held[f"thread of {name}"] = len(list((process / "task").iterdir()))
    return held


def _of_networks(rig: Rig) -> Counter[str]:
    held: Counter[str] = Counter()
    for name in ("box", "session"):
        namespace = getattr(rig.topology, name)
        held[f"interface in {name}"] = len(namespace.links())
        held[f"route in {name}"] = len(namespace.show("route show table all").splitlines())
        held[f"rule in {name}"] = len(namespace.nft("list ruleset").split())
        held[f"unix socket in {name}"] = _sockets(namespace.run(_unix), rig.root)
    held["named namespace"] = len(list(rig.topology.box.path.parent.glob(_mine(rig))))
    return held


def _mine(rig: Rig) -> str:
    return rig.topology.box.name.rpartition("-")[0] + "-*"


def _unix() -> str:
    return Path("/proc/thread-self/net/unix").read_text()


def _sockets(table: str, root: Path) -> int:
    """Those bound under the rig's own directory."""
    return sum(str(root) in line for line in table.splitlines())


def _files(root: Path) -> Counter[str]:
    """Every entry under the rig's directory, by its directory; numbers in names are alike."""
    return Counter(
        "file " + _NUMBER.sub("N", str(path.relative_to(root)))
        for path in _below(root)
        if path.parent.name not in _OWN_FILES
    )


def _below(directory: Path) -> Iterable[Path]:
    for path in directory.iterdir():
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)
