"""At the box's threshold: 200 genuine and 2,000 impostor comparisons without an error.

What it is named for takes more of them: `python -m hil.calibrate`.
"""

import itertools

import pytest

from hil.finger import cache
from hil.finger.impression import impression
from sdbox_agent.biometrics.comparison import compare, prepare
from sdbox_agent.biometrics.decision import accepts
from sdbox_agent.sensor import detect

FINGERS, TOUCHES = 20, 5
GENUINE, IMPOSTOR = 200, 2000


@pytest.mark.rig
def test_virtual_fingers_are_told_apart() -> None:
    prints = [
        (finger, prepare(detect.extract(impression(master, touch).pixels, 500)))
        for finger in range(FINGERS)
        for master in [cache.master(1000 + finger)]
        for touch in range(TOUCHES)
    ]
    pairs = list(itertools.combinations(prints, 2))
    genuine = [(a, b) for (f, a), (g, b) in pairs if f == g]
    others = [(a, b) for (f, a), (g, b) in pairs if f != g]
    impostor = others[:: len(others) // IMPOSTOR][:IMPOSTOR]
    assert (len(genuine), len(impostor)) == (GENUINE, IMPOSTOR)
    low = min(compare(a, b) for a, b in genuine)
    high = max(compare(a, b) for a, b in impostor)
    assert accepts(low), f"lowest genuine score {low:.3f}"
    assert not accepts(high), f"highest impostor score {high:.3f}"
