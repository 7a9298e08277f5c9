"""[door] The boxes of a load test in a few processes, a thread each, inside the box's namespace.

Told over a pipe when the morning begins and when to stop; they answer with the calls they made.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hil.calibrate.work import begin
from hil.load.box import Box, Call
from sdbox_agent.centre.https import CentreClient, Where, client_context
from sdbox_agent.errors import SdboxError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkProcess
    from pathlib import Path

    from hil.load.crowd import Party
    from hil.net.namespace import Namespace

STACK_BYTES: Final = 512 * 1024  # of a thread; there are hundreds
PATIENCE_S: Final = 180.0


@dataclass(frozen=True)
class Centre:
    """Where the boxes find it."""

    where: Where
    authority: str  # file: whose TLS certificate they believe
    project: str


@dataclass(frozen=True)
class Times:
    """Of each box, on the monotonic clock: its first call, and its card."""

    boots_s: float
    card_s: float


class Clients:
    """Processes of boxes, from `with` to its end."""

    def __init__(
        self,
        parties: Sequence[Party],
        centre: Centre,
        folder: Path,
        network: Namespace,
        processes: int = 2,
    ) -> None:
        """Make them; they say nothing yet. Fork from the main thread."""
        context = multiprocessing.get_context("fork")
        numbered = list(enumerate(parties))
        self._ends: list[Connection] = []
        self._children: list[ForkProcess] = []
        with network.entered():
            for at in range(processes):
                ours, theirs = context.Pipe()
                child = context.Process(
                    target=_serve,
                    args=(os.getpid(), numbered[at::processes], centre, folder, theirs),
                )
                child.start()
                theirs.close()
                self._ends.append(ours)
                self._children.append(child)
        for end in self._ends:
            self._receive(end)

    def morning(self, times: Sequence[Times]) -> list[Call]:
        """The morning, to its last lease; every call that was made for one.

        Each box renews its lease from then on, and goes on when this returns.
        """
        return self._ask(("morning", tuple(times)))

    def stop(self) -> list[Call]:
        """No more; every renewal that was made."""
        return self._ask(("stop", ()))

    def close(self) -> None:
        """End the processes."""
        for end in self._ends:
            end.close()
        for child in self._children:
            child.join(5)
            child.kill()
            child.join()

    def _ask(self, question: tuple[str, tuple[Times, ...]]) -> list[Call]:
        for end in self._ends:
            end.send(question)
        return [call for end in self._ends for call in self._receive(end)]

    @staticmethod
    def _receive(end: Connection) -> list[Call]:
        if not end.poll(PATIENCE_S):
            raise TimeoutError("a process of boxes does not answer")
        return list(end.recv())


def _serve(
    parent: int, parties: list[tuple[int, Party]], centre: Centre, folder: Path, end: Connection
) -> None:
    """A process: its boxes, until the pipe closes."""
    begin(parent)
    threading.stack_size(STACK_BYTES)
    boxes = [_box(number, party, centre, folder) for number, party in parties]
    stopping = threading.Event()
    threads: list[threading.Thread] = []
    end.send([])
    with contextlib.suppress(EOFError):
        while True:
            what, times = end.recv()
            match what:
                case "morning":
                    came = threading.Semaphore(0)
                    threads = [
                        threading.Thread(target=_day, args=(box, times, came, stopping))
                        for box in boxes
                    ]
                    for thread in threads:
                        thread.start()
                    for _ in boxes:
                        came.acquire()
                    end.send(_made(boxes))
                case _:
                    stopping.set()
                    for thread in threads:
                        thread.join()
                    end.send(_made(boxes))


def _box(number: int, party: Party, centre: Centre, folder: Path) -> Box:
    context = client_context(centre.authority, *party.identity(folder))
    return Box(number, party, CentreClient(centre.where, context), centre.project)


def _day(
    box: Box, times: tuple[Times, ...], came: threading.Semaphore, stopping: threading.Event
) -> None:
    own = times[box.number]
    try:
        box.morning(own.boots_s, own.card_s)
    except SdboxError:  # noted with its call
        return
    finally:
        came.release()
    box.renew_until(stopping)


def _made(boxes: list[Box]) -> list[Call]:
    """The calls since the last time."""
    made = []
    for box in boxes:
        while box.calls:
            made.append(box.calls.popleft())
    return made


def soon_s() -> float:
    """A moment from which all of them can begin together."""
    return time.monotonic() + 0.5
