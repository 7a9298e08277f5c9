import numpy as np
import pytest

from hil.finger import orientation
from hil.finger.master import CENTRE, SHAPE
from hil.finger.orientation import PLAIN, WIDE, FingerClass, Variety


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def _turns(theta: np.ndarray, at: tuple[float, float], radius_px: float = 9.0) -> float:
    """Poincare index of a ridge field about a point, in whole turns (y points down)."""
    around = np.linspace(0, 2 * np.pi, 181)
    x = np.rint(at[0] + radius_px * np.cos(around)).astype(int)
    y = np.rint(at[1] - radius_px * np.sin(around)).astype(int)
    steps = np.diff(theta[y, x])
    steps = (steps + np.pi / 2) % np.pi - np.pi / 2
    return float(steps.sum() / (2 * np.pi))


@pytest.mark.parametrize("kind", list(FingerClass))
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("variety", [PLAIN, WIDE])
def test_cores_turn_half_and_deltas_minus_half(
    kind: FingerClass, seed: int, variety: Variety
) -> None:
    rng = _rng(seed)
    points = orientation.place(rng, kind, CENTRE, variety)
    theta = orientation.field(rng, kind, points, SHAPE, 1, variety)
    assert len(points.cores) == len(points.deltas)
    for core in points.cores:
        assert _turns(theta, core, 5.0) == pytest.approx(0.5, abs=0.01)
    for delta in points.deltas:
        assert _turns(theta, delta) == pytest.approx(-0.5, abs=0.01)


@pytest.mark.parametrize(
    ("kind", "cores"),
    [
        (FingerClass.ARCH, 0),
        (FingerClass.TENTED_ARCH, 1),
        (FingerClass.LEFT_LOOP, 1),
        (FingerClass.RIGHT_LOOP, 1),
        (FingerClass.WHORL, 2),
        (FingerClass.TWIN_LOOP, 2),
    ],
)
def test_a_class_has_its_number_of_cores(kind: FingerClass, cores: int) -> None:
    assert len(orientation.place(_rng(0), kind, CENTRE).cores) == cores


def test_a_left_loop_has_its_delta_on_the_right() -> None:
    for seed in range(20):
        left = orientation.place(_rng(seed), FingerClass.LEFT_LOOP, CENTRE)
        right = orientation.place(_rng(seed), FingerClass.RIGHT_LOOP, CENTRE)
        assert left.deltas[0][0] > left.cores[0][0] + 40
        assert right.deltas[0][0] < right.cores[0][0] - 40


def test_a_wider_variety_puts_loops_farther_apart() -> None:
    def spread(variety: Variety) -> float:
        places = [
            orientation.place(_rng(k), FingerClass.LEFT_LOOP, CENTRE, variety) for k in range(40)
        ]
        return float(np.std([p.deltas[0][0] - p.cores[0][0] for p in places]))

    assert spread(WIDE) > 1.4 * spread(PLAIN)


def test_ridges_lie_flat_along_the_crease() -> None:
    for kind in FingerClass:
        rng = _rng(3)
        points = orientation.place(rng, kind, CENTRE)
        theta = orientation.field(rng, kind, points, SHAPE, 2)
        bottom = theta[-8]
        slope = np.minimum(bottom, np.pi - bottom)
        assert np.rad2deg(np.median(slope)) < 15, kind


def test_the_field_does_not_jump_away_from_the_singular_points() -> None:
    rng = _rng(5)
    points = orientation.place(rng, FingerClass.WHORL, CENTRE)
    theta = orientation.field(rng, FingerClass.WHORL, points, SHAPE, 1)
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    far = np.ones(SHAPE, bool)
    for px, py in points.cores + points.deltas:
        far &= np.hypot(x - px, y - py) > 15
    step = np.abs((np.diff(theta, axis=1) + np.pi / 2) % np.pi - np.pi / 2)
    assert np.rad2deg(step[far[:, 1:]].max()) < 6


def test_classes_come_in_natural_proportion() -> None:
    rng = _rng(1)
    drawn = [orientation.draw_class(rng) for _ in range(4000)]
    for kind, share in orientation.NATURAL_SHARES.items():
        assert drawn.count(kind) / 4000 == pytest.approx(share, abs=0.025), kind
