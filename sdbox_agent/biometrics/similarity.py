"""Local similarity: how alike two cylinders are, for every pair at once.

Paper: section 4.1, equations 16 and 17.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sdbox_agent.biometrics import parameters as p
from sdbox_agent.biometrics.cylinder import BASE_SIZE
from sdbox_agent.biometrics.points import wrapped

if TYPE_CHECKING:
    from sdbox_agent.biometrics.cylinder import Cylinders
    from sdbox_agent.biometrics.points import Floats, Points


def local_similarity(
    probe: Cylinders, reference: Cylinders, probe_points: Points, reference_points: Points
) -> Floats:
    """Similarities in [0, 1], (probe cylinders, reference cylinders); 0 where not matchable."""
    a = probe.cells.reshape(-1, BASE_SIZE * p.LAYERS)
    b = reference.cells.reshape(-1, BASE_SIZE * p.LAYERS)
    common = probe.valid @ reference.valid.T
    a2 = probe.energy @ reference.valid.T
    b2 = probe.valid @ reference.energy.T
    apart = np.sqrt(np.maximum(a2 + b2 - 2 * (a @ b.T), 0))
    norms = np.sqrt(a2) + np.sqrt(b2)
    similarity = 1 - apart / np.maximum(norms, np.float32(1e-9))
    turn = wrapped(
        probe_points.angle_rad[probe.index][:, None]
        - reference_points.angle_rad[reference.index][None, :]
    )
    matchable = (
        (common >= p.MIN_MATCHABLE_CELLS * BASE_SIZE)
        & (np.abs(turn) <= p.MAX_ROTATION_RAD)
        & (norms > 0)
    )
    return np.where(matchable, np.clip(similarity, 0, 1), 0).astype(np.float64)
