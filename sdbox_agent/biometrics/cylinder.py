"""Minutia cylinders: what lies around each minutia, seen from that minutia.

Cappelli, Ferrara, Maltoni, "Minutia Cylinder-Code", IEEE TPAMI 32(12), 2010, section 3. The spatial
Gaussian is separable on the rotated grid, so a cylinder is one matrix product instead of a sum over
cells; the paper's cut at 3 sigma is left out (it removes less than 2 % of a peak).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from typing_extensions import override

from sdbox_agent.biometrics import parameters as p
from sdbox_agent.biometrics.hull import near_hull
from sdbox_agent.biometrics.points import wrapped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sdbox_agent.biometrics.points import Floats, Points

    Cells = NDArray[np.float32]

_STEP_PX: Final = 2 * p.CYLINDER_RADIUS_PX / p.BASE_CELLS
_AXIS_PX: Final = (np.arange(p.BASE_CELLS) + 0.5) * _STEP_PX - p.CYLINDER_RADIUS_PX
_GRID_PX: Final = np.stack(np.meshgrid(_AXIS_PX, _AXIS_PX, indexing="ij"), axis=-1).reshape(-1, 2)
_INSIDE: Final = np.hypot(_GRID_PX[:, 0], _GRID_PX[:, 1]) <= p.CYLINDER_RADIUS_PX
_LAYER_RAD: Final = 2 * np.pi / p.LAYERS
_LAYERS_RAD: Final = (np.arange(p.LAYERS) + 0.5) * _LAYER_RAD - np.pi
BASE_SIZE: Final = int(_INSIDE.sum())  # cells of a layer inside the circle


@dataclass(frozen=True, slots=True, repr=False)
class Cylinders:
    """`cells` float32 (n, BASE_SIZE, LAYERS), 0 where not valid; `valid` float32 (n, BASE_SIZE).

    `energy` (n, BASE_SIZE): the sum of the squares of a base cell's layers. `index` (n,) says which
    minutia each cylinder belongs to: some have none.
    """

    cells: Cells
    valid: Cells
    energy: Cells
    index: NDArray[np.intp]

    @override
    def __repr__(self) -> str:
        return f"<{len(self.index)} cylinders>"


def cylinders(points: Points) -> Cylinders:
    """The valid cylinders of `points` (paper, sections 3.1 and 3.2)."""
    local_px = _local(points)
    valid = _valid_cells(points)
    near = np.hypot(local_px[..., 0], local_px[..., 1]) <= (
        p.CYLINDER_RADIUS_PX + 3 * p.SPATIAL_SIGMA_PX
    )
    np.fill_diagonal(near, val=False)
    keep = (valid.sum(axis=1) >= p.MIN_VALID_CELLS * BASE_SIZE) & (
        near.sum(axis=1) >= p.MIN_NEIGHBOURS
    )
    index = np.flatnonzero(keep)
    cells = _cells(local_px[index], _direction(points)[index], near[index])
    mask = valid[index].astype(np.float32)
    # in the order a comparison reads them: it would else copy them, each time
    cells = np.ascontiguousarray(cells * mask[:, :, None])
    return Cylinders(cells, mask, np.square(cells).sum(axis=2), index)


def _local(points: Points) -> Floats:
    """Place of minutia t in the frame of minutia m: (m, t, 2)."""
    apart = points.xy_px[None, :, :] - points.xy_px[:, None, :]
    cos, sin = np.cos(points.angle_rad)[:, None], np.sin(points.angle_rad)[:, None]
    along = apart[..., 0] * cos + apart[..., 1] * sin
    across = apart[..., 1] * cos - apart[..., 0] * sin
    return np.stack([along, across], axis=-1)


def _direction(points: Points) -> Floats:
    """Difference of direction, minutia m less minutia t: (m, t)."""
    return wrapped(points.angle_rad[:, None] - points.angle_rad[None, :])


def _cells(local_px: Floats, direction_rad: Floats, near: NDArray[np.bool_]) -> Cells:
    """Contributions summed and squashed (paper, equations 3 to 6): (m, BASE_SIZE, LAYERS)."""
    # float32 throughout, and each array made in the order it is read in: the sums are large
    local, axis = local_px.astype(np.float32), _AXIS_PX.astype(np.float32)
    peak = np.float32(1 / (p.SPATIAL_SIGMA_PX * math.sqrt(2 * math.pi)))
    along = _gaussian(axis[None, :, None] - local[:, None, :, 0]) * near[:, None, :] * peak
    across = _gaussian(axis[None, None, :] - local[:, :, 1, None])
    turn = _area(wrapped(_LAYERS_RAD[None, None, :] - direction_rad[:, :, None]))
    weighted = across[:, :, :, None] * turn[:, :, None, :]
    minutiae, others = direction_rad.shape
    total = along @ weighted.reshape(minutiae, others, p.BASE_CELLS * p.LAYERS)
    total = total.reshape(minutiae, p.BASE_CELLS**2, p.LAYERS)[:, _INSIDE]
    centre, slope = p.CELL_SIGMOID
    return np.asarray(1 / (1 + np.exp(-slope * (total - centre))), dtype=np.float32)


def _gaussian(distance_px: Cells) -> Cells:
    scale = np.float32(-1 / (2 * p.SPATIAL_SIGMA_PX**2))
    return np.asarray(np.exp(distance_px**2 * scale), dtype=np.float32)


_TABLE: Final = np.array(
    [
        math.erf((a + _LAYER_RAD / 2) / (p.DIRECTION_SIGMA_RAD * math.sqrt(2)))
        - math.erf((a - _LAYER_RAD / 2) / (p.DIRECTION_SIGMA_RAD * math.sqrt(2)))
        for a in np.linspace(0, math.pi, 2049)
    ],
    dtype=np.float32,
)


def _area(angle_rad: Floats) -> Cells:
    """Area under the directional Gaussian over one layer at `angle_rad` (paper, equation 11)."""
    place = np.abs(angle_rad) * (2048 / np.pi)
    return _TABLE[np.minimum(place + 0.5, 2048).astype(np.intp)] / np.float32(2)


def _valid_cells(points: Points) -> NDArray[np.bool_]:
    """Which base cells lie in the hull grown by its margin (paper, equation 9): (m, BASE_SIZE)."""
    cos, sin = np.cos(points.angle_rad)[:, None], np.sin(points.angle_rad)[:, None]
    grid = _GRID_PX[_INSIDE]
    x = points.xy_px[:, :1] + grid[:, 0] * cos - grid[:, 1] * sin
    y = points.xy_px[:, 1:] + grid[:, 0] * sin + grid[:, 1] * cos
    return near_hull(np.stack([x, y], axis=-1), points.hull_px, p.HULL_MARGIN_PX)
