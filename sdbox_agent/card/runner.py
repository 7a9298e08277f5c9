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
    def call(self, waits_s: float = 0.0) -> Iterator[None]:
        """Mark one call that may never return; `waits_s` of it are lawful, a person's."""
        self._since_s = time.monotonic() + waits_s
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
    """A channel whose every call is marked.

    It is connected at its first use, in the card's thread, since that too may never return.
    """

    def __init__(self, runner: Runner, connect: Callable[[], Channel]) -> None:
        self._runner = runner
        self._connect = connect
        self._channel: Channel | None = None
        self._stopped = False

    @property
    def t0(self) -> bool:
        """As `Channel.t0`."""
        return self._taken().t0

    @property
    def atr(self) -> bytes:
        """As `Channel.atr`; raises what the channel's maker raises."""
        return self._taken().atr

    def exchange(self, frame: bytes | bytearray) -> bytes:
        """As `Channel.exchange`."""
        channel = self._taken()
        with self._runner.call():
            return channel.exchange(frame)

    def control(self, code: int, data: bytes, *, waits_s: float = 0.0) -> bytes:
        """As `Channel.control`."""
        channel = self._taken()
        with self._runner.call(waits_s):
            return channel.control(code, data)

    def stop(self) -> None:
        """As `Channel.stop`."""
        self._stopped = True

    def close(self, parting: tuple[bytes, ...] = ()) -> None:
        """As `Channel.close`."""
        self._stopped = True
        if self._channel is not None:
            with self._runner.call():
                self._channel.close(parting)

    def _taken(self) -> Channel:
        if self._stopped:
            raise Refused("card-removed")
        if self._channel is None:
            with self._runner.call():
                self._channel = self._connect()
        return self._channel
