"""The protocol on sets small enough to count by hand."""

import itertools

import numpy as np
import pytest

from sdbox_agent.biometrics.comparison import Prepared, prepare
from sdbox_agent.errors import DecodeError
from sdbox_agent.fingertool import protocol
from sdbox_agent.fingertool.protocol import Sample, Trial
from tests.biometrics.templates import finger

SOMETHING = prepare(finger(1))


def samples(fingers: int, impressions: int, without: tuple[str, ...] = ()) -> list[Sample]:
    return [
        Sample(f"{f}_{k}", f, k, None if f"{f}_{k}" in without else SOMETHING)
        for f in range(1, fingers + 1)
        for k in range(1, impressions + 1)
    ]


def test_a_competitions_set_has_as_many_pairs_as_the_competition_says() -> None:
    found = {
        first: [a.finger == b.finger for a, b in protocol.pairs(samples(10, 8), first_only=first)]
        for first in (False, True)
    }
    assert [found[False].count(kind) for kind in (True, False)] == [280, 2880]
    assert [found[True].count(kind) for kind in (True, False)] == [280, 45]


def test_first_is_the_least_there_is() -> None:
    some = [s for s in samples(3, 3) if s.name != "2_1"]
    between = {(a.name, b.name) for a, b in protocol.pairs(some, first_only=True)
               if a.finger != b.finger}  # fmt: skip
    assert between == {("1_1", "2_2"), ("1_1", "3_1"), ("2_2", "3_1")}


@pytest.mark.parametrize("name", ["", "1", "1_", "a_1", "1_1_1", "-1_1", "1234567890_1"])
def test_a_name_says_finger_and_impression_or_is_refused(name: str) -> None:
    assert protocol.numbers("012_3") == (12, 3)
    with pytest.raises(DecodeError):
        protocol.numbers(name)


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (0, 0), (1, 1)])
def test_a_set_of_one_kind_of_pair_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(DecodeError):
        protocol.run("set", samples(*shape), lambda a, b: 0.0, lambda: 0.0, first_only=False)


def trial(fingers: int = 3, without: tuple[str, ...] = (), name: str = "set") -> Trial:
    """Genuine pairs score 0.1 to 0.9, impostors 0.01; the clock goes by 2 ms a look."""
    order = itertools.count()
    ticks = itertools.count()
    genuine = [
        a.finger == b.finger
        for a, b in protocol.pairs(samples(fingers, 3, without), first_only=False)
        if a.prepared and b.prepared
    ]

    def compare(a: Prepared, b: Prepared) -> float:
        k = next(order)
        return 0.1 * sum(genuine[: k + 1]) if genuine[k] else 0.01

    return protocol.run(
        name, samples(fingers, 3, without), compare, lambda: 0.002 * next(ticks), first_only=False
    )


def test_the_figures_of_a_set_counted_by_hand() -> None:
    one = trial()
    assert [row.score for row in one.rows if row.genuine] == pytest.approx(np.arange(1, 10) / 10)
    found = protocol.summary("set", [one], rounds=30)
    assert (found.fingers, found.impressions, found.not_enrolled) == (3, 9, 0)
    assert (found.genuine, found.impostor) == (9, 27)
    assert found.eer.rate == 0
    assert found.fnmr_at["ZeroFMR"].rate == 0
    assert found.fnmr_at["ZeroFMR"].threshold == pytest.approx(0.1)
    assert found.compare_ms == pytest.approx(2.0)
    assert found.fmr_bound == pytest.approx(0.105, abs=1e-3)  # 1 - 0.05 ** (1 / 27)
    for at in found.thresholds.values():
        assert at.false_matches == sum(at.threshold <= 0.01 for _ in range(27))
        assert at.false_non_matches == sum(k / 10 < at.threshold for k in range(1, 10))


def test_who_could_not_be_enrolled_scores_nothing_and_is_counted() -> None:
    one = trial(without=("1_1", "2_2"))
    ghosts = [row for row in one.rows if not (row.a.prepared and row.b.prepared)]
    assert len(ghosts) == 8 + 8 - 1
    assert {row.score for row in ghosts} == {protocol.GHOST}
    found = protocol.summary("set", [one], rounds=30)
    assert found.not_enrolled == 2
    assert found.fnmr_at["ZeroFMR"].rate == pytest.approx(4 / 9)  # two pairs of each
    assert found.fnmr_at["ZeroFMR"].low <= 4 / 9 <= found.fnmr_at["ZeroFMR"].high


def test_nobody_enrolled_is_refused_everywhere() -> None:
    names = tuple(sample.name for sample in samples(3, 3))
    found = protocol.summary("set", [trial(without=names)], rounds=5)
    assert found.compare_ms is None
    assert found.fnmr_at["ZeroFMR"].rate == 1.0
    assert found.fnmr_at["ZeroFMR"].threshold is None


def test_fingers_of_two_sets_are_different_fingers() -> None:
    found = protocol.scores([trial(), trial(2, name="other")])
    assert len(set(found.genuine_of.tolist())) == 5
    assert len(found.genuine) == 9 + 6
    assert len(found.impostor) == 27 + 9
    assert (found.impostor_of[:, 0] != found.impostor_of[:, 1]).all()


def test_thresholds_are_the_products_and_named_by_a_rate() -> None:
    found = protocol.thresholds()
    assert found
    for name, value in found.items():
        assert name.startswith("FMR_")
        assert 0 < value < 1
