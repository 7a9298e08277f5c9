"""The core's ends of the channels to its workers [door].

A worker's socket is held by the service manager, so connecting starts the worker if need be. When a
worker dies its channel ends; the link tells so at once, and connects again with a back-off. The
back-off starts anew only once a connection has lasted: a worker that speaks and dies is no better
than one that dies. Nothing here waits: a manager that does not accept holds up no other worker.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from sdbox_agent import ipc
from sdbox_agent.errors import DecodeError, Fault, SdboxError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

FIRST_RETRY_S: Final = 0.05
MAX_RETRY_S: Final = 2.0
STEADY_S: Final = 5.0  # a connection that lasted this long was a good one

Heard = TypeVar("Heard", bound=ipc.Message)


class Link(Generic[Heard]):
    """One worker, as the core reaches it; `Heard` is what it may say."""

    def __init__(  # noqa: PLR0913  keyword only, each named where it is made
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        path: Path,
        accepts: object,
        peer_uid: int,
        died: str,
        heard: Callable[[Heard], None],
        connected: Callable[[], None] = lambda: None,
        lost: Callable[[], None] = lambda: None,
        max_retry_s: float = MAX_RETRY_S,
    ) -> None:
        """`died` is the error code of this worker's death; the callbacks run in the loop."""
        self._loop = loop
        self._path = path
        self._accepts = accepts
        self._peer_uid = peer_uid
        self._died = died
        self._heard = heard
        self._connected = connected
        self._lost = lost
        self._channel: ipc.Channel[Heard] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._retry_s = FIRST_RETRY_S
        self._max_retry_s = max_retry_s
        self._since_s = 0.0  # when this connection was made

    @property
    def up(self) -> bool:
        """Is somebody there?"""
        return self._channel is not None

    def connect(self) -> None:
        """Connect now, or keep trying."""
        self._stop_retrying()
        try:
            channel: ipc.Channel[Heard] = ipc.connect(
                self._path, self._accepts, self._peer_uid, timeout_s=0
            )
        except OSError:
            self._later()
            return
        self._channel = channel
        self._since_s = self._loop.time()
        self._loop.add_reader(channel.fileno(), self._readable)
        with contextlib.suppress(SdboxError):  # gone already: `send` has said so, and tries again
            self._connected()

    def send(self, message: ipc.Message) -> None:
        """Send, or raise the Fault of this worker's death. A worker that does not read is dead."""
        if self._channel is None:
            raise Fault(self._died)
        try:
            self._channel.send(message)
        except OSError:
            self._die()
            raise Fault(self._died) from None

    def end(self) -> None:
        """End this connection, and with it a worker that lives for one. `connect` has the next."""
        self._stop_retrying()
        self._drop()

    def recycle(self) -> None:
        """The same, and connect to the next."""
        self._drop()
        self.connect()

    def close(self) -> None:
        """For good."""
        self.end()

    def _readable(self) -> None:
        channel = self._channel
        if channel is None:
            return
        try:
            message = channel.receive()
        except BlockingIOError:
            return
        except (DecodeError, OSError):  # Closed is one; a worker that talks nonsense is dead to us
            self._die()
            return
        self._heard(message)

    def _die(self) -> None:
        if self._loop.time() - self._since_s >= STEADY_S:
            self._retry_s = FIRST_RETRY_S
        self._drop()
        self._later()
        self._lost()

    def _drop(self) -> None:
        if self._channel is not None:
            self._loop.remove_reader(self._channel.fileno())
            self._channel.close()
            self._channel = None

    def _later(self) -> None:
        self._stop_retrying()
        self._retry = self._loop.call_later(self._retry_s, self.connect)
        self._retry_s = min(2 * self._retry_s, self._max_retry_s)

    def _stop_retrying(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
