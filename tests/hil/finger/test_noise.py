import numpy as np
import pytest

from hil.finger import noise


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@pytest.mark.parametrize("cell_px", [2.2, 9.0, 45.0])
def test_the_variance_is_one_everywhere(cell_px: float) -> None:
    fields = np.stack([noise.smooth(_rng(k), (60, 70), cell_px) for k in range(600)])
    assert np.allclose(fields.var(axis=0).mean(), 1, atol=0.12)
    # also at the borders and between the nodes
    assert fields.var(axis=0).min() > 0.7
    assert fields.var(axis=0).max() < 1.35


def test_neighbours_agree_within_a_cell_and_not_beyond() -> None:
    fields = np.stack([noise.smooth(_rng(k), (8, 200), 20.0) for k in range(400)])
    at = fields[:, 4, 60]
    assert np.corrcoef(at, fields[:, 4, 64])[0, 1] > 0.9
    assert abs(np.corrcoef(at, fields[:, 4, 150])[0, 1]) < 0.2


def test_the_same_generator_state_gives_the_same_bytes() -> None:
    one, two = (noise.smooth(_rng(7), (33, 44), 5.0) for _ in range(2))
    assert one.tobytes() == two.tobytes()
    assert one.dtype == np.float32
    assert one.shape == (33, 44)
