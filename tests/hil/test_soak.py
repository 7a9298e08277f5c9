"""Session after session leaves nothing behind: a share of them here, all 1,000 with FULL=1."""

import os
import sys

import pytest

from hil import soak

pytestmark = pytest.mark.rig
WHOLE = bool(os.environ.get("FULL"))
SHARE, SHARE_WARM_UP, SHARE_S = 5, 2, 12.0  # of which as many as there is time for


def test_sessions_leave_nothing_behind() -> None:
    with soak.ready() as bench:
        if WHOLE:
            soaked = bench.run(soak.WHOLE, soak.WARM_UP, within_s=4 * 3600.0)
        else:
            soaked = bench.run(SHARE, SHARE_WARM_UP, within_s=SHARE_S)
    assert soaked.grown == []
    assert soaked.sessions >= (soak.WHOLE if WHOLE else 1)
    sys.stdout.write(f"\n{soaked.sessions} sessions, memory {soaked.growth_mb:+.2f} MB\n")
