"""Where what was in memory could come to lie on a disk: swap, hibernation, core dumps, journal.

Judges the texts of the kernel and of systemd; does not read them. Pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sdbox_agent.provision.doctor.finding import failed, ok, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sdbox_agent.provision.doctor.finding import Finding

# journald.conf(5), coredump.conf(5): sizes, to the base of 1024
_SIZE: Final = re.compile(r"([0-9]{1,15})([KMGTPE]?)")
_UNITS: Final = "KMGTPE"
# core(5): a programme that takes the dump, and keeps nothing of it
_NOBODY: Final = frozenset({"|/bin/false", "|/usr/bin/false", "|/bin/true", "|/usr/bin/true"})
_COREDUMP: Final = "/systemd-coredump"
# ours: what journald itself never goes beyond by its own rule (4 GiB)
JOURNAL_MOST_BYTES: Final = 4 << 30


def swap(proc_swaps: str, fstab: str, units: Iterable[str]) -> tuple[Finding, ...]:
    """None now (/proc/swaps, headings first); none at the next start (fstab(5), .swap units)."""
    found = [line.split()[0] for line in proc_swaps.splitlines()[1:] if line.strip()]
    lines = [line.split() for line in fstab.splitlines() if not line.lstrip().startswith("#")]
    found += [f"/etc/fstab: {fields[0]}" for fields in lines if fields[2:3] == ["swap"]]
    found += units
    return whole("swap", (failed("swap", code="swap-on", detail=each) for each in found))


def hibernation(power_state: str) -> Finding:
    """/sys/power/state: with `disk` in it, the kernel would write memory to a disk if asked."""
    if "disk" in power_state.split():
        return failed("hibernation", code="hibernation-on", detail="/sys/power/state")
    return ok("hibernation")


def core_dumps(pattern: str, limits: str, coredump: Mapping[str, str]) -> Finding:
    """core_pattern, the service manager's own limits (/proc/1/limits), coredump.conf(5)."""
    handler = pattern.strip()
    if not handler or handler in _NOBODY:
        return ok("core-dumps", "core_pattern")
    if handler.startswith("|"):  # the kernel asks no limit then
        keeps = coredump.get("Storage") != "none" or _bytes(coredump.get("ProcessSizeMax")) != 0
        if handler.split()[0].endswith(_COREDUMP) and not keeps:
            return ok("core-dumps", "coredump.conf")
    elif re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE):
        return ok("core-dumps", "limits")
    return failed("core-dumps", code="core-dumps-on", detail="core_pattern")


def journal(journald: Mapping[str, str]) -> Finding:
    """journald.conf(5): how much it may keep must have been said, and be within reason."""
    storage = journald.get("Storage", "auto")
    if storage == "none":
        return ok("journal", "Storage=none")
    name = "RuntimeMaxUse" if storage == "volatile" else "SystemMaxUse"
    size_bytes = _bytes(journald.get(name))
    if size_bytes is None or not 0 < size_bytes <= JOURNAL_MOST_BYTES:
        return failed("journal", code="journal-unbounded", detail=f"{name}=")
    return ok("journal", f"{name}={size_bytes >> 20} MiB")


def freed_memory(command_line: str, kernel_config: str) -> Finding:
    """init_on_free: on the kernel's command line (the last word counts), else as it was built."""
    words = re.findall(r"(?:^|\s)init_on_free=(\S*)", command_line)
    built_in = "CONFIG_INIT_ON_FREE_DEFAULT_ON=y" in kernel_config.splitlines()
    on = words[-1].lower() in {"1", "y", "yes", "on", "t", "true"} if words else built_in
    if on:
        return ok("freed-memory", "init_on_free")
    return failed("freed-memory", code="freed-memory-kept", detail="init_on_free")


def settings(files: Iterable[str], section: str) -> dict[str, str]:
    """What systemd would make of these files of settings, in this order: the last word counts."""
    return dict(pair for text in files for pair in _pairs(text, section))


def _pairs(text: str, section: str) -> Iterator[tuple[str, str]]:
    inside = False
    for line in text.splitlines():
        words = line.strip()
        if words.startswith("["):
            inside = words == f"[{section}]"
        elif inside and "=" in words and words[0] not in "#;":
            name, _, value = words.partition("=")
            yield name.strip(), value.strip()


def _bytes(text: str | None) -> int | None:
    """A size as systemd writes it; None if there is none, or no number."""
    match = _SIZE.fullmatch(text or "")
    if not match:
        return None
    return int(match[1]) << (10 * (_UNITS.index(match[2]) + 1) if match[2] else 0)
