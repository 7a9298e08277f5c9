"""The box's ear at the centre: one stream, in a thread and on a connection of its own [door].

It listens from boot on, tries again for ever, and hands on typed events in their order. Nothing
that comes in on it reaches a session but as one of them; a stream that is slow, silent, out of
order or nonsense is closed and opened anew.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sdbox_agent.centre import wire
from sdbox_agent.centre.eventstream import Reader
from sdbox_agent.centre.https import CentreBusy
from sdbox_agent.errors import Bug, SdboxError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_agent.centre.https import CentreClient

FIRST_RETRY_S: Final = 1.0
MAX_RETRY_S: Final = 60.0
STEADY_S: Final = 60.0  # a stream that lasted so long was a good one: the next try comes soon


@dataclass(frozen=True, slots=True)
class Up:
    """The centre listens and is listened to."""


@dataclass(frozen=True, slots=True)
class Down:
    """It is not, for the reason `code`; it is tried again."""

    code: str


Told = Up | Down | wire.Event


class Patience(Protocol):
    """This box's own waits; asked in the link's thread."""

    def busy(self, retry_after_s: float) -> None:
        """The centre asked for so much time."""

    def again_s(self, after_s: float) -> float:
        """The wait before another try, wanted in `after_s`."""


class BoxLink:
    """`start` once; `close` may come from any thread."""

    def __init__(
        self,
        connect: Callable[[], CentreClient],
        claim: Callable[[], wire.LinkRequest],
        told: Callable[[Told], None],
        patience: Patience,
        clock_s: Callable[[], float],
    ) -> None:
        """`claim` and `told` are called in the link's thread."""
        self._connect = connect
        self._claim = claim
        self._told = told
        self._patience = patience
        self._clock_s = clock_s
        self._last: int | None = None  # number of the last event taken
        self._lock = threading.Lock()
        self._client: CentreClient | None = None
        self._anew = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def start(self, after_s: float) -> None:
        """Listen, once so much time has gone."""
        self._after_s = after_s
        self._thread.start()

    def anew(self) -> None:
        """End the stream, and open another at once: for whoever listens it was never down."""
        with self._lock:
            if self._client is not None:
                self._anew = True
                self._client.close()

    def close(self) -> None:
        """For good; the thread is on its way out."""
        with self._lock:
            self._over.set()
            if self._client is not None:
                self._client.close()

    def _run(self) -> None:
        after_s, retry_s = self._after_s, 0.0
        while not self._over.wait(after_s):
            began_s = self._clock_s()
            code = self._listen()
            if self._over.is_set():
                return
            if self._ended_by_us():
                after_s = 0.0
                continue
            self._told(Down(code))
            retry_s = next_retry_s(retry_s, self._clock_s() - began_s)
            after_s = self._patience.again_s(retry_s)

    def _ended_by_us(self) -> bool:
        with self._lock:
            ended, self._anew, self._client = self._anew, False, None
        return ended

    def _listen(self) -> str:
        """One stream, to its end; why it ended."""
        with self._lock:
            if self._over.is_set():
                return "shutdown"
            self._client = self._connect()
        reader = Reader(self._last)
        try:
            self._client.listen(self._claim(), self._last, lambda piece: self._heard(reader, piece))
        except SdboxError as error:
            if isinstance(error, CentreBusy):
                self._patience.busy(error.retry_after_s)
            if error.code == "centre-answer-invalid":
                self._last = None  # whatever it was, it is not asked for again: all else is
            return error.code
        except Exception:  # noqa: BLE001  a bug in here must not leave the box deaf
            return Bug("unforeseen").code
        finally:
            self._client.close()

    def _heard(self, reader: Reader, piece: bytes) -> bool:
        """Raises DecodeError for what is no event of ours."""
        if not piece:
            self._told(Up())
        messages = reader.feed(piece)
        for message in messages:
            if message is not None:
                event = wire.decode_event(message.kind, message.data)
                self._last = message.number
                self._told(event)
        return bool(messages)


def next_retry_s(last_s: float, lasted_s: float) -> float:
    """How long to wait, after a stream that lasted so long; `last_s` was before it.

    One that never lasts is left alone longer and longer: it costs a record each time.
    """
    if lasted_s >= STEADY_S or not last_s:
        return FIRST_RETRY_S
    return min(2 * last_s, MAX_RETRY_S)
