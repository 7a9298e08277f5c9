"""Stand-ins for what the shell's sides talk to, and a loop whose clock the test moves."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

from sdbox_agent import ipc
from sdbox_agent.audit.outbox import Outbox
from sdbox_agent.daemon.context import Context
from sdbox_agent.daemon.received import Received
from sdbox_agent.errors import Fault
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.state import store
from sdbox_agent.state.attempts import Attempts
from sdbox_agent.state.marks import Marks
from sdbox_agent.state.model import ModelFileSystem
from tests.session.explore import POLICY
from tests.waiting import PATIENCE_S

N = 7  # the session of these tests
UTC_S = 1_800_000_000
LIVE = at.Checking(at.Session(N, 1, 0))


class Handle:
    def __init__(self, due_s: float, call: Callable[[], object]) -> None:
        self.due_s, self.call, self.cancelled = due_s, call, False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """As much of an event loop as timers need."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._timers: list[tuple[float, int, Handle]] = []
        self._count = itertools.count()

    def time(self) -> float:
        return self.now_s

    def call_later(self, after_s: float, call: Callable[..., object], *args: object) -> Handle:
        handle = Handle(self.now_s + after_s, lambda: call(*args))
        heapq.heappush(self._timers, (handle.due_s, next(self._count), handle))
        return handle

    def call_soon(self, call: Callable[..., object], *args: object) -> Handle:
        return self.call_later(0, call, *args)

    def waiting(self) -> list[float]:
        """When the timers that still count are due."""
        return sorted(due for due, _, handle in self._timers if not handle.cancelled)

    def move(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self._timers and self._timers[0][0] <= end_s:
            self.now_s, _, handle = heapq.heappop(self._timers)
            if not handle.cancelled:
                handle.call()
        self.now_s = end_s


class Link:
    """What a side sees of links.Link."""

    def __init__(self) -> None:
        self.sent: list[ipc.Message] = []
        self.acts: list[str] = []
        self.up = True

    def send(self, message: ipc.Message) -> None:
        if not self.up:
            raise Fault("card-worker-died")
        self.sent.append(message)

    def connect(self) -> None:
        self.acts.append("connect")
        self.up = True

    def end(self) -> None:
        self.acts.append("end")
        self.up = False

    def recycle(self) -> None:
        self.acts.append("recycle")
        self.up = True


class Calls:
    """What a side sees of calls.Calls: the test answers by hand."""

    def __init__(self) -> None:
        self.asked: list[tuple[Callable, Callable, Callable]] = []
        self.cuts = 0

    def ask(self, call: Callable, answered: Callable, failed: Callable) -> None:
        self.asked.append((call, answered, failed))

    def cut(self) -> None:
        self.cuts += 1

    def request(self) -> tuple[str, object]:
        """The newest call: its name and what it sends."""
        said: list[tuple[str, object]] = []

        class Client:
            def __getattr__(self, name: str) -> Callable:
                return lambda *body: said.append((name, *body))

        self.asked[-1][0](Client())
        return said[0]

    def answer(self, answer: object) -> None:
        self.asked[-1][1](answer)

    def fail(self, code: str) -> None:
        self.asked[-1][2](code)


class Bench:
    """A context over a store in memory; what is fed is kept."""

    def __init__(self, *, clock_set: bool = True) -> None:
        self.fed: list[on.Event] = []
        self.state: at.State = LIVE
        self.disk = ModelFileSystem()
        kept = store.create(self.disk)
        self.marks, self.attempts = Marks(kept), Attempts(kept)
        if clock_set:
            self.marks.hello(utc_s=UTC_S, wire=1, policy_version=1)
        self.context = Context(POLICY, self.marks, self.fed.append, lambda: self.state)
        self.received = Received(Outbox(self.disk, "boot"), self.context)

    def failed(self) -> str:
        """The code of the last event, which is a failure of this session."""
        event = self.fed[-1]
        assert isinstance(event, on.Failed)
        assert event.n == N
        return event.code


def turn(
    loop: asyncio.AbstractEventLoop, until: Callable[[], object], within_s: float = PATIENCE_S
) -> None:
    """Run a real loop until something is so."""
    end_s = time.monotonic() + within_s

    async def wait() -> None:
        while not until():
            assert time.monotonic() < end_s, "it never came"
            await asyncio.sleep(0.005)

    loop.run_until_complete(wait())
