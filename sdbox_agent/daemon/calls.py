"""Calls to the centre, one at a time in a thread of their own [door].

Answers come back in the loop, with the session that asked. A call of an ended session is cut short
by closing its connection, so that the next session never waits for it.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
from typing import TYPE_CHECKING, TypeVar

from sdbox_agent.centre.https import CentreBusy
from sdbox_agent.errors import Bug, SdboxError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from sdbox_agent.centre.https import CentreClient

    Connect = Callable[[], CentreClient]

Answer = TypeVar("Answer")


class Calls:
    """The queue of calls, and the one client they go through."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connect: Connect,
        busy: Callable[[float], None] = lambda _retry_after_s: None,
    ) -> None:
        """`connect` makes a client; it connects at its first call, and keeps the connection.

        `busy` is told the seconds that a centre with too much to do asks for.
        """
        self._busy = busy
        self._loop = loop
        self._connect = connect
        self._client = connect()
        self._threads = concurrent.futures.ThreadPoolExecutor(1, "centre")
        self._pending = 0
        self._at_rest: Callable[[], None] | None = None

    def ask(
        self,
        call: Callable[[CentreClient], Answer],
        answered: Callable[[Answer], None],
        failed: Callable[[str], None],
    ) -> None:
        """Make the call; `answered` or `failed` (an error code) runs in the loop."""
        client = self._client
        self._pending += 1

        def done(future: concurrent.futures.Future[Answer]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._deliver, future, answered, failed)

        self._threads.submit(call, client).add_done_callback(done)

    def cut(self) -> None:
        """End calls under way: their session is over."""
        if self._pending:
            old, self._client = self._client, self._connect()
            old.close()

    def when_at_rest(self, then: Callable[[], None]) -> None:
        """Run `then` in the loop once no call is under way: now, or after the last answer."""
        if self._pending:
            self._at_rest = then
        else:
            self._loop.call_soon(then)

    def close(self) -> None:
        """For good: a call under way is cut."""
        self._client.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _deliver(
        self,
        future: concurrent.futures.Future[Answer],
        answered: Callable[[Answer], None],
        failed: Callable[[str], None],
    ) -> None:
        self._pending -= 1
        if self._at_rest is not None and not self._pending:
            self._loop.call_soon(self._at_rest)
        try:
            answer = future.result()
        except SdboxError as error:
            if isinstance(error, CentreBusy):
                self._busy(error.retry_after_s)
            failed(error.code)
        except Exception:  # noqa: BLE001  a bug in a call closes its session
            failed(Bug("unforeseen").code)
        else:
            answered(answer)
