"""Minutiae's directions, refined from the ridges they lie on.

libfprint's detector tells 32 directions. The gradients around a minutia tell the ridges' own far
closer: their mean in the structure tensor (J. Bigün, G. H. Granlund, "Optimal orientation detection
of linear symmetry", ICCV 1987; for ridges A. M. Bazen, S. H. Gerez, "Systematic methods for the
computation of the directional fields and singular points of fingerprints", IEEE TPAMI 24(7), 2002).
Which of its two ways a minutia points, and a direction far from the ridges', stay the detector's.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from sdbox_agent.biometrics import parameters as p
from sdbox_agent.biometrics.minutia import turned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sdbox_agent.biometrics.minutia import Minutia

    Reals = NDArray[np.float32]

_REACH: Final = math.ceil(2.5 * p.TENSOR_SIGMA_PX)
_SIDE: Final = 2 * _REACH + 1
_FALL: Final = np.exp(-(np.arange(-_REACH, _REACH + 1) ** 2) / (2 * p.TENSOR_SIGMA_PX**2))
_WEIGHT: Final = np.outer(_FALL, _FALL).astype(np.float32)


def refined(minutiae: Sequence[Minutia], ridges: NDArray[np.uint8]) -> tuple[Minutia, ...]:
    """The same minutiae, each along its ridge in the image `ridges` (height, width), at 500 ppi."""
    if not minutiae:
        return ()
    squares, products = _tensors(minutiae, ridges)
    # The gradient's direction, in the image's frame (y down), is across the ridge.
    along = -(np.arctan2(products, squares) + math.pi) / 2
    told = np.hypot(squares, products) > 0
    return tuple(
        _turned(minutia, float(angle_rad)) if tells else minutia
        for minutia, angle_rad, tells in zip(minutiae, along, told, strict=True)
    )


def _tensors(minutiae: Sequence[Minutia], ridges: NDArray[np.uint8]) -> tuple[Reals, Reals]:
    """Mean gx^2 - gy^2, and mean 2 gx gy, about each minutia: (n,) each."""
    y, x = (np.pad(g, _REACH) for g in np.gradient(ridges.astype(np.float32)))
    rows = np.clip([round(m.y_px) for m in minutiae], 0, ridges.shape[0] - 1)
    columns = np.clip([round(m.x_px) for m in minutiae], 0, ridges.shape[1] - 1)
    gy, gx = (
        np.lib.stride_tricks.sliding_window_view(g, (_SIDE, _SIDE))[rows, columns] for g in (y, x)
    )
    return (
        np.einsum("nij,ij->n", gx * gx - gy * gy, _WEIGHT),
        np.einsum("nij,ij->n", 2 * gx * gy, _WEIGHT),
    )


def _turned(minutia: Minutia, along_rad: float) -> Minutia:
    """To the nearer of the ridge's two ways, if it is near."""
    off_rad = (along_rad - minutia.angle_rad + math.pi / 2) % math.pi - math.pi / 2
    if abs(off_rad) > p.MAX_REFINEMENT_RAD:
        return minutia
    return replace(minutia, angle_rad=turned(minutia.angle_rad + off_rad))
