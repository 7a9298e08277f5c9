"""Tunnels opened and closed under a flood of what must not leave."""

import os

import pytest

from hil.net import campaign
from hil.net.oracle import RUN
from tests import frames

pytestmark = pytest.mark.rig

ROUNDS = campaign.ROUNDS if os.environ.get("FULL") else 20


def test_nothing_leaks_while_tunnels_come_and_go() -> None:
    found = campaign.run(ROUNDS)
    frames.add(RUN, found.frames_seen, found.leaked_frames, {})
    assert found.leaked_frames == 0
    assert found.rounds == ROUNDS
    assert found.frames_seen > 4 * ROUNDS  # a handshake and an answered probe each
    assert found.tried > ROUNDS
