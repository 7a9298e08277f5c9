"""What the rig's own tests share."""

from collections.abc import Iterator
from itertools import cycle

import pytest

from hil.card.slot import Slot
from hil.pcscd import SHARED_READERS, Pcscd

pytest.register_assert_rewrite("tests.hil.refusals")

# In turn: a slot that was emptied just now makes the next insertion wait.
_turns = cycle(range(1, SHARED_READERS))


@pytest.fixture
def slot() -> Iterator[Slot]:
    """An empty slot of this process's pcscd, emptied afterwards."""
    taken = Pcscd.shared().reader(next(_turns))
    try:
        yield taken
    finally:
        taken.remove()
