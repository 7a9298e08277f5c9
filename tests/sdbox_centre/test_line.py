"""Leases first, newcomers last and not too many of them."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator

import pytest

from sdbox_agent.errors import Fault
from sdbox_centre.line import Line, Rank


class Held:
    """A line of one thread, busy until let go; `ran` is who came after, in order."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.ran: list[str] = []
        self._go = threading.Event()
        self._tasks: list[asyncio.Task] = []

    async def begin(self) -> None:
        began = threading.Event()

        def first() -> None:
            began.set()
            self._go.wait()

        self.ask_for(Rank.LEASE, first)
        while not began.is_set():
            await asyncio.sleep(0)

    def ask_for(self, rank: Rank, call, who: bytes = b"") -> asyncio.Task:
        task = asyncio.create_task(self.line.run(rank, call, who))
        self._tasks.append(task)
        return task

    async def ask(self, rank: Rank, name: str) -> asyncio.Task:
        """By a box of that name."""
        task = self.ask_for(rank, lambda: self.ran.append(name), name.encode())
        await asyncio.sleep(0)
        return task

    async def let_go(self) -> None:
        self._go.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def held(most_newcomers: int = 10, line: Line | None = None) -> AsyncIterator[Held]:
    one = Held(line or Line(1, most_newcomers))
    await one.begin()
    yield one
    await one.let_go()
    one.line.close()


def test_a_call_runs_in_a_thread_and_its_error_comes_back() -> None:
    async def play() -> None:
        line = Line(2)
        name = await line.run(Rank.NEWCOMER, lambda: threading.current_thread().name)
        assert name.startswith("call")
        with pytest.raises(ZeroDivisionError):
            await line.run(Rank.NEWCOMER, lambda: 1 // 0)
        line.close()

    asyncio.run(play())


def test_leases_go_before_those_under_way_and_both_before_newcomers() -> None:
    async def play() -> list[str]:
        async with held() as one:
            await one.ask(Rank.NEWCOMER, "hello 1")
            await one.ask(Rank.NEWCOMER, "hello 2")
            await one.ask(Rank.UNDER_WAY, "receipt")
            await one.ask(Rank.LEASE, "renew")
        return one.ran

    assert asyncio.run(play()) == ["renew", "receipt", "hello 1", "hello 2"]


def test_newcomers_beyond_the_cap_are_sent_away_and_nobody_else_is() -> None:
    async def play() -> None:
        async with held(most_newcomers=2) as one:
            for name in ("one", "two"):
                await one.ask(Rank.NEWCOMER, name)
            with pytest.raises(Fault, match=r"^centre-busy$"):
                await one.line.run(Rank.NEWCOMER, lambda: None)
            for n in range(5):
                await one.ask(Rank.LEASE, f"lease {n}")
                await one.ask(Rank.UNDER_WAY, f"under way {n}")
            await one.let_go()
            assert len(one.ran) == 12
            assert await one.line.run(Rank.NEWCOMER, lambda: "room again") == "room again"

    asyncio.run(play())


def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    async def play() -> list[str]:
        left = []
        async with held() as one:
            asked = one.line.run(
                Rank.LEASE, lambda: one.ran.append("in vain"), gone=lambda: bool(left)
            )
            in_vain = asyncio.create_task(asked)
            await asyncio.sleep(0)
            await one.ask(Rank.LEASE, "renew")
            left.append("the box")
            await one.let_go()
            with pytest.raises(Fault, match=r"^centre-busy$"):
                await in_vain
        return one.ran

    assert asyncio.run(play()) == ["renew"]


def test_of_leases_the_one_that_ends_first_goes_first() -> None:
    """The one that was renewed longest ago; of one that is not known nobody can say."""

    async def play() -> list[str]:
        line = Line(1)
        for name in ("early", "late"):
            await line.run(Rank.LEASE, lambda: None, name.encode())
        async with held(line=line) as one:
            for name in ("late", "early", "unknown"):
                await one.ask(Rank.LEASE, name)
        return one.ran

    assert asyncio.run(play()) == ["unknown", "early", "late"]


def test_no_more_leases_are_remembered_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdbox_centre.line.MOST_LEASES", 2)

    async def play() -> None:
        line = Line(1)
        for name in (b"one", b"two", b"one", b"three"):
            await line.run(Rank.LEASE, lambda: None, name)
        assert list(line._leased_s) == [b"one", b"three"]
        line.close()

    asyncio.run(play())


def test_a_free_thread_takes_anybody() -> None:
    async def play() -> int:
        line = Line(1, 0)
        found = await line.run(Rank.NEWCOMER, lambda: 1)
        line.close()
        return found

    assert asyncio.run(play()) == 1


def test_who_gave_up_waiting_takes_no_turn() -> None:
    async def play() -> list[str]:
        async with held(most_newcomers=1) as one:
            gone = await one.ask(Rank.NEWCOMER, "gone")
            gone.cancel()
            await asyncio.sleep(0)
            await one.ask(Rank.NEWCOMER, "stays")
        return one.ran

    assert asyncio.run(play()) == ["stays"]


def test_who_gave_up_while_running_leaves_the_thread_taken_until_it_ends() -> None:
    async def play() -> list[str]:
        async with held() as one:
            one._tasks[0].cancel()
            await asyncio.sleep(0)
            waits = await one.ask(Rank.LEASE, "next")
            await asyncio.sleep(0.02)
            assert not waits.done()
            assert one.ran == []
        return one.ran

    assert asyncio.run(play()) == ["next"]


def test_a_turn_that_comes_to_one_who_gives_up_goes_to_the_next() -> None:
    async def play() -> str:
        line = Line(1)
        await line._turn(Rank.LEASE, b"")
        first = asyncio.create_task(line._turn(Rank.LEASE, b""))
        second = asyncio.create_task(line.run(Rank.LEASE, lambda: "second"))
        await asyncio.sleep(0)
        line._next()
        first.cancel()
        found = await asyncio.wait_for(second, 30)
        line.close()
        return found

    assert asyncio.run(play()) == "second"
