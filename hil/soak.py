"""`python -m hil.soak [--sessions N] [--within SECONDS]`: session after session; is anything left?

Good sessions from card in to card out, at the two readers in turn, on one rig; after the first few
everything is counted (hil.census), and after the last. Exit status 1 if there is more of anything,
or if memory has grown by more than 5 MB. Writes build/soak.json.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
import time
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from hil import census
from hil.bench_processes import settle
from hil.finger.sensor import SensorError
from hil.operator import Operator, Waited
from hil.rig import Rig
from hil.scenarios import session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from hil.census import Census
    from hil.issuing import Holder
    from hil.operator import Watch

OUT: Final = Path(__file__).resolve().parents[1] / "build/soak.json"
WHOLE: Final = 1000
WARM_UP: Final = 20
MEMORY_MB: Final = 5.0
_TOUCHES: Final = 16
_LOOKS: Final = 5  # at a box that is still putting something away
_SPOILT: Final = 0.02  # sessions that a busy machine may spoil, of all


@dataclass
class Soaked:
    """What came of it."""

    sessions: int = 0
    spoilt: list[str] = field(default_factory=list)
    before: Census | None = None
    after: Census | None = None
    grown: list[str] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def growth_mb(self) -> float:
        """Of our long-lived processes together."""
        assert self.before is not None
        assert self.after is not None
        return census.growth_mb(self.before, self.after)


@dataclass
class Soak:
    """One rig, one person with two cards' readers, and no end of patience."""

    rig: Rig
    holder: Holder
    watch: Watch
    say: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        hands = [Operator(self.rig.box, self.rig.pcscd.reader(n)) for n in (0, 1)]
        self._hands = cycle(hands)
        self._rng = np.random.default_rng(1)
        self._numbers = cycle(range(_TOUCHES))
        self._grown: dict[int, NDArray[np.uint8]] = {}

    def run(self, sessions: int, warm_up: int, within_s: float) -> Soaked:
        """So many sessions after the warm-up, or as many as there is time for."""
        soaked = Soaked()
        began_s = time.monotonic()
        for _ in range(warm_up):
            self._session(soaked)
        soaked.sessions = 0
        soaked.before = self._census()
        while soaked.sessions < sessions and time.monotonic() - began_s < within_s:
            self._session(soaked)
            if soaked.sessions % 50 == 0:
                self.say(f"{soaked.sessions} sessions, {time.monotonic() - began_s:.0f} s")
        for _ in range(_LOOKS):
            soaked.after = self._census()
            soaked.grown = census.grown(soaked.before, soaked.after, memory_mb=MEMORY_MB)
            if not soaked.grown:
                break
            time.sleep(1)  # what closes a connection by its own clock has not done so yet
        if len(soaked.spoilt) > max(1, _SPOILT * soaked.sessions):
            soaked.grown.append(f"spoilt sessions: {len(soaked.spoilt)}: {soaked.spoilt[0]}")
        soaked.took_s = time.monotonic() - began_s
        return soaked

    def _census(self) -> Census:
        settle(self.rig.box)
        return census.taken(self.rig)

    def _session(self, soaked: Soaked) -> None:
        self.rig.operator = next(self._hands)
        soaked.sessions += 1
        try:
            self._whole_session()
        except (Waited, SensorError) as why:
            soaked.spoilt.append(str(why))
            self.rig.operator.remove()
            session.wait_ready(self.watch)
        self.rig.oracle.ask()
        del self.watch.views[:-2]  # a soak keeps none of what is behind it
        for slot in self.rig.pcscd.slots:
            del slot.insertions[:-2]

    def _whole_session(self) -> None:
        seen = session.to_finger(self.rig, self.watch, self.holder)
        if seen.state == "scanning":
            self.rig.operator.lay(self._touch())
            seen = self.watch.state("open", *session.OVER)
        if seen.state != "open":
            raise Waited(f"no open tunnel: {seen.state} {seen.code}")
        ended = session.leave(self.rig, self.watch)
        left = session.residue(self.rig)
        if ended.code != "card-removed" or left:
            raise Waited(f"it ended with {ended.code}, and left {left}")

    def _touch(self) -> NDArray[np.uint8]:
        """One of a few, with other noise of the sensor: never the same frame."""
        person, number = self.holder.person, next(self._numbers)
        if number not in self._grown:
            touch = person.touch(person.positions[0], 1000 + number, "good")
            self._grown[number] = touch.pixels
        pixels = self._grown[number]
        noise = self._rng.integers(-1, 2, pixels.shape)
        return np.asarray(np.clip(pixels + noise, 0, 255), dtype=np.uint8)


@contextlib.contextmanager
def ready(say: Callable[[str], None] = lambda _: None) -> Iterator[Soak]:
    """A rig of its own, started."""
    with Rig() as rig:
        holder = rig.enrol("test-holder-01", seed=1)
        rig.start()
        watch = rig.watch()
        watch.state("idle")
        yield Soak(rig, holder, watch, say)


def main(argv: list[str] | None = None) -> int:
    """Soak, write, print."""
    parser = argparse.ArgumentParser(prog="hil.soak")
    parser.add_argument("--sessions", type=int, default=WHOLE)
    parser.add_argument("--within", type=float, default=2 * 3600.0, metavar="SECONDS")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(argv)
    with ready(lambda text: print(text, flush=True)) as soak:
        soaked = soak.run(options.sessions, WARM_UP, options.within)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(dataclasses.asdict(soaked), indent=2) + "\n")
    assert soaked.after is not None
    print(
        f"{soaked.sessions} sessions in {soaked.took_s:.0f} s, {len(soaked.spoilt)} spoilt; memory "
        f"{soaked.growth_mb:+.2f} MB, of {sum(soaked.after.pss_mb.values()):.1f} MB"
    )
    for line in soaked.grown:
        print("left:", line)
    return 1 if soaked.grown else 0


if __name__ == "__main__":
    sys.exit(main())
