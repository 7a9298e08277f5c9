"""The one owner of the session: takes events one at a time, performs what `step` asks for.

It decides nothing. It knows timers and the order of things; doors do the rest through `perform`.
Nothing that goes wrong leaves a live session standing: it fails, and closes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sdbox_agent.errors import Bug, SdboxError
from sdbox_agent.session import effects as do
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.ends import unforeseen
from sdbox_agent.session.machine import start, step

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from sdbox_agent.session.policy import Policy

    Perform = Callable[[do.Effect], None]


class Shell:
    """Runs the machine on an event loop, in one thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        policy: Policy,
        perform: Perform,
        show: Callable[[at.State], None],
        again_s: Callable[[float], float] = lambda after_s: after_s,
    ) -> None:
        """`perform` does one effect or raises SdboxError; `show` is told each new state.

        `again_s` is this box's own wait before another try.
        """
        self._loop = loop
        self._policy = policy
        self._perform = perform
        self._show = show
        self._again_s = again_s
        self._timers: dict[on.Timer, asyncio.TimerHandle] = {}
        self._queue: deque[on.Event] = deque()
        self._busy = False
        self.state, effects = start()
        self._first = effects

    def start(self) -> None:
        """Take down what an earlier agent may have left."""
        self._do(self._first)
        self._tell()

    def feed(self, event: on.Event) -> None:
        """Take an event. One that an effect brings about waits until that step is done."""
        self._queue.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._queue:
                self._take(self._queue.popleft())
        finally:
            self._busy = False

    def _take(self, event: on.Event) -> None:
        before = self.state
        try:
            self.state, effects = step(before, event, self._policy)
        except Exception:  # noqa: BLE001  the table itself is wrong: close what is open
            self.state, effects = (
                unforeseen(before) if isinstance(before, at.Live) else (before, ())
            )
        self._do(effects)
        if self.state != before:
            self._tell()

    def _tell(self) -> None:
        try:
            self._show(self.state)
        except Exception:  # noqa: BLE001  a session that can't be shown must not go on unseen
            if isinstance(self.state, at.Live):
                self._queue.append(on.Failed(self.state.session.n, Bug("unforeseen").code))

    def _do(self, effects: tuple[do.Effect, ...]) -> None:
        """In order. A failure drops the rest and comes back as Failed, unless we are closing."""
        for effect in effects:
            try:
                self._one(effect)
            except SdboxError as error:
                code = error.code
            except Exception:  # noqa: BLE001  a bug of ours must close the session, not the agent
                code = Bug("unforeseen").code
            else:
                continue
            if isinstance(self.state, at.Live):
                self._queue.append(on.Failed(effect.n, code))
                return

    def _one(self, effect: do.Effect) -> None:
        match effect:
            case do.SetTimer():
                self._clear(effect.timer)
                timed_out = on.TimedOut(effect.n, effect.timer)
                retries = effect.timer is on.Timer.RETRY
                after_s = self._again_s(effect.after_s) if retries else effect.after_s
                self._timers[effect.timer] = self._loop.call_later(after_s, self.feed, timed_out)
            case do.ClearTimer():
                self._clear(effect.timer)
            case do.ClearTimers():
                for timer in list(self._timers):
                    self._clear(timer)
            case _:
                self._perform(effect)

    def _clear(self, timer: on.Timer) -> None:
        handle = self._timers.pop(timer, None)
        if handle is not None:
            handle.cancel()
