"""What is played with the hardware, in this order; the card is revoked last."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from hil.scenarios import session

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.real.stage import Stage

OPEN_S: Final = 2.0  # a tunnel stays up so long before the card goes


def _open(stage: Stage) -> None:
    stage.do("insert-card", "scanning")
    stage.do("place-finger", "open", finger="first")
    stage.expect(session.residue(stage.rig), "no tunnel, though it says open")
    time.sleep(OPEN_S)


def _pull(stage: Stage) -> None:
    stage.do("remove-card", "spent", code="card-removed")
    stage.nothing_left()


def one_session(stage: Stage) -> None:
    """From card in to card out."""
    _open(stage)
    _pull(stage)


def other_finger(stage: Stage) -> None:
    """One attempt with a finger that is not on the card; the next, with the other that is."""
    stage.do("insert-card", "scanning")
    before = stage.watch.views[-1].attempts_left
    stage.do("place-finger", "comparing", finger="other")
    seen = stage.do("place-finger", "scanning", finger="other")
    fewer = seen.attempts_left is not None and (before is None or seen.attempts_left < before)
    stage.expect(fewer, "no attempt was counted")
    stage.do("place-finger", "open", finger="second")
    _pull(stage)


def pulled_early(stage: Stage) -> None:
    """Card out while the finger is awaited: no attempt, nothing up."""
    stage.do("insert-card", "scanning")
    _pull(stage)


def foreign_card(stage: Stage) -> None:
    """Whatever the card is: it is refused, and nothing is written to it."""
    seen = stage.do("insert-foreign", "spent")
    stage.expect(seen.code is not None, "no reason is given")
    stage.nothing_left()
    stage.do("remove-card", "idle", whatever=True)


def sensor_unplugged(stage: Stage) -> None:
    """The session ends by itself; the sensor comes back, and so does the box."""
    stage.do("insert-card", "scanning")
    stage.do("unplug-sensor", "spent", code="sensor-missing")
    stage.nothing_left()
    stage.confirm("plug-sensor")
    stage.do("remove-card", "idle", whatever=True)
    one_session(stage)


def reader_unplugged(stage: Stage) -> None:
    """The tunnel goes with the reader, as with the card."""
    _open(stage)
    stage.do("unplug-reader", "spent", "idle")
    stage.nothing_left()
    stage.confirm("plug-reader")
    one_session(stage)


def revoked_card(stage: Stage) -> None:
    """The authority's list has it by now."""
    stage.do("insert-card", "spent", code="card-revoked")
    stage.nothing_left()
    stage.do("remove-card", "idle", whatever=True)


SCENARIOS: Final[dict[str, Callable[[Stage], None]]] = {
    "session": one_session,
    "other-finger": other_finger,
    "pulled-early": pulled_early,
    "foreign-card": foreign_card,
    "sensor-unplugged": sensor_unplugged,
    "reader-unplugged": reader_unplugged,
    "revoked-card": revoked_card,
}
