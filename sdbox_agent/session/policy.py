"""What is fixed for the machine while this agent runs: who the box is, and every deadline."""

from __future__ import annotations

from dataclasses import dataclass

from sdbox_agent.terms import Level


@dataclass(frozen=True, slots=True)
class Policy:
    """The third argument of `step`. What the centre sets for one session comes with its answer."""

    box: str
    boot_id: str
    levels: tuple[Level, ...] = (Level.HOST_MATCH,)  # what card and box can do, strongest first
    retryable: frozenset[str] = frozenset()  # faults the box may try again by itself

    # Deadlines of the core. The doors have their own, shorter ones (card exchange 10 s, centre
    # connect 3 s and answer 5 s, handshake 5 s, VM 3 s) and tell the better code; these are for
    # the day when a door itself says nothing.
    card_s: float = 10.0
    centre_s: float = 9.0
    reference_s: float = 10.0
    comparison_s: float = 5.0
    choice_s: float = 120.0
    tunnel_s: float = 15.0
    settled_s: float = 3.0  # how long the end of a session stays on show once the card is out
    retry_s: float = 5.0  # first back-off after a retryable fault; doubles
    retry_max_s: float = 60.0
    renewal_retry_s: float = 5.0

    def session_id(self, n: int) -> str:
        """The name of session `n` on the wire: unique over boots."""
        return f"{self.boot_id}-{n}"

    def back_off_s(self, tries: int, code: str) -> float:
        """Seconds to wait before try number `tries` + 1, after that fault.

        It doubles; but a busy centre says itself when to come again, and somebody stands there who
        came before those whom it then lets in.
        """
        doublings = min(tries, 1 if code == "centre-busy" else 10)
        return min(self.retry_s * float(2**doublings), self.retry_max_s)
