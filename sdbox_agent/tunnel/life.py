"""When a tunnel is up and when it is over, from what was seen and the time it was seen at.

Decides only; the helper sends the probes, asks wireguard-go, and takes the tunnel down.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Final

HANDSHAKE_DEADLINE_S: Final = 5.0
VM_DEADLINE_S: Final = 3.0  # from the handshake
EARLY_PROBE_S: Final = 0.25  # before the handshake: wireguard-go keeps the first one waiting
RISING_PROBE_S: Final = 0.004  # from the handshake to the first answer; twice as long each time
RISING_MOST_S: Final = 0.1
PROBE_S: Final = 1.0  # once up
PROBES_LOST: Final = 3  # without an answer in between: the VM or the way to it is gone
ASK_FIRST_S: Final = 0.002  # first look for the handshake; then twice as long each time
ASK_MOST_S: Final = 0.05


@enum.unique
class Do(enum.Enum):
    """What is due now."""

    ASK = "ask wireguard-go for the last handshake"
    PROBE = "send an echo request"
    RISE = "tell that it is up"
    CARRY = "go on over the carrier: UDP brought no handshake"


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
    carrier: bool = False  # there is another way than UDP, not tried yet
    handshake_s: float | None = None
    answer_s: float | None = None  # the first one
    up: bool = False
    probes: int = 0  # sent
    unanswered: int = 0  # since the last answer
    _run_s: float = field(init=False)  # when the present way was first tried
    _probe_s: float = field(init=False)
    _ask_s: float = field(init=False)
    _ask_gap_s: float = ASK_FIRST_S
    _rising_s: float = RISING_PROBE_S

    def __post_init__(self) -> None:
        self._run_s = self.opened_s
        self._probe_s = self.opened_s  # the first one starts the handshake
        self._ask_s = self.opened_s + ASK_FIRST_S

    def extend(self, now_s: float, lease_s: float) -> None:
        """A renewed lease runs from now. Raises Over if the old one has already ended."""
        self._check_lease(now_s)
        self.lease_end_s = now_s + lease_s

    def handshake_seen(self, now_s: float) -> None:
        """wireguard-go knows a handshake; its process is younger than this tunnel's key."""
        if self.handshake_s is None:
            self.handshake_s = now_s
            self._probe_s = now_s + RISING_PROBE_S  # the one that waited is on its way

    def answer_seen(self, now_s: float) -> None:
        """The VM answered a probe."""
        self.unanswered = 0
        if self.answer_s is None:
            self.answer_s = now_s
            self._ask_s = now_s  # if the handshake has not been seen yet, it is there

    def due(self, now_s: float) -> list[Do]:
        """What is to be done now. Raises Over when the tunnel has to go down."""
        self._check_lease(now_s)
        if self.handshake_s is None and now_s >= self._run_s + HANDSHAKE_DEADLINE_S:
            return self._carry(now_s)
        if self.answer_s is None and self.handshake_s is not None:
            self._check_vm(now_s, self.handshake_s)
        tasks = []
        if self.handshake_s is None and now_s >= self._ask_s:
            self._ask_s = now_s + self._ask_gap_s
            self._ask_gap_s = min(2 * self._ask_gap_s, ASK_MOST_S)
            tasks.append(Do.ASK)
        if now_s >= self._probe_s:
            self._count_probe(now_s)
            tasks.append(Do.PROBE)
        if not self.up and self.handshake_s is not None and self.answer_s is not None:
            self.up = True
            self._probe_s = now_s + PROBE_S
            tasks.append(Do.RISE)
        return tasks

    def next_s(self) -> float:
        """When `due` has to be asked again at the latest."""
        times = [self.lease_end_s, self._probe_s]
        if self.handshake_s is None:
            times += [self._ask_s, self._run_s + HANDSHAKE_DEADLINE_S]
        elif self.answer_s is None:
            times.append(self.handshake_s + VM_DEADLINE_S)
        elif not self.up:
            times.append(self.opened_s)  # at once
        return min(times)

    def _carry(self, now_s: float) -> list[Do]:
        """The other way, once, with the same deadlines from now. Raises Over if there is none."""
        if not self.carrier:
            raise Over("handshake-timeout")
        self.carrier = False
        self._run_s = self._probe_s = now_s
        self._ask_s, self._ask_gap_s = now_s + ASK_FIRST_S, ASK_FIRST_S
        return [Do.CARRY]

    def _check_lease(self, now_s: float) -> None:
        if now_s >= self.lease_end_s:
            raise Over("lease-expired")

    @staticmethod
    def _check_vm(now_s: float, handshake_s: float) -> None:
        if now_s >= handshake_s + VM_DEADLINE_S:
            raise Over("vm-silent")

    def _count_probe(self, now_s: float) -> None:
        if self.up and self.unanswered >= PROBES_LOST:
            raise Over("tunnel-lost")
        self.probes += 1
        self.unanswered += 1
        if self.up:
            gap_s = PROBE_S
        elif self.handshake_s is None:
            gap_s = EARLY_PROBE_S
        else:
            gap_s = self._rising_s = min(2 * self._rising_s, RISING_MOST_S)
        self._probe_s = now_s + gap_s
