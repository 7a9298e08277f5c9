"""Smooth random fields from a generator: the one source of irregularity of the virtual fingers.

Knows nothing of fingers: only arrays, cell sizes in pixels and a `numpy.random.Generator`.
"""

import functools

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


@functools.lru_cache(maxsize=256)
def _spline(length_px: int, cell_px: float) -> tuple[NDArray[np.intp], Field]:
    """For each pixel, the first of its four grid nodes, and their cubic B-spline weights."""
    at = np.arange(length_px, dtype=np.float64) / cell_px
    first = np.floor(at).astype(np.intp)
    t = at - first
    weights = np.stack(
        ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    )
    # Independent unit normals at the nodes must give unit normals at the pixels.
    weights /= np.sqrt((weights**2).sum(axis=0))
    return first, weights.astype(np.float32)


def smooth(rng: np.random.Generator, shape: tuple[int, int], cell_px: float) -> Field:
    """A field of unit variance whose values stay alike over about `cell_px` pixels."""
    row, row_weights = _spline(shape[0], cell_px)
    column, column_weights = _spline(shape[1], cell_px)
    nodes = (int(row[-1]) + 4, int(column[-1]) + 4)
    grid = rng.standard_normal(nodes, dtype=np.float32)
    # Four gathers a side, not a matrix product: BLAS threads would make the bytes, and the
    # time on a busy machine, less certain.
    tall = np.zeros((shape[0], nodes[1]), np.float32)
    for k in range(4):
        tall += grid[row + k] * row_weights[k][:, None]
    out = np.zeros(shape, np.float32)
    for k in range(4):
        out += tall[:, column + k] * column_weights[k]
    return out
