"""When a tunnel is up and when it is over, from what was seen and the time it was seen at.

Decides only; the helper sends the probes, asks WireGuard, and takes the tunnel down. What keeps an
open tunnel open is `pulse`'s business, how large its packets may be is `mtu`'s.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sdbox_agent.tunnel.pulse import Pulse

if TYPE_CHECKING:
    from sdbox_agent.tunnel.mtu import Width

HANDSHAKE_DEADLINE_S: Final = 5.0
AGAIN_S: Final = (1.0, 2.5)  # into a run; WireGuard itself repeats a lost initiation after 5 s
VM_DEADLINE_S: Final = 3.0  # from the handshake
EARLY_PROBE_S: Final = 0.25  # before the handshake: WireGuard keeps the first one waiting
RISING_PROBE_S: Final = 0.004  # from the handshake to the first answer; twice as long each time
RISING_MOST_S: Final = 0.1
ASK_FIRST_S: Final = 0.002  # from a probe to a look for the handshake; then twice as long each time
ASK_MOST_S: Final = 0.05
COUNT_S: Final = 5.0  # between two looks at what the session has sent


@enum.unique
class Do(enum.Enum):
    """What is due now, besides probes."""

    ASK = "ask WireGuard for the last handshake"
    AGAIN = "start the handshake anew: packets may be lost, or the way is another"
    RISE = "tell that it is up"
    CARRY = "go on over the carrier: UDP brought no handshake"
    COUNT = "read what has gone into the tunnel and come out of it"
    NARROW = "set the interface to the size that passes"


@dataclass(frozen=True, slots=True)
class Probe:
    """Send an echo request to the VM."""

    number: int
    size_bytes: int | None = None  # of the whole packet; None: as small as it comes


class Over(Exception):  # noqa: N818  a state, told as an exception
    """The tunnel has to go down; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True)
class Life:
    """One tunnel from `open_tunnel` on. All times on one monotonic clock that counts in sleep."""

    opened_s: float
    lease_end_s: float
    width: Width
    carrier: bool = False  # there is another way than UDP, not tried yet
    handshake_s: float | None = None
    answer_s: float | None = None  # the first one
    pulse: Pulse | None = None  # once it is up
    _probes: int = 0  # sent
    _run_s: float = field(init=False)  # when the present way was first tried
    _again_s: float = field(init=False)
    _probe_s: float = field(init=False)
    _ask_s: float = field(init=False)
    _ask_gap_s: float = ASK_FIRST_S
    _rising_s: float = RISING_PROBE_S
    _count_s: float = 0.0
    _sent_bytes: int | None = None  # by the session, at the last look

    def __post_init__(self) -> None:
        self._run(self.opened_s)

    def extend(self, now_s: float, lease_s: float) -> None:
        """A renewed lease runs from now. Raises Over if the old one has already ended."""
        self._check_lease(now_s)
        self.lease_end_s = now_s + lease_s

    def handshake_seen(self, now_s: float) -> None:
        """WireGuard knows a handshake; its interface is younger than this tunnel's key."""
        if self.handshake_s is None:
            self.handshake_s = now_s
            self._probe_s = now_s + RISING_PROBE_S  # the one that waited is on its way

    def answer_seen(self, now_s: float, number: int, size_bytes: int) -> None:
        """The VM answered the probe of that number, with a packet of that size."""
        if self.pulse is not None:
            self.pulse.answered(now_s, number)
            self.width.answered(now_s, size_bytes)
        elif self.answer_s is None:
            self.answer_s = now_s
            self._ask_s = now_s  # if the handshake has not been seen yet, it is there

    def counted(self, now_s: float, received_bytes: int, sent_bytes: int) -> bool:
        """What came out of the tunnel and went in, without probes. True: the session is in use."""
        if self.pulse is not None and self.pulse.missing:
            self.pulse.received(now_s, received_bytes)
            return False  # probes may still lie before WireGuard, in no counter
        before, self._sent_bytes = self._sent_bytes, sent_bytes
        return before is not None and sent_bytes > before

    def way_changed(self, now_s: float) -> None:
        """Addresses or routes of the box are not what they were; there is still a way."""
        if self.pulse is not None:
            self.pulse.way_changed(now_s)
            self.width.look_now(now_s)
        elif self.handshake_s is None:
            self._again_s = now_s

    def due(self, now_s: float) -> list[Do | Probe]:
        """What is to be done now. Raises Over when the tunnel has to go down."""
        self._check_lease(now_s)
        if self.pulse is not None:
            return self._live(now_s, self.pulse)
        if self.handshake_s is None:
            return self._reach(now_s)
        return self._rise(now_s, self.handshake_s)

    def next_s(self) -> float:
        """When `due` has to be asked again at the latest."""
        times = [self.lease_end_s]
        if self.pulse is not None:
            times += [self.pulse.next_s(), self.width.next_s()]
        elif self.handshake_s is None:
            end_s = self._run_s + HANDSHAKE_DEADLINE_S
            times += [self._probe_s, self._ask_s, self._again_s, end_s]
        elif self.answer_s is None:
            times += [self._probe_s, self.handshake_s + VM_DEADLINE_S]
        else:
            times.append(self.opened_s)  # at once
        return min(times)

    # -- before the handshake --------------------------------------------------------------------

    def _run(self, now_s: float) -> None:
        """Try a way from now on."""
        self._run_s = self._probe_s = now_s  # the first probe starts the handshake
        self._ask_s, self._ask_gap_s = math.inf, ASK_FIRST_S
        self._again_s = now_s + AGAIN_S[0]

    def _reach(self, now_s: float) -> list[Do | Probe]:
        if now_s >= self._run_s + HANDSHAKE_DEADLINE_S:
            return self._carry(now_s)
        tasks: list[Do | Probe] = []
        if now_s >= self._again_s:
            later = [self._run_s + gap_s for gap_s in AGAIN_S if self._run_s + gap_s > now_s]
            self._again_s = min(later, default=self._run_s + HANDSHAKE_DEADLINE_S)
            self._probe_s = now_s
            tasks.append(Do.AGAIN)
        if now_s >= self._probe_s:
            self._probe_s = now_s + EARLY_PROBE_S
            self._ask_s = min(self._ask_s, now_s + ASK_FIRST_S)
            tasks.append(self._probe())
        if now_s >= self._ask_s:
            self._ask_s = now_s + self._ask_gap_s
            self._ask_gap_s = min(2 * self._ask_gap_s, ASK_MOST_S)
            tasks.append(Do.ASK)
        return tasks

    def _carry(self, now_s: float) -> list[Do | Probe]:
        """The other way, once, with the same deadlines from now. Raises Over if there is none."""
        if not self.carrier:
            raise Over("handshake-timeout")
        self.carrier = False
        self._run(now_s)
        return [Do.CARRY]

    # -- from the handshake to the first answer --------------------------------------------------

    def _rise(self, now_s: float, handshake_s: float) -> list[Do | Probe]:
        if self.answer_s is not None:
            round_trip_s = min(handshake_s - self._run_s, abs(self.answer_s - handshake_s))
            self.pulse = Pulse(now_s, round_trip_s)
            self._count_s = now_s + COUNT_S
            return [Do.RISE]
        if now_s >= handshake_s + VM_DEADLINE_S:
            raise Over("vm-silent")
        if now_s < self._probe_s:
            return []
        self._rising_s = min(2 * self._rising_s, RISING_MOST_S)
        self._probe_s = now_s + self._rising_s
        return [self._probe()]

    # -- up --------------------------------------------------------------------------------------

    def _live(self, now_s: float, pulse: Pulse) -> list[Do | Probe]:
        if pulse.lost(now_s):
            raise Over("tunnel-lost")
        probe = pulse.due(now_s)
        tasks: list[Do | Probe] = []
        if probe and (pulse.missing or self._may_count(now_s, pulse)):
            tasks.append(Do.COUNT)
        if probe:
            tasks.append(self._probe())
            pulse.probed(now_s, self._probes)
        if pulse.missing:
            self.width.wait(now_s)
        before_bytes = self.width.mtu_bytes
        tasks += [self._probe(size) for size in self.width.sizes(now_s, pulse.round_trip_s)]
        if self.width.mtu_bytes != before_bytes:
            tasks.append(Do.NARROW)
        return tasks

    def _may_count(self, now_s: float, pulse: Pulse) -> bool:
        """Is it time, and has every probe gone through the interface?"""
        if now_s < self._count_s or not pulse.settled or not self.width.settled:
            return False
        self._count_s = now_s + COUNT_S
        return True

    def _probe(self, size_bytes: int | None = None) -> Probe:
        self._probes = (self._probes + 1) & 0xFFFF  # an echo's sequence number
        return Probe(self._probes, size_bytes)

    def _check_lease(self, now_s: float) -> None:
        if now_s >= self.lease_end_s:
            raise Over("lease-expired")
