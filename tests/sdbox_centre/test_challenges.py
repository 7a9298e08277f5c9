import os

import pytest

from sdbox_agent.errors import Refused
from sdbox_centre import challenges
from tests.sdbox_centre import world as w
from tests.sdbox_centre.databases import BOTH
from tests.sdbox_centre.world import World

ENGINES = BOTH

A, B = b"a" * 32, b"b" * 32


@pytest.fixture
def ids(world: World) -> tuple[int, int]:
    """Two sessions to hang challenges on."""
    for n in (1, 2):
        w.session(world, n).hello()
    with world.store.begin() as tx:
        tx.exec_driver_sql("DELETE FROM challenges")
        return tuple(row.id for row in tx.exec_driver_sql("SELECT id FROM sessions ORDER BY id"))


def refused(code: str):
    return pytest.raises(Refused, match=f"^{code}$")


def test_a_challenge_is_spent_once_in_its_time_by_its_session(world: World, ids) -> None:
    mine, other = ids
    with world.store.begin() as tx:
        value = challenges.issue(tx, mine, "proof", 100, os.urandom)
        with refused("challenge-unknown"):
            challenges.take(tx, other, "proof", value, A, 50)
        with refused("challenge-unknown"):
            challenges.take(tx, mine, "renew", value, A, 50)
        with refused("challenge-unknown"):
            challenges.take(tx, mine, "proof", bytes(32), A, 50)
        with refused("challenge-expired"):
            challenges.take(tx, mine, "proof", value, A, 100)
        assert challenges.take(tx, mine, "proof", value, A, 99) is None
        assert challenges.take(tx, mine, "proof", value, A, 99) == b""
        challenges.keep(tx, value, b"answer")
        assert challenges.take(tx, mine, "proof", value, A, 10**9) == b"answer"  # again, even late
        assert challenges.kept(tx, mine, value) == b"answer"
        assert challenges.kept(tx, other, value) == b""
        with refused("challenge-used"):
            challenges.take(tx, mine, "proof", value, B, 50)


def test_a_session_has_one_unused_challenge(world: World, ids) -> None:
    """So at most one lease can ever be signed for in advance."""
    with world.store.begin() as tx:
        first = challenges.issue(tx, ids[0], "renew", 100, os.urandom)
        second = challenges.issue(tx, ids[0], "renew", 100, os.urandom)
        with refused("challenge-unknown"):
            challenges.take(tx, ids[0], "renew", first, A, 50)
        assert challenges.take(tx, ids[0], "renew", second, A, 50) is None


def test_old_ones_are_forgotten_and_still_refused(world: World, ids) -> None:
    with world.store.begin() as tx:
        value = challenges.issue(tx, ids[0], "proof", 100, os.urandom)
        challenges.take(tx, ids[0], "proof", value, A, 50)
        challenges.forget_old(tx, 100 + challenges.KEPT_S)
        assert challenges.take(tx, ids[0], "proof", value, A, 50) == b""
        challenges.forget_old(tx, 101 + challenges.KEPT_S)
        with refused("challenge-unknown"):
            challenges.take(tx, ids[0], "proof", value, A, 50)
