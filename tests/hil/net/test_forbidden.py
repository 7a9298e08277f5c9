"""Each kind of what must not leave does leave where there are no walls, and the oracle names it."""

import contextlib

import pytest

from hil.net import forbidden
from hil.net.oracle import Leaked, Oracle, Tally
from hil.net.peer import FarPeer
from hil.net.topology import Topology, allowed

pytestmark = pytest.mark.rig


def test_each_kind_is_a_leak_where_there_are_no_walls() -> None:
    tally = Tally()
    with contextlib.ExitStack() as sockets, Topology() as bare:
        kinds = bare.box.run(lambda: forbidden.attempts(sockets))
        granted = allowed((FarPeer.endpoint4, FarPeer.endpoint6))
        with Oracle(bare.cable, granted, tally=tally) as oracle:
            for attempt in kinds * 2:  # the first of a family may wait for its neighbour
                with contextlib.suppress(BlockingIOError):  # a connection under way
                    bare.box.run(attempt)
            with pytest.raises(Leaked):
                oracle.ask()
    assert tally.leaked_frames >= len(kinds)
