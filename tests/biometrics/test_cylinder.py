"""Cylinders: the paper's equations, slowly and one cell at a time, say the same."""

import math

import numpy as np
import pytest
from hypothesis import given

from sdbox_agent.biometrics import parameters as p
from sdbox_agent.biometrics.cylinder import BASE_SIZE, cylinders
from sdbox_agent.biometrics.hull import near_hull
from sdbox_agent.biometrics.minutia import Template
from sdbox_agent.biometrics.points import points
from tests.biometrics.templates import finger, moved, templates


def by_the_paper(found, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells and validity of minutia `m`'s cylinder, from sections 3.1 and 3.2, with no shortcut."""
    step = 2 * p.CYLINDER_RADIUS_PX / p.BASE_CELLS
    layer = 2 * math.pi / p.LAYERS
    angle = found.angle_rad[m]
    cells, valid = [], []
    for i in range(p.BASE_CELLS):
        for j in range(p.BASE_CELLS):
            u, v = (i + 0.5) * step - p.CYLINDER_RADIUS_PX, (j + 0.5) * step - p.CYLINDER_RADIUS_PX
            if math.hypot(u, v) > p.CYLINDER_RADIUS_PX:
                continue
            place = found.xy_px[m] + (
                u * math.cos(angle) - v * math.sin(angle),
                u * math.sin(angle) + v * math.cos(angle),
            )
            valid.append(bool(near_hull(place[None, :], found.hull_px, p.HULL_MARGIN_PX)[0]))
            sums = np.zeros(p.LAYERS)
            for t in range(len(found)):
                distance = math.dist(place, found.xy_px[t])
                if t == m or distance > 3 * p.SPATIAL_SIGMA_PX:
                    continue
                spatial = math.exp(-(distance**2) / (2 * p.SPATIAL_SIGMA_PX**2)) / (
                    p.SPATIAL_SIGMA_PX * math.sqrt(2 * math.pi)
                )
                for k in range(p.LAYERS):
                    turn = -math.pi + (k + 0.5) * layer - (angle - found.angle_rad[t])
                    turn = (turn + math.pi) % (2 * math.pi) - math.pi
                    root = p.DIRECTION_SIGMA_RAD * math.sqrt(2)
                    area = math.erf((turn + layer / 2) / root) - math.erf((turn - layer / 2) / root)
                    sums[k] += spatial * area / 2
            centre, slope = p.CELL_SIGMOID
            cells.append(1 / (1 + np.exp(-slope * (sums - centre))))
    mask = np.array(valid, dtype=float)
    return np.array(cells) * mask[:, None], mask


def test_a_cylinder_is_what_the_paper_says() -> None:
    found = points(finger(5))
    ours = cylinders(found)
    assert len(ours.index) > 20
    for at in (0, len(ours.index) // 2, len(ours.index) - 1):
        cells, valid = by_the_paper(found, int(ours.index[at]))
        assert valid.shape == (BASE_SIZE,)
        assert np.array_equal(ours.valid[at], valid)
        apart = np.abs(ours.cells[at] - cells)
        assert apart.max() < 0.06  # the paper's cut at 3 sigma, which ours leaves out
        assert apart.mean() < 0.002


def test_a_cylinder_moves_with_the_finger() -> None:
    still, turned = (
        cylinders(points(t)) for t in (finger(6), moved(finger(6), 0.8, (40.0, -25.0)))
    )
    both, i, j = np.intersect1d(still.index, turned.index, return_indices=True)
    assert len(both) > 20
    same = (still.valid[i] == turned.valid[j]).mean()
    assert same > 0.99  # a cell may lie on the hull's very margin
    agree = still.valid[i] * turned.valid[j]
    assert np.abs((still.cells[i] - turned.cells[j]) * agree[:, :, None]).max() < 1e-3


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_too_few_minutiae_have_no_cylinders(count) -> None:
    few = Template(finger(7).minutiae[:count])
    assert len(cylinders(points(few)).index) == 0


@given(templates)
def test_cells_are_shares_and_zero_where_not_valid(template) -> None:
    found = cylinders(points(template))
    assert found.cells.dtype == found.valid.dtype == np.float32
    assert ((found.cells >= 0) & (found.cells <= 1)).all()
    assert not found.cells[found.valid == 0].any()
