"""[door] One thread for the card, so that a card which never answers stops nobody else.

A call into PC/SC can't be cancelled. So the calls run here, each between two marks, and whoever
owns the runner asks `busy_since_s` how long the present one has lasted. If that is too long there
is one way out: the process ends, and pcscd resets the card of a client that is gone.
"""

from __future__ import annotations

import queue
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sdbox_agent.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sdbox_agent.card.channel import Channel


class Runner:
    """Runs jobs one after another; jobs raise nothing."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._outstanding = 0
        self._since_s: float | None = None
        threading.Thread(target=self._run, name="card", daemon=True).start()

    def submit(self, job: Callable[[], None]) -> None:
        """Have `job` done after those before it."""
        with self._lock:
            self._outstanding += 1
            if self._outstanding == 1:
                self._since_s = time.monotonic()
        self._jobs.put(job)

    @property
    def busy_since_s(self) -> float | None:
        """Since when nothing has moved, on the monotonic clock; None while there is nothing to do.

        It is set with the submission, before the thread wakes: whoever reads it after submitting
        sees that he has to come back.
        """
        return self._since_s

    @contextmanager
    def call(self) -> Iterator[None]:
        """Mark one call that may never return."""
        self._since_s = time.monotonic()
        try:
            yield
        finally:
            self._since_s = time.monotonic()

    def _run(self) -> None:
        while True:
            self._jobs.get()()
            with self._lock:
                self._outstanding -= 1
                self._since_s = time.monotonic() if self._outstanding else None


class Link:
    """A channel whose every call is marked, and which can be told from outside to stop.

    It is connected lazily, by `connect`, since that too is a call that may never return.
    """

    def __init__(self, runner: Runner, connect: Callable[[], Channel]) -> None:
        self._runner = runner
        self._connect = connect
        self._channel: Channel | None = None
        self._stopped = False

    def connect(self) -> None:
        """Take the card. Raises what the channel's maker raises."""
        self._check()
        with self._runner.call():
            self._channel = self._connect()

    def stop(self) -> None:
        """From any thread: the call in flight is the last."""
        self._stopped = True

    @property
    def t0(self) -> bool:
        """As the channel's."""
        return self._channel is not None and self._channel.t0

    def exchange(self, frame: bytes) -> bytes:
        """As the channel's; Refused("card-removed") once stopped."""
        self._check()
        if self._channel is None:
            raise Refused("card-removed")
        with self._runner.call():
            return self._channel.exchange(frame)

    def close(self) -> None:
        """As the channel's."""
        self._stopped = True
        if self._channel is not None:
            with self._runner.call():
                self._channel.close()

    def _check(self) -> None:
        if self._stopped:
            raise Refused("card-removed")
