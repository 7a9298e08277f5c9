"""The hands: insert and remove a card, place a finger, choose a project, and watch.

The same four gestures can be made by the rig or by a person with real hardware in front of them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from hil.finger.sensor import VirtualSensor
from sdbox_agent import ipc
from sdbox_agent.daemon import view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hil.box import Box
    from hil.card.card import Card
    from hil.card.faults import Fault
    from hil.card.insertion import Insertion
    from hil.card.slot import Slot
    from hil.finger import Person

WAIT_S: Final = 20.0


class Waited(TimeoutError):  # noqa: N818
    """What was expected did not come; the message says what was seen instead."""


@dataclass
class Watch:
    """The local socket, from the moment it is opened: every view, in order, with its time."""

    box: Box
    views: list[view.View] = field(default_factory=list)
    seen: Callable[[view.View], None] | None = None  # told of each view as it comes

    def __post_init__(self) -> None:
        path = self.box.paths.agent_socket
        self._channel: ipc.Channel[ipc.Message] = ipc.connect(
            path, view.FromBox, path.stat().st_uid
        )
        self._channel.send(view.WatchBox())

    def until(
        self, wanted: Callable[[view.View], bool], what: str, within_s: float = WAIT_S
    ) -> view.View:
        """The first view from here on that is `wanted`."""
        deadline = time.monotonic() + within_s
        while (left := deadline - time.monotonic()) > 0:
            self._channel.sock.settimeout(left)
            try:
                seen = self._channel.receive()
            except (TimeoutError, BlockingIOError):
                break
            assert isinstance(seen, view.View)
            self.views.append(seen)
            if self.seen is not None and (
                len(self.views) < 2 or self.views[-2].state != seen.state
            ):
                self.seen(seen)
            if wanted(seen):
                return seen
        seen_states = ", ".join(f"{one.state}({one.code})" for one in self.views[-8:])
        raise Waited(f"no {what}; seen: {seen_states}")

    def state(self, *names: str, within_s: float = WAIT_S) -> view.View:
        """The next view in one of these states."""
        return self.until(
            lambda one: one.state in names and self._is_news(), " or ".join(names), within_s
        )

    def code(self, code: str, *, state: str = "spent", within_s: float = WAIT_S) -> view.View:
        """The next view in `state` with that code."""
        return self.until(
            lambda one: one.state == state and one.code == code and self._is_news(),
            f"{state} {code}",
            within_s,
        )

    def _is_news(self) -> bool:
        """Does the last view tell more than that the link came or went?"""
        if len(self.views) < 2:
            return True
        before, last = self.views[-2:]
        return msgspec.structs.replace(before, link=last.link) != last

    def close(self) -> None:
        """Look away."""
        self._channel.close()


class Operator:
    """The rig's own hands."""

    def __init__(self, box: Box, slot: Slot) -> None:
        self.box = box
        self._slot = slot

    def insert(self, card: Card, faults: Iterable[Fault] = ()) -> Insertion:
        """Put a card in the reader."""
        return self._slot.insert(card, faults)

    def remove(self) -> Insertion | None:
        """Pull it."""
        return self._slot.remove()

    def place(self, person: Person, position: int | None = None, quality: str = "good") -> float:
        """Lay a finger on the sensor; when, on the monotonic clock, in ms."""
        position = person.positions[0] if position is None else position
        touch = person.touch(position, next(self.box.touches), quality)
        return self.lay(touch.pixels)

    def lay(self, pixels: np.ndarray, *, asked: bool = True) -> float:
        """Lay these pixels on the sensor, as soon as the box asks for a finger (`asked`)."""
        if asked:
            watch = Watch(self.box)
            try:
                watch.until(lambda one: one.waits, "prompt")
            finally:
                watch.close()
        with VirtualSensor.connect(self.box.sensor_socket) as sensor:
            laid_ms = time.monotonic() * 1000
            sensor.lay(np.ascontiguousarray(pixels), taken_within_s=5)
        return laid_ms

    def choose(self, project: str) -> ipc.Message:
        """Say which project; the box's answer."""
        return self._say(view.ChooseProject(project=project))

    def code(self, code: str) -> ipc.Message:
        """Give a one-time code; the box's answer, which is not the centre's."""
        return self._say(view.EnterCode(code=code))

    def pin(self, digits: str, *options: str) -> int:
        """Type the card's PIN at the prompt; its exit status (0: the card took it)."""
        return self.box.prompt(digits, *options)

    def _say(self, message: ipc.Message) -> ipc.Message:
        path = self.box.paths.agent_socket
        channel: ipc.Channel[ipc.Message] = ipc.connect(path, view.FromBox, path.stat().st_uid)
        try:
            channel.send(message)
            channel.sock.settimeout(WAIT_S)
            return channel.receive()
        finally:
            channel.close()
