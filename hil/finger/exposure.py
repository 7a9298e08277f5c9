"""How a kind of sensor turns skin that touches into grey levels.

Four kinds, after what such devices give: a clean optical one, a pale one with an uneven grey
glass, a capacitive one (small, noisy, with the pattern of its columns) and a narrow, coarse one.
Knows nothing of fingers or of how they are laid.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.finger import noise

Field = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Exposure:
    """A kind of sensor, 500 dpi.

    Attributes:
        size_px: width, height.
        background: grey of the bare glass, 0 to 255.
        ink: how much darker a ridge is that prints fully.
        uneven: how much the glass's grey varies from place to place.
        noise: standard deviation of a pixel.
        columns: standard deviation of a column: a pattern that never changes place.
        blur: rounds of a 3 x 3 binomial filter.
    """

    size_px: tuple[int, int]
    background: float = 246.0
    ink: float = 225.0
    uneven: float = 2.0
    noise: float = 2.0
    columns: float = 0.0
    blur: int = 1


OPTICAL = Exposure((388, 374))  # a common one: 19.7 x 19.0 mm
PALE = Exposure((296, 400), 196, 150, 9.0, 5.0, 0.0, 2)
CAPACITIVE = Exposure((300, 300), 150, 130, 5.0, 8.0, 4.0, 0)
COARSE = Exposure((288, 384), 190, 160, 8.0, 7.0, 0.0, 1)


def expose(
    rng: np.random.Generator, sensor: Exposure, dark: Field, contrast: float
) -> NDArray[np.uint8]:
    """Grey levels, uint8, of contact `dark` (0 to 1, the sensor's shape), ridges dark."""
    shape = (dark.shape[0], dark.shape[1])
    for _ in range(sensor.blur):
        dark = _blurred(dark)
    shade = np.clip(contrast + 0.07 * noise.smooth(rng, shape, 50), 0.2, 1)
    glass = sensor.background + sensor.uneven * noise.smooth(rng, shape, 90)
    grey = glass - dark * shade * sensor.ink
    grey += rng.normal(0, sensor.noise, shape)
    if sensor.columns:
        same_each_time = np.random.Generator(np.random.PCG64(0))
        grey += same_each_time.normal(0, sensor.columns, shape[1])
    return np.asarray(np.clip(np.rint(grey), 0, 255), np.uint8)


def _blurred(dark: Field) -> Field:
    rows = dark.copy()
    rows[1:-1] = 0.5 * dark[1:-1] + 0.25 * (dark[:-2] + dark[2:])
    both = rows.copy()
    both[:, 1:-1] = 0.5 * rows[:, 1:-1] + 0.25 * (rows[:, :-2] + rows[:, 2:])
    return both
