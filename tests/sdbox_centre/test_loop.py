"""Waiting for sockets, and being woken."""

import contextlib
import selectors
import socket
import threading

from sdbox_centre.loop import Loop
from tests.waiting import PATIENCE_S


def test_who_is_watched_is_told_of_and_nobody_else() -> None:
    loop = Loop()
    one, other = socket.socketpair()
    with contextlib.closing(loop), one, other:
        loop.watch(one, selectors.EVENT_READ, "first")
        other.send(b"x")
        assert list(loop.ready(0)) == [("first", one, selectors.EVENT_READ)]
        loop.watch(one, selectors.EVENT_WRITE, "second")
        assert list(loop.ready(0)) == [("second", one, selectors.EVENT_WRITE)]
        loop.watch(one, 0, "second")
        loop.watch(one, 0, "second")  # nobody's already
        assert list(loop.ready(0)) == []


def test_a_wait_is_ended_from_elsewhere_once() -> None:
    loop = Loop()
    with contextlib.closing(loop):
        waker = threading.Timer(0.01, loop.wake)
        waker.start()
        assert list(loop.ready(PATIENCE_S)) == []
        waker.join()
        for _ in range(100_000):  # nobody reads meanwhile: it must not wait for that
            loop.wake()
        while list(loop.ready(0)) or loop._selector.select(0):
            pass
    loop.wake()  # closed: nothing to wake
