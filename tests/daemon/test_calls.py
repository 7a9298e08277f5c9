"""Calls in a thread: answers come back in the loop, and no call holds up the next session."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from sdbox_agent.centre.https import CentreBusy
from sdbox_agent.daemon.calls import Calls
from sdbox_agent.errors import Fault, Refused
from tests.daemon.parts import turn
from tests.waiting import PATIENCE_S


class Client:
    """A client whose calls last until it is closed, or until the test lets go."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()

    def hang(self) -> None:
        assert self.closed.wait(PATIENCE_S)
        raise Fault("centre-unreachable")


class Bench:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.clients: list[Client] = []
        self.asked_to_wait_s: list[float] = []
        self.calls = Calls(self.loop, self.connect, self.asked_to_wait_s.append)  # type: ignore[arg-type]
        self.said: list[object] = []

    def connect(self) -> Client:
        self.clients.append(Client())
        return self.clients[-1]

    def ask(self, call: object) -> None:
        self.calls.ask(
            call,  # type: ignore[arg-type]
            lambda answer: self.said.append((answer, threading.current_thread())),
            self.said.append,
        )


@pytest.fixture
def bench() -> Iterator[Bench]:
    one = Bench()
    yield one
    one.calls.close()
    one.loop.close()


def test_an_answer_comes_back_in_the_loop(bench: Bench) -> None:
    seen: list[threading.Thread] = []

    def call(client: Client) -> str:
        seen.append(threading.current_thread())
        return "answer"

    bench.ask(call)
    assert bench.said == []
    turn(bench.loop, lambda: bench.said)
    assert bench.said == [("answer", threading.current_thread())]
    assert seen[0] is not threading.current_thread()


def test_failures_come_back_as_codes_and_a_bug_as_unforeseen(bench: Bench) -> None:
    def refuse(_: Client) -> None:
        raise Refused("card-revoked")

    def bug(_: Client) -> None:
        raise ZeroDivisionError

    bench.ask(refuse)
    bench.ask(bug)
    turn(bench.loop, lambda: len(bench.said) == 2)
    assert bench.said == ["card-revoked", "unforeseen"]


def test_a_centre_with_too_much_to_do_is_a_failure_and_says_for_how_long(bench: Bench) -> None:
    def busy(_: Client) -> None:
        raise CentreBusy(7)

    bench.ask(busy)
    turn(bench.loop, lambda: bench.said)
    assert (bench.said, bench.asked_to_wait_s) == (["centre-busy"], [7])


def test_a_cut_ends_what_runs_and_what_waits_and_the_next_has_a_client_of_its_own(
    bench: Bench,
) -> None:
    used: list[Client] = []
    bench.ask(Client.hang)
    bench.ask(lambda client: client.hang())
    bench.calls.cut()
    bench.ask(used.append)
    turn(bench.loop, lambda: len(bench.said) == 3)
    assert bench.said[:2] == ["centre-unreachable"] * 2
    assert used == [bench.clients[1]]
    assert not bench.clients[1].closed.is_set()


def test_a_cut_with_nothing_under_way_keeps_the_connection(bench: Bench) -> None:
    bench.ask(lambda _: "answer")
    turn(bench.loop, lambda: bench.said)
    bench.calls.cut()
    assert len(bench.clients) == 1
    assert not bench.clients[0].closed.is_set()


def test_a_call_that_finishes_while_it_is_cut_is_delivered_once(bench: Bench) -> None:
    for _ in range(50):
        bench.said.clear()
        bench.ask(lambda _: "answer")
        bench.calls.cut()
        turn(bench.loop, lambda: bench.said)
        assert len(bench.said) == 1
    assert bench.calls._pending == 0


def test_rest_comes_after_the_last_answer(bench: Bench) -> None:
    def rest() -> None:
        bench.said.append("rest")

    bench.ask(lambda _: time.sleep(0.05))
    bench.ask(lambda _: time.sleep(0.05))
    bench.calls.when_at_rest(rest)
    turn(bench.loop, lambda: "rest" in bench.said)
    assert len(bench.said) == 3
    assert bench.said[-1] == "rest"
    bench.said.clear()
    bench.calls.when_at_rest(rest)
    turn(bench.loop, lambda: bench.said)


def test_an_answer_after_the_loop_s_end_is_dropped(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.ask(Client.hang)
    bench.loop.close()
    bench.calls.close()
    bench.calls._threads.shutdown(wait=True)
    assert bench.said == []
    assert caplog.records == [], "concurrent.futures logs what a callback raises"
