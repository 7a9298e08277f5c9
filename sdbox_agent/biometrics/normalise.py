"""Images made alike before minutiae are looked for: 500 pixels per inch, and one contrast.

Knows pixels and their resolution; knows no sensor and no minutia.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from sdbox_agent.biometrics import parameters as p
from sdbox_agent.biometrics.minutia import PPI

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Grey = NDArray[np.float32]


def at_500(pixels: NDArray[np.uint8], dpi: float) -> Grey:
    """`pixels` (height, width), taken at `dpi`, at 500 per inch: float32, 0 to 255."""
    grey = pixels.astype(np.float32)
    if abs(dpi - PPI) < 1:
        return grey
    rows, columns = (_resampling(side, PPI / dpi) for side in pixels.shape)
    return np.asarray(rows @ grey @ columns.T, dtype=np.float32)


def contrast(grey: Grey) -> NDArray[np.uint8]:
    """Local mean to the middle of the scale, local contrast to one measure; uint8, same shape.

    Where there is less contrast than a finger's faintest, its noise is not blown up to ridges.
    """
    mean = _mean(grey)
    variance = np.maximum(_mean(grey * grey) - mean * mean, 0)
    scaled = (grey - mean) / np.sqrt(variance + p.FAINTEST_GREY**2)
    return np.asarray(np.clip(128.5 + p.SPREAD_GREY * scaled, 0, 255), dtype=np.uint8)


@functools.lru_cache(maxsize=4)
def _resampling(side_px: int, scale: float) -> Grey:
    """Matrix (new side, side) of triangles as wide as the coarser of both grids."""
    new_px = max(1, int(side_px * scale))
    at = (np.arange(new_px) + 0.5) / scale - 0.5
    apart = np.abs(at[:, None] - np.arange(side_px)) * min(1.0, scale)
    weight = np.maximum(1 - apart, 0)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), dtype=np.float32)


def _mean(values: Grey) -> Grey:
    """Mean over the square around each pixel; beyond its border the image goes on as it ends."""
    return _mean_down(_mean_down(values).T).T


def _mean_down(values: Grey) -> Grey:
    reach = p.CONTRAST_RADIUS_PX
    size = 2 * reach + 1
    padded = np.pad(values, ((reach + 1, reach), (0, 0)), mode="edge")
    padded[0] = 0
    total = np.cumsum(padded, axis=0, dtype=np.float64)
    return np.asarray((total[size:] - total[:-size]) / size, dtype=np.float32)
