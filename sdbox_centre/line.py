"""Who waits for one of the API's threads, and in which order; who is sent away, to come later.

A box that renews a lease goes before one whose holder stands there, and both before newcomers: a
lease must not die in a queue of them. Among leases, the one that was renewed longest ago goes
first: it ends first (earliest deadline first: Liu and Layland, JACM 20, 1973, section 7). Only
newcomers are capped: the others have been let in, one call a connection at a time, and connections
are bounded. Used in one event loop alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import heapq
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from sdbox_agent.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS: Final = 3  # more of them fight for the interpreter: 4 did 17.3 sessions a second, 3 18.2
MOST_NEWCOMERS: Final = 16  # waiting: half a second's work, and who is under way goes before them
MOST_LEASES: Final = 4096  # remembered: of each that may be connected
RETRY_AFTER_S: Final = 3  # what those beyond are told; each box adds a share of its own

Result = TypeVar("Result")


class Rank(enum.IntEnum):
    """Lower goes first."""

    LEASE = 0  # somebody is in
    UNDER_WAY = 1  # somebody stands before a box that was greeted
    NEWCOMER = 2


class Line:
    """Threads, and the calls that wait for one."""

    def __init__(self, threads: int = THREADS, most_newcomers: int = MOST_NEWCOMERS) -> None:
        self._pool = ThreadPoolExecutor(threads, "call")
        self._free = threads
        self._most_newcomers = most_newcomers
        self._newcomers = 0
        self._order = itertools.count()
        self._waiting: list[tuple[Rank, float, int, asyncio.Future[None]]] = []
        self._leased_s: dict[bytes, float] = {}  # whose lease was seen to last when, oldest first

    async def run(
        self,
        rank: Rank,
        call: Callable[[], Result],
        who: bytes = b"",
        gone: Callable[[], bool] = lambda: False,
    ) -> Result:
        """Call it in a thread when its turn has come. Raises Fault("centre-busy"), and as it does.

        A call that has begun runs to its end, also when nobody waits for it any more. One whose
        asker is `gone` before is not begun: he asks again, and others wait for that thread. When
        the database comes back, what had waited for it would else go before those who still do.
        """
        await self._turn(rank, who)
        if gone():
            self._next()
            raise Fault("centre-busy")  # nobody hears it
        running = self._pool.submit(call)
        running.add_done_callback(self._over(asyncio.get_running_loop()))
        answer = await asyncio.wrap_future(running)
        if rank is Rank.LEASE:
            self._leased(who)
        return answer

    def close(self) -> None:
        """After the last call."""
        self._pool.shutdown()

    def _leased(self, who: bytes) -> None:
        self._leased_s.pop(who, None)
        self._leased_s[who] = asyncio.get_running_loop().time()
        if len(self._leased_s) > MOST_LEASES:
            del self._leased_s[next(iter(self._leased_s))]

    async def _turn(self, rank: Rank, who: bytes) -> None:
        if self._free:
            self._free -= 1
            return
        newcomer = rank is Rank.NEWCOMER
        if newcomer and self._newcomers >= self._most_newcomers:
            raise Fault("centre-busy")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        since_s = self._leased_s.get(who, 0.0) if rank is Rank.LEASE else 0.0
        heapq.heappush(self._waiting, (rank, since_s, next(self._order), turn))
        self._newcomers += newcomer
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it had come all the same
                self._next()
            raise
        finally:
            self._newcomers -= newcomer

    def _over(self, loop: asyncio.AbstractEventLoop) -> Callable[[object], None]:
        def over(_running: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has closed
                loop.call_soon_threadsafe(self._next)

        return over

    def _next(self) -> None:
        """A thread is free: the first that still waits has its turn."""
        while self._waiting:
            *_, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
