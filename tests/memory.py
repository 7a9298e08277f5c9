"""A search in the memory of living processes, and in files: which of some secrets lie there.

For root: our processes let nobody else look. What is found is told by its name, never shown.
"""

import base64
import contextlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

PART_BYTES = 1 << 20
SHORTEST_BYTES = 6  # less is found everywhere
INT_BYTES = 32  # CPython 3.11: the small integers stand in a row, one each so many bytes
RUN = SHORTEST_BYTES - 1  # steps from one byte of a list to the next
NO_STEP = 1 << 14
LISTED = 24  # of a secret's shapes, from the first on: each is looked for by itself
_MAPPING = re.compile(r"(\w+)-(\w+) (\S+) \w+ \S+ \d+ *(.*)")


def forms(secret: bytes) -> list[bytes]:
    """As it is, in hex, in base64 at each of its three phases (ends that vary cut off)."""
    coded = [base64.b64encode(bytes(phase) + secret)[4:-4] for phase in range(3)]
    return [secret, secret.hex().encode(), secret.hex().upper().encode(), *coded]


def parts(pid: int) -> Iterator[bytes]:
    """What that process has written to memory, in order; a new mapping begins a new part.

    Raises ProcessLookupError, FileNotFoundError: it has ended.
    """
    size_bytes = 0
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            low, high, rights, name = _MAPPING.fullmatch(line.rstrip()).groups()
            own = "w" in rights or not name or name.startswith(("[heap", "[stack", "[anon"))
            if "r" not in rights or not own or name.startswith("[v"):
                continue  # a file's own bytes, or the kernel's
            at, end = int(low, 16), int(high, 16)
            while at < end:
                memory.seek(at)
                try:
                    part = memory.read(min(end - at, PART_BYTES))
                except OSError:  # a hole: nothing is mapped behind it
                    break
                if not part:
                    break
                at += len(part)
                size_bytes += len(part)
                yield part
    if not size_bytes:
        raise ProcessLookupError(pid)


def steps(octets: np.ndarray) -> bytes:
    """From each byte to the next: what a list of them and the bytes themselves have in common."""
    return np.diff(octets.astype(np.int16)).tobytes()


def lists(data: bytes) -> bytes:
    """The steps of whatever may be a list of small integers: pyscard takes and gives such."""
    words = np.frombuffer(data[: len(data) // 8 * 8], dtype=np.int64)
    apart = np.diff(words)
    small = (np.abs(apart) < 256 * INT_BYTES) & (apart % INT_BYTES == 0) & (words[1:] >> 16 != 0)
    edges = np.flatnonzero(np.diff(small, prepend=False, append=False))
    runs = [
        np.append(apart[begin:end] // INT_BYTES, NO_STEP).astype(np.int16).tobytes()
        for begin, end in edges.reshape(-1, 2).tolist()
        if end - begin >= RUN
    ]
    return b"".join(runs)


class Search:
    """Looks for secrets, each in all its shapes, in one pass whatever their number.

    Each shape is known by the least ordinary four bytes of it: few places have those. It is found
    as bytes; some of its shapes also as a list of Python's integers.
    """

    def __init__(self, secrets: Mapping[str, Iterable[bytes]]) -> None:
        self._shapes: dict[int, set[tuple[bytes, int, str]]] = defaultdict(set)
        self._steps: dict[str, list[bytes]] = {}
        self._longest_bytes = 0
        for name, shapes in secrets.items():
            given = list(dict.fromkeys(shapes))
            assert given, f"nothing to look for: {name}"
            assert len(min(given, key=len)) >= SHORTEST_BYTES, f"too short to look for: {name}"
            for shape in given:
                at = max(range(len(shape) - 3), key=lambda i: len(set(shape[i : i + 4]) - {0}))
                mark = int.from_bytes(shape[at : at + 4], "little")
                self._shapes[mark].add((shape, at, name))
                self._longest_bytes = max(self._longest_bytes, 8 * len(shape))
            some = given[:: 1 + len(given) // LISTED]
            self._steps[name] = [steps(np.frombuffer(shape, dtype=np.uint8)) for shape in some]
        self._marks = np.array(sorted(self._shapes), dtype=np.uint32)
        self._low, self._high = np.zeros((2, 1 << 16), dtype=bool)
        self._low[self._marks & 0xFFFF] = True
        self._high[self._marks >> 16] = True

    def held(self, pid: int) -> set[str]:
        """What that process holds, in its memory, its arguments or its environment."""
        found: set[str] = set()
        end = b""
        for part in parts(pid):
            found |= self.within(end + part)
            end = part[-self._longest_bytes :]
        return found | self.shown(pid)

    def shown(self, pid: int) -> set[str]:
        """What stands in that process's arguments or environment."""
        shown = (Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
        return set[str]().union(*map(self.within, shown))

    def on_disk(self, *places: Path) -> dict[str, set[str]]:
        """Which files below these places hold what."""
        held: dict[str, set[str]] = {}
        for file in (file for place in places for file in (place, *place.rglob("*"))):
            if file.is_file() and not file.is_symlink():
                with contextlib.suppress(FileNotFoundError):  # gone since
                    if found := self.within(file.read_bytes()):
                        held[str(file)] = found
        return held

    def within(self, data: bytes) -> set[str]:
        """What these bytes hold."""
        octets = np.frombuffer(data, dtype=np.uint8)
        if len(octets) < SHORTEST_BYTES or not octets.any():
            return set()
        words = octets[:-1] | octets[1:].astype(np.uint16) << 8
        likely = np.flatnonzero(self._low[words[:-2]] & self._high[words[2:]])
        marks = words[likely] | words[likely + 2].astype(np.uint32) << 16
        places = np.searchsorted(self._marks, marks) % len(self._marks)
        found: set[str] = set()
        for at in likely[self._marks[places] == marks].tolist():
            mark = int.from_bytes(data[at : at + 4], "little")
            for shape, before, name in self._shapes[mark]:
                if name not in found and at >= before and data.startswith(shape, at - before):
                    found.add(name)
        if listed := lists(data):
            found |= {name for name, rows in self._steps.items() if any(r in listed for r in rows)}
        return found
