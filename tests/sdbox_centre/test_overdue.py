import socket

import pytest

from sdbox_centre.overdue import Overdue
from tests.waiting import PATIENCE_S


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE_S)
    with ours, theirs:
        yield ours, theirs


def test_who_waits_too_long_is_woken(pair) -> None:
    ours, _ = pair
    overdue = Overdue()
    with overdue.watch(ours.fileno(), 0.01):
        assert ours.recv(1) == b"", "its socket was shut"
    overdue.close()


def test_who_is_in_time_keeps_the_connection(pair) -> None:
    ours, theirs = pair
    overdue = Overdue()
    with overdue.watch(ours.fileno(), 0.0):
        pass
    ours.send(b"a")
    assert theirs.recv(1) == b"a"
    overdue.close()
    overdue.close()


def test_a_connection_that_is_gone_already_harms_nobody(pair) -> None:
    ours, theirs = pair
    overdue = Overdue()
    with overdue.watch(ours.fileno(), 0.01):
        ours.close()
        assert theirs.recv(1) == b""
    overdue.close()
