"""The master of a virtual finger: its whole ridge pattern and everything that stays with the skin.

Same seed, same bytes: NumPy's PCG64 stream is fixed by its documentation, and the master is kept
in 8 bits a pixel. The Fourier transforms and exponentials in between are float32 and may
round otherwise on another processor or NumPy build, so bytes are promised for one machine and
one NumPy; across machines a master is the same to the eye and to a matcher.

Knows nothing of impressions (pose, skin, sensor) nor of files.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.finger import noise, orientation, ridges
from hil.finger.orientation import PLAIN, FingerClass, Singularities, Variety

SHAPE = (512, 400)  # rows, columns at 500 dpi: 26 x 20 mm of skin
CENTRE = (SHAPE[1] / 2, SHAPE[0] * 0.46)  # x, y
PORE_SPACING_PX = 9.0  # along a ridge; 9 to 18 pores a cm of ridge

Bytes2D = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Master:
    """One finger.

    Attributes:
        seed: what it was grown from.
        kind: its class.
        points: its cores and deltas, pixels at 500 dpi.
        ridges: uint8 (512, 400): 255 the crest of a ridge, 0 the floor of a valley.
        skin: uint8 (512, 400): 255 whole skin, less at pores and creases.
    """

    seed: int
    kind: FingerClass
    points: Singularities
    ridges: Bytes2D
    skin: Bytes2D


def grow(seed: int, kind: FingerClass | None = None, variety: Variety = PLAIN) -> Master:
    """The finger of that seed, of so varied a people; its class is drawn unless it is given."""
    root = np.random.SeedSequence(seed)
    shape_seed, ridge_seed, skin_seed = root.spawn(3)
    rng = np.random.Generator(np.random.PCG64(shape_seed))
    drawn = orientation.draw_class(rng)
    kind = kind or drawn
    points = orientation.place(rng, kind, CENTRE, variety)
    theta = orientation.field(rng, kind, points, SHAPE, 2, variety)
    period_px = _period(rng, points, variety.period_px)
    signal = ridges.grow(np.random.Generator(np.random.PCG64(ridge_seed)), theta, period_px, SHAPE)
    skin = _skin(np.random.Generator(np.random.PCG64(skin_seed)), signal)
    grey = np.clip(np.rint(127.5 + 127.5 * signal), 0, 255).astype(np.uint8)
    return Master(seed, kind, points, grey, skin)


def _period(
    rng: np.random.Generator, points: Singularities, spread_px: tuple[float, float, float, float]
) -> NDArray[np.float32]:
    """Ridge period in pixels at 500 dpi, on the 250 dpi grid: wider below the deltas."""
    shape = (SHAPE[0] // 2, SHAPE[1] // 2)
    usual, deviation, least, most = spread_px
    mean = float(np.clip(rng.normal(usual, deviation), least, most))
    below = max((y for _, y in points.deltas), default=SHAPE[0] * 0.68)
    y = np.arange(shape[0], dtype=np.float32)[:, None] * 2
    wider = 0.9 / (1 + np.exp(-(y - below) / 18))
    period = mean + wider + 0.45 * noise.smooth(rng, shape, 30)
    return np.clip(period, ridges.PERIODS_PX[0], ridges.PERIODS_PX[-1]).astype(np.float32)


def _skin(rng: np.random.Generator, signal: NDArray[np.float32]) -> Bytes2D:
    """Pores along the crests, and now and then a crease across them."""
    height, width = SHAPE
    whole = np.ones(SHAPE, np.float32)
    count = round(height * width / (9.0 * PORE_SPACING_PX))
    y = rng.integers(2, height - 2, count)
    x = rng.integers(2, width - 2, count)
    crest = signal[y, x] > 0.8
    depth = rng.uniform(0.15, 0.9, count)[crest].astype(np.float32)
    for dy, dx, share in ((0, 0, 1.0), (0, 1, 0.6), (1, 0, 0.6), (0, -1, 0.35), (-1, 0, 0.35)):
        at = (y[crest] + dy, x[crest] + dx)
        whole[at] = np.minimum(whole[at], 1 - depth * share)
    for _ in range(int(rng.poisson(1.2))):
        whole *= 1 - _crease(rng)
    return np.clip(np.rint(255 * whole), 0, 255).astype(np.uint8)


def _crease(rng: np.random.Generator) -> NDArray[np.float32]:
    """A thin bent line of 3 to 9 mm, 1 where the skin is folded."""
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]].astype(np.float32)
    x0, y0 = rng.uniform(60, SHAPE[1] - 60), rng.uniform(80, SHAPE[0] - 60)
    angle = rng.uniform(0, np.pi)
    along = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
    across = (y - y0) * np.cos(angle) - (x - x0) * np.sin(angle)
    across = across - rng.uniform(-0.002, 0.002) * along**2
    half_length, half_width = rng.uniform(30, 90), rng.uniform(0.8, 1.8)
    ends = 1 / (1 + np.exp((np.abs(along) - half_length) / 4))
    fold = np.exp(-((across / half_width) ** 2)) * ends * rng.uniform(0.5, 1.0)
    return np.asarray(fold, np.float32)
