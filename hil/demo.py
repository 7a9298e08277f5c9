"""`make demo LEVEL=host-match|card-match|card-pin`: one session, told as it happens, and refusals.

Every line printed is something that was seen: a state of the box, a packet, a process, a namespace.
What the rig can't show, it does not tell.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hil.rig import Rig
from hil.scenarios import session
from sdbox_agent import errors
from sdbox_agent.terms import Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.issuing import Holder
    from hil.operator import Watch
    from sdbox_agent.daemon.view import View

SEED, OTHER_SEED = 11, 12
PERSON: Final = {*session.ASKING, "choosing"}  # states that wait for the person
TOLD: Final = {
    "checking": "card in: the box reads it and checks its three certificates",
    "pinentry": "the card wants its PIN: from the prompt to the card worker, past the core",
    "codeentry": "the card took its PIN; the centre wants a one-time code",
    "proving": "certificates valid; the card answers the centre's challenge (9E)",
    "opening": "the centre served the sealed reference; the card opens it (9D)",
    "scanning": "reference open, the desk's signature holds; place your finger",
    "reserving": "finger scanned, good enough; the attempt is counted, box and centre",
    "comparing": "probe and reference are compared, in the finger process alone",
    "choosing": "the finger matches; which project?",
    "signing": "a fresh WireGuard key; card (9A) and box sign the receipt",
    "tunnelling": "the gateway verifies the receipt and installs the peer",
    "open": "tunnel up: new handshake seen, the VM answers through it",
    "closing": "card out: the tunnel goes down before all else",
    "spent": "tunnel confirmed dead; nothing is left",
}
TOLD_AT: Final = {  # where a level has it otherwise
    Level.CARD_MATCH: {
        "opening": "no reference leaves the card: it is told how many comparisons it may make",
        "scanning": "the box knows the finger by its place alone; place it",
        "comparing": "the probe goes to the card (VERIFY 96), and the card compares",
        "signing": "the match has opened 9A: card and box sign the receipt for a fresh key",
    },
    Level.CARD_PIN: {
        "reserving": "the attempt is counted, box and centre; the centre checks the code",
    },
}


@dataclass
class Teller:
    """Prints views as they come, with the time since the first."""

    level: Level
    start_ms: float = 0.0

    def tell(self, seen: View) -> None:
        """One line a new state."""
        self.start_ms = self.start_ms or seen.mono_ms
        what = {**TOLD, **TOLD_AT.get(self.level, {})}.get(seen.state, seen.state)
        _say(f"  {seen.mono_ms - self.start_ms:8.0f} ms  {seen.state:<11} {what}")


def main(argv: list[str] | None = None) -> int:
    """Play both parts; 0 if all went as it should."""
    parser = argparse.ArgumentParser(prog="hil.demo")
    parser.add_argument("--level", type=Level, choices=list(Level), default=Level.HOST_MATCH)
    level = parser.parse_args(argv).level
    _say("Setting up: namespaces, pcscd, a centre, a box, two people with cards …")
    with Rig() as rig:
        alice = rig.enrol("test-holder-01", SEED, ("p-alpha", "p-beta"), level=level)
        other = rig.enrol("test-holder-02", OTHER_SEED, ("p-alpha",), level=level)
        rig.start()
        watch = rig.watch()
        watch.state("idle")
        good = _one_session(rig, watch, alice, Teller(level))
        good &= _refusals(rig, watch, alice, other)
    _say("All as it should be." if good else "NOT as it should be.")
    return 0 if good else 1


def _one_session(rig: Rig, watch: Watch, holder: Holder, teller: Teller) -> bool:
    _say(f"\nPart 1: one session at level {teller.level}")
    first = len(watch.views)
    with _telling(watch, teller):
        seen = session.enter(rig, watch, holder, "p-beta")
        if seen.state != "open":
            return _bad(f"expected an open tunnel, saw {seen.state} ({seen.code})")
        _say(
            f"               project {seen.project}, level {seen.level}: handshake "
            f"{seen.handshake_ms:.1f} ms after the start, VM's answer {seen.vm_ms:.1f} ms"
        )
        _say(f"               inside the session namespace: {', '.join(session.residue(rig))}")
        time.sleep(0.5)
        ended = session.leave(rig, watch)
    left = session.residue(rig)
    _say(f"               inside the session namespace: {', '.join(left) or 'lo alone'}")
    _table(watch.views[first:])
    return ended.code == "card-removed" and not left


def _table(views: list[View]) -> None:
    _say("\n  step         ms")
    for one, following in itertools.pairwise(views):
        if one.state not in {"idle", "open", "spent"}:
            note = " (waits for the person)" if one.state in PERSON else ""
            _say(f"  {one.state:<11}{following.mono_ms - one.mono_ms:8.1f}{note}")


def _refusals(rig: Rig, watch: Watch, alice: Holder, other: Holder) -> bool:
    _say("\nPart 2: three refusals")
    good = True

    _say("  someone else with this card:")
    seen = session.to_person(rig, watch, alice)
    if seen.state == "pinentry":
        rig.operator.pin(alice.pin)
        seen = watch.state("codeentry", *session.OVER)
    while seen.state in {"scanning", "codeentry"}:
        seen = _not_hers(rig, watch, seen.state, other)
        if seen.state == "closing":
            seen = watch.state("spent")
        if seen.state in {"scanning", "codeentry"}:
            _say(f"    not hers; attempts left: {seen.attempts_left}")
    good &= _refused(seen, "attempts-exhausted")
    session.leave_spent(rig, watch)

    _say("  a revoked card:")
    rig.issuing.revoke(other.certificates.auth)
    rig.centre.publish_crl()
    good &= _refused(session.to_person(rig, watch, other), "card-revoked")
    session.leave_spent(rig, watch)

    _say("  a card pulled while the tunnel is up:")
    seen = session.enter(rig, watch, alice, "p-alpha")
    if seen.state != "open":
        return _bad(f"expected an open tunnel, saw {seen.state} ({seen.code})")
    _say("    tunnel up …")
    ended = session.leave(rig, watch)
    good &= _refused(ended, "card-removed")
    left = session.residue(rig)
    _say(f"    inside the session namespace: {', '.join(left) or 'lo alone'}")
    return good and not left


def _not_hers(rig: Rig, watch: Watch, state: str, other: Holder) -> View:
    """Another person's finger, or the code of another person's device; what comes of it."""
    if state == "scanning":
        return session.touch(rig, watch, other.person)
    rig.operator.code(other.device.code())
    watch.state("reserving")
    return watch.state("codeentry", "choosing", "signing", "spent")


def _refused(seen: View, code: str) -> bool:
    if seen.code != code:
        return _bad(f"expected {code}, saw {seen.state} ({seen.code})")
    _say(f"    {errors.render(code, 'en')}")
    return True


@contextlib.contextmanager
def _telling(watch: Watch, teller: Teller) -> Iterator[None]:
    watch.seen = teller.tell
    try:
        yield
    finally:
        watch.seen = None


def _bad(what: str) -> bool:
    _say(f"  !! {what}")
    return False


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
