"""The open streams of this process [door]: one a box, fed from the events table each 250 ms.

Staff's commands and other API processes write events too, so nothing but the table is asked: one
query for all boxes. Two transactions may commit in another order than their events' ids, so each
query begins behind the newest; every stream knows what it has sent.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from sdbox_agent.centre import eventstream
from sdbox_agent.errors import Fault
from sdbox_centre import link, linkrows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from sqlalchemy import Row

    from sdbox_agent.centre.eventstream import Message
    from sdbox_centre.connections import Connections
    from sdbox_centre.core import Centre
    from sdbox_centre.link import Opened

POLL_S: Final = 0.25
ANNOUNCE_S: Final = 1.0  # how often lists and policy are looked at
KEEP_ALIVE_S: Final = 15.0
MAX_QUEUED: Final = 64  # events a box has not taken: it is dropped, and comes again
SETTLED_S: Final = 60.0  # a transaction that began so long ago has ended
BEHIND_IDS: Final = 1000  # and so many may be under way when this process starts

Answer = TypeVar("Answer")
log = logging.getLogger("sdbox.centre")


class _News(NamedTuple):
    """One look at the tables."""

    events: Sequence[Row[Any]]  # that streams here have not sent
    closed: frozenset[bytes]  # fingerprints of boxes out of service


class _Behind:
    """Where to begin each query: an id that no transaction under way can have."""

    def __init__(self, newest: int) -> None:
        """`newest`: the highest id there is, at the first look."""
        self._newest = newest
        self.floor = self._next = max(0, newest - BEHIND_IDS)
        self._settles_s = float("-inf")

    def seen(self, newest: int, now_s: float) -> None:
        """So far has been looked; what was seen a while ago is settled."""
        self._newest = max(self._newest, newest)
        if now_s >= self._settles_s:
            self.floor, self._next, self._settles_s = self._next, self._newest, now_s + SETTLED_S


class _Stream:
    """What one box has yet to be sent."""

    def __init__(self, opened: Opened, drop: Callable[[], None]) -> None:
        self.box = opened.box
        self.seq = opened.seq  # of the last message that was queued
        self.drop = drop
        self.queue: asyncio.Queue[Message] = asyncio.Queue(MAX_QUEUED)

    def put(self, message: Message) -> None:
        """Queue the next message; one that does not fit, or is not the next, ends the stream."""
        if message.number <= self.seq:
            return
        if message.number != self.seq + 1 or self.queue.full():
            self.drop()
            return
        self.seq = message.number
        self.queue.put_nowait(message)


class Streams:
    """Every stream here, and the one task that feeds them. In the event loop alone."""

    def __init__(
        self, centre: Centre, crls: Callable[[], tuple[bytes, ...]], connections: Connections
    ) -> None:
        self._centre = centre
        self._crls = crls
        self._connections = connections
        self._of: dict[str, _Stream] = {}
        self._behind: _Behind | None = None  # until the first look
        self._late = False  # said in the log
        self._announced: tuple[bytes, ...] | None = None  # lists, when last looked at
        self._closed: frozenset[bytes] = frozenset()  # boxes to be cut, seen at the last look
        self._threads = ThreadPoolExecutor(1, "events")  # calls can't hold it up

    def __len__(self) -> int:
        return len(self._of)

    async def follow(self, opened: Opened, drop: Callable[[], None]) -> AsyncIterator[bytes]:
        """The text of a box's stream. `drop` ends its connection at once.

        A box has one stream: an older one ends here.
        """
        stream = _Stream(opened, drop)
        older, self._of[stream.box] = self._of.get(stream.box), stream
        if older is not None:
            older.drop()
        try:
            for message in opened.missed:
                yield eventstream.encode(message)
            while True:
                try:
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        message = await stream.queue.get()
                except TimeoutError:
                    yield eventstream.KEEP_ALIVE
                else:
                    yield eventstream.encode(message)
        finally:
            if self._of.get(stream.box) is stream:
                del self._of[stream.box]

    async def feed(self) -> None:
        """Until cancelled: hand on what is new, cut who is out of service."""
        loop = asyncio.get_running_loop()
        announces_s = loop.time()
        while True:
            if loop.time() >= announces_s:
                announces_s = loop.time() + ANNOUNCE_S
                await self._ask(self._announce)
            positions = {stream.box: stream.seq for stream in self._of.values()}
            news = await self._ask(partial(self._news, positions, loop.time()))
            if news is not None:
                self._take(news)
            await asyncio.sleep(POLL_S)

    def drop_all(self) -> None:
        """End every stream: their boxes come again, here or to another process."""
        for stream in tuple(self._of.values()):
            stream.drop()

    def close(self) -> None:
        """No question is under way afterwards; `feed` must have ended."""
        self._threads.shutdown()

    async def _ask(self, question: Callable[[], Answer]) -> Answer | None:
        """In the thread; None if the database was not to be had: it is asked again.

        Nothing may end this for good: boxes would listen, and hear no more.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, question)
        except Exception as error:  # noqa: BLE001  whatever it was, the next look may see
            if not self._late:
                log.warning("events are late: %s", type(error).__name__)
            self._late = True
            return None

    def _announce(self) -> None:
        try:
            crls = self._crls()
        except Fault:  # no list that may be served: whoever asks for one is told
            return
        if crls != self._announced:  # two processes whose files differ for a while: each says once
            link.announce(self._centre, crls)
            self._announced = crls

    def _news(self, positions: dict[str, int], now_s: float) -> _News:
        with self._centre.store.begin() as tx:
            if self._behind is None:
                self._behind = _Behind(linkrows.newest_event(tx))
            heads = linkrows.heads(tx, self._behind.floor)
            self._behind.seen(heads[-1].id if heads else 0, now_s)
            due = [head.id for head in heads if head.seq > positions.get(head.box, head.seq)]
            events = linkrows.whole(tx, due) if due else []
            return _News(events, linkrows.closed(tx))

    def _take(self, news: _News) -> None:
        for event in news.events:
            stream = self._of.get(event.box)
            if stream is not None:
                stream.put(link.message(event))
        self._late = False
        closed = self._connections.among(news.closed)
        for fingerprint in closed & self._closed:  # told at the last look, if it has a stream
            self._connections.cut(fingerprint)
        self._closed = closed
