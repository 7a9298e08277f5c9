"""How fast the tunnel helper opens, closes and carries, beside what is done by hand.

A part of `hil.bench` (--only tunnel). What stands side by side was measured in turn, in one run:
the machine and its load were the same.

    helper_prepare_ms      key asked for .. public key here
    helper_start_ms        prepare asked for .. wireguard-go runs and its interface has moved
    helper_ready_ms        the same of a helper that is warm, as it is in a session
    helper_open_ms         open_tunnel sent .. `up` here (handshake, and the VM's answer)
    helper_up_ms           start and open: beside by_hand_up_ms (wg set and netlink, resident) and
                           wg_quick_up_ms, to the VM's answer all three
    helper_close_ms        close_tunnel sent .. `tunnel_closed` here (no interface, no process)
    helper_last_packet_ms  close_tunnel sent .. last WireGuard frame on the cable, under a flood of
                           one packet every 0.5 ms
    helper_killed_ms       helper killed -9 .. that frame; negative: it had left before the trigger
    tunnel_mbit_s, by_hand_mbit_s    one TCP connection to the VM, medians
    tunnel_throughput_ratio          median of interleaved pairs; low and high: the bootstrap's 95 %
    roam_ms, lost_ms, narrow_ms, open_cpu_percent    see life_bench
    frames_seen, leaked_frames       over campaign_rounds openings and closings, while it was tried
                                     forbidden_tried times to send what must not leave (campaign)
"""

from __future__ import annotations

import contextlib
import random
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hil.bench_figures import interval, timing
from hil.net import campaign, life_bench
from hil.net.by_hand import ByHand
from hil.net.observe import Observer, now_ns
from hil.net.peer import PORT, VM4
from hil.net.process import Process, Unit
from hil.net.stand import standing
from hil.net.throughput import mbit_s
from hil.net.topology import CENTRE_SIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.bench_figures import Figures
    from hil.net.stand import Stand

FLOOD_GAP_US: Final = 500
_FLOOD_FRAMES: Final = 40  # on the cable before a trigger
_FLOOD_S: Final = 30.0  # until they have to be there
_QUIET_S: Final = 0.05  # without a frame: that one was the last


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    ups: int
    last_packets: int
    kills: int
    pairs: int
    pair_s: float  # each of the two
    lives: int
    campaign: int


WHOLE: Final = Plan(ups=30, last_packets=200, kills=5, pairs=24, pair_s=0.3, lives=8, campaign=500)
QUICK: Final = Plan(ups=5, last_packets=10, kills=2, pairs=4, pair_s=0.1, lives=2, campaign=20)


def measure(plan: Plan, seed: int = 1) -> Figures:
    """Every figure of the tunnel alone."""
    with standing() as stand, ByHand(stand.root) as by_hand:
        bench = _Bench(stand, by_hand)
        for _ in range(plan.ups):
            bench.ups()
        with bench.flooded():
            for _ in range(plan.last_packets):
                bench.last_packet()
            for _ in range(plan.kills):
                bench.killed()
        figures: Figures = {name: timing(values) for name, values in bench.figures_ms.items()}
        figures |= bench.throughput(plan, random.Random(seed))
    figures |= life_bench.measure(plan.lives)
    found = campaign.run(plan.campaign)
    return figures | {
        "campaign_rounds": found.rounds,
        "forbidden_tried": found.tried,
        "frames_seen": found.frames_seen,
        "leaked_frames": found.leaked_frames,
    }


@dataclass
class _Bench:
    stand: Stand
    by_hand: ByHand
    figures_ms: dict[str, list[float]] = field(default_factory=dict)

    def ups(self) -> None:
        """Ours, by hand, by wg-quick."""
        core = self.stand.core
        self._note("helper_ready_ms", core.ready())
        prepared, started, opened = core.open()
        self._note("helper_prepare_ms", prepared)
        self._note("helper_start_ms", started)
        self._note("helper_open_ms", opened)
        self._note("helper_up_ms", started + opened)
        self._note("helper_close_ms", core.close())
        with self.by_hand.up() as took_ms:
            self._note("by_hand_up_ms", took_ms)
        self._note("wg_quick_up_ms", self.by_hand.quick_ms())

    def last_packet(self) -> None:
        """Of a tunnel that is closed."""
        self.stand.core.open()
        self._note("helper_last_packet_ms", self._last_frame_ms(self.stand.core.close))

    def killed(self) -> None:
        """Of a tunnel whose helper dies."""
        self.stand.core.open()
        self._note("helper_killed_ms", self._last_frame_ms(self.stand.helper.process.kill))
        self.stand.restart()

    def throughput(self, plan: Plan, rng: random.Random) -> Figures:
        """Both at once, measured in turn, either first."""
        self.stand.core.open()
        ours, theirs = self.stand.topology, self.by_hand.topology
        ends = [(ours.session, ours.vm[0]), (theirs.box, theirs.vm[0])]
        rates: list[list[float]] = [[], []]
        with self.by_hand.up():
            for number in range(plan.pairs):
                for which in (0, 1) if number % 2 else (1, 0):
                    rates[which].append(mbit_s(*ends[which], plan.pair_s))
        self.stand.core.close()
        ratios = [mine / hands for mine, hands in zip(*rates, strict=True)]
        return {
            "tunnel_mbit_s": round(statistics.median(rates[0])),
            "by_hand_mbit_s": round(statistics.median(rates[1])),
            "tunnel_throughput_ratio": interval(ratios, rng),
        }

    @contextlib.contextmanager
    def flooded(self) -> Iterator[None]:
        """The session sends without pause, whether or not there is a tunnel to take it."""
        argv = [sys.executable, "-m", "hil.net.flood", VM4, "9", str(FLOOD_GAP_US), "3600"]
        unit = Unit(argv, self.stand.topology.session, uid=65534, output=self.stand.root / "flood")
        sender = Process(unit)
        try:
            yield
        finally:
            sender.end()

    def _last_frame_ms(self, trigger: Callable[[], object]) -> float:
        """From the trigger to the last WireGuard frame on the cable."""
        with Observer(self.stand.topology.centre, CENTRE_SIDE) as observer:
            end_s = time.monotonic() + _FLOOD_S
            while len(observer.frames) < _FLOOD_FRAMES:
                if time.monotonic() > end_s:
                    raise TimeoutError("the flood does not pass the cable")
                time.sleep(0.002)
            asked_ns = now_ns()
            trigger()
            quiet_since_ns = now_ns()
            while now_ns() < quiet_since_ns + _QUIET_S * 1e9:
                if time.monotonic() > end_s:
                    raise TimeoutError("the flood passes on")
                time.sleep(0.002)
                quiet_since_ns = max(quiet_since_ns, _last_ns(observer))
        return (_last_ns(observer) - asked_ns) / 1e6

    def _note(self, name: str, value_ms: float) -> None:
        self.figures_ms.setdefault(name, []).append(value_ms)


def _last_ns(observer: Observer) -> int:
    """When WireGuard was last seen to leave the box."""
    return max(frame.time_ns for frame in observer.arrived(lambda frame: frame.port == PORT))
