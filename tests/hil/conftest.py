"""What the rig's own tests share.

A file of tests with a `prepare(rig, people)` has one started rig for all of them: `bench` is that
rig, watched and emptied after each test, and `people` is what `prepare` made.
"""

from collections.abc import Iterator
from itertools import cycle
from typing import TYPE_CHECKING

import pytest

from hil.card.slot import Slot
from hil.pcscd import SHARED_READERS, Pcscd

if TYPE_CHECKING:
    from tests.hil.refusals import Bench

pytest.register_assert_rewrite("tests.hil.refusals")
ORDINARY_LEASE_S = 60

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


@pytest.fixture(scope="module")
def rig(request: pytest.FixtureRequest) -> Iterator[tuple["Bench", object]]:
    """Bench and people of a file's `prepare`; leases last the file's LEASE_S, if it has one."""
    from tests.hil.refusals import started  # noqa: PLC0415  pure tests need no rig

    lease_s = getattr(request.module, "LEASE_S", ORDINARY_LEASE_S)
    with started(request.module.prepare, lease_s) as both:
        yield both


@pytest.fixture
def bench(rig: tuple["Bench", object]) -> Iterator["Bench"]:
    yield rig[0]
    rig[0].clear()


@pytest.fixture
def people(rig: tuple["Bench", object]) -> object:
    return rig[1]
