"""Smooth random fields from a generator: the one source of irregularity of the virtual fingers.

Knows nothing of fingers: only arrays, cell sizes in pixels and a `numpy.random.Generator`.
"""

import functools

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


@functools.lru_cache(maxsize=256)
def _spline(length_px: int, cell_px: float) -> Field:
    """Rows: pixels; columns: grid nodes; entries: cubic B-spline weights (unit variance kept)."""
    nodes = int(np.ceil(length_px / cell_px)) + 4
    at = np.arange(length_px, dtype=np.float64)[:, None] / cell_px + 1.5
    distance = np.abs(at - np.arange(nodes)[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - np.minimum(distance, 2)) ** 3 / 6
    weights = np.where(distance < 1, near, far)
    # Independent unit normals at the nodes must give unit normals at the pixels.
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
    return weights.astype(np.float32)


def smooth(rng: np.random.Generator, shape: tuple[int, int], cell_px: float) -> Field:
    """A field of unit variance whose values stay alike over about `cell_px` pixels."""
    rows = _spline(shape[0], cell_px)
    columns = _spline(shape[1], cell_px)
    grid = rng.standard_normal((rows.shape[1], columns.shape[1]), dtype=np.float32)
    return rows @ grid @ columns.T
