from pathlib import Path

import numpy as np
import pytest

from hil.calibrate import decisions, people
from hil.calibrate.decisions import Plan
from hil.calibrate.people import Finger
from sdbox_agent.biometrics import decision

PLAN = Plan(people=6, block=2, impostor_decisions=10_000)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Fingers are their numbers; `fused` scores how near they are. Counts the fingers made."""
    asked: list[int] = []

    def finger(number: int, captures: int, *, folder: Path) -> Finger:
        asked.append(number)
        return Finger((number,) * 3, (number,) * captures, 1, [(9, 8, 7)])  # type: ignore[arg-type]

    def fused(captures: tuple[int, ...], references: list[tuple[int, int]]) -> float:
        assert [position for position, _ in references] == [2, 2, 2, 7, 7, 7]
        return max(1 / (1 + abs(a - b)) for a in captures for _, b in references)

    monkeypatch.setattr(people, "finger", finger)
    monkeypatch.setattr(decision, "fused", fused)
    return asked


def _all(plan: Plan, folder: Path) -> list:
    return [decisions.tile(plan, *blocks, folder=folder) for blocks in plan.tiles()]


def test_everybody_meets_every_stranger_once_and_himself_never(
    tmp_path: Path, made: list[int]
) -> None:
    impostor, genuine, refused, measures = decisions.joined(_all(PLAN, tmp_path))
    pairs = [tuple(who) for who in impostor.who.tolist()]
    assert sorted(set(pairs)) == [(a, b) for a in range(6) for b in range(6) if a != b]
    assert len(pairs) == 6 * 5 * 2, "both fingers of a stranger"
    assert [len(after) for after in genuine] == [12, 12, 12]
    assert sorted(genuine[0].who.ravel().tolist()) == sorted(2 * list(range(6)))
    assert refused == [1] * 12
    assert measures.tolist() == [[9, 8, 7]] * 12


def test_a_score_is_the_decisions(tmp_path: Path, made: list[int]) -> None:
    impostor, genuine, _, _ = decisions.joined(_all(PLAN, tmp_path))
    # fingers 0 and 1 are person 0's: the nearest of person 1's are 2 and 3
    of = {0.5, 1 / 3}
    assert {
        score
        for score, who in zip(impostor.score.tolist(), impostor.who.tolist(), strict=True)
        if who == [0, 1]
    } == of
    assert all(after.score.tolist() == [1.0] * 12 for after in genuine)


def test_a_tile_is_made_once_and_again_with_other_code(
    tmp_path: Path, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = decisions.tile(PLAN, 0, 1, folder=tmp_path)
    count = len(made)
    again = decisions.tile(PLAN, 0, 1, folder=tmp_path)
    assert len(made) == count > 0
    assert all(np.array_equal(first[name], again[name]) for name in decisions.NAMES)
    monkeypatch.setattr(decisions, "key", lambda: "other code")
    decisions.tile(PLAN, 0, 1, folder=tmp_path)
    assert len(made) == 2 * count


def test_a_plan_stops_when_there_are_enough_and_each_block_has_its_share() -> None:
    plan = Plan(people=500, block=25, impostor_decisions=300_000)
    tiles = plan.tiles()
    assert len(set(tiles)) == len(tiles) < 20 * 20
    rows = [row for row, _ in tiles]
    assert {rows.count(block) for block in range(20)} == {len(tiles) // 20}
    decided = sum(25 * (24 if a == b else 25) * 2 for a, b in tiles)
    assert 300_000 <= decided < 330_000


def test_a_last_block_may_be_smaller() -> None:
    plan = Plan(people=5, block=2)
    assert [list(plan.members(block)) for block in range(plan.blocks())] == [[0, 1], [2, 3], [4]]


def test_a_finger_that_could_not_be_acquired_is_refused() -> None:
    assert decisions.prefixes((), [], 3) == [0.0, 0.0, 0.0]
