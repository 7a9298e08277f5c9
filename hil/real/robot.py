"""The rig's own hands, for virtual hardware: they do what a person is asked to."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final

import numpy as np

from hil.card.card import PivCard
from hil.finger import Person
from hil.finger.sensor import SensorError, VirtualSensor
from hil.real.stage import Skipped

if TYPE_CHECKING:
    from pathlib import Path

    from hil.card.slot import Slot

POSITIONS: Final = {"first": 0, "second": 1}  # of the person's fingers
_TAKEN_S: Final = 5.0


class VirtualHands:
    """One card, one person, one reader, one sensor."""

    def __init__(self, card: PivCard, person: Person, slot: Slot, sensor: Path) -> None:
        self.card = card
        self._person, self._stranger = person, Person(person.seed + 1000)
        self._slot = slot
        self._sensor = sensor
        self._touches = 0

    def at_the_box(self, sensor: Path) -> None:
        """From the desk to the box: another sensor."""
        self._sensor = sensor

    def perform(self, gesture: str) -> None:
        """See Robot."""
        match gesture:
            case "insert-card" | "insert-blank":
                self._slot.insert(self.card)
            case "insert-foreign":
                self._slot.insert(PivCard.create())  # nothing of ours is on it
            case "remove-card":
                self._slot.remove()
            case "unplug-sensor":
                self._unplug()
            case "plug-sensor":
                pass  # the next process that opens it finds it
            case _:
                raise Skipped("a virtual reader has no plug")

    def touch(self, finger: str) -> None:
        """See Robot. From a thread: whoever reads the sensor may be this very process."""
        person = self._person if finger in POSITIONS else self._stranger
        self._touches += 1
        position = person.positions[POSITIONS.get(finger, 0)]
        pixels = np.ascontiguousarray(person.touch(position, self._touches, "good").pixels)
        threading.Thread(target=self._lay, args=(pixels,), daemon=True).start()

    def _unplug(self) -> None:
        try:
            with VirtualSensor.connect(self._sensor) as sensor:
                sensor.unplug()
                sensor.wait_taken(_TAKEN_S)
        except SensorError as error:
            raise Skipped(str(error)) from None

    def _lay(self, pixels: np.ndarray) -> None:
        with (
            contextlib.suppress(SensorError),  # the box has stopped waiting: it will ask again
            VirtualSensor.connect(self._sensor) as sensor,
        ):
            sensor.lay(pixels, taken_within_s=_TAKEN_S)
