"""A network namespace, entered by a thread alone."""

import socket
import threading
from pathlib import Path

import pytest

from hil.card.namespace import NetworkNamespace
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.rig


def ours() -> str:
    return str(Path("/proc/thread-self/ns/net").readlink())


def test_it_is_new_has_lo_and_nothing_else_and_only_the_thread_is_in_it() -> None:
    namespace = NetworkNamespace.create()
    before, inside = ours(), []

    def look() -> None:
        namespace.enter()
        inside.extend([ours(), [name for _, name in socket.if_nameindex()]])
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=PATIENCE_S).close()  # lo is up
            inside.append(True)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert inside[0] != before
    assert "lo" in inside[1]
    assert not [name for name in inside[1] if name.startswith(("eth", "en", "wl"))]
    assert inside[2:] == [True]
    assert ours() == before
    namespace.close()
    namespace.close()


def test_one_that_is_there_can_be_opened() -> None:
    opened = NetworkNamespace.open(Path("/proc/self/ns/net"))
    opened.enter()
    opened.close()


def test_one_that_is_not_there_is_an_error() -> None:
    with pytest.raises(OSError, match="No such file"):
        NetworkNamespace.open(Path("/run/netns/sdbox-none"))
