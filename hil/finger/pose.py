"""How a finger lies on the sensor: rotation, shift and the stretching of the skin.

The ground truth of an impression: where each point of the master shows, and back. Coordinates
are (x, y) pixels at 500 dpi, x to the right, y downwards; arrays of shape (..., 2).

Plastic distortion after R. Cappelli, D. Maio, D. Maltoni, "Modelling plastic distortion in
fingerprint images", ICAPR 2001: skin pressed hardest does not slip, skin outside follows the
finger's traction and torsion, and a raised cosine brakes in between.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

FIXED_POINT_ROUNDS = 30  # the distortion contracts by at least half a round


@dataclass(frozen=True, slots=True)
class Stretch:
    """The plastic distortion, in the impression's coordinates.

    Attributes:
        centre: middle of the part that does not slip (x, y).
        radii: its semi-axes in pixels.
        pull: traction (x, y) in pixels.
        twist_rad: torsion, counter-clockwise as seen.
        plasticity: width of the zone in between, in radii.
    """

    centre: tuple[float, float]
    radii: tuple[float, float]
    pull: tuple[float, float] = (0.0, 0.0)
    twist_rad: float = 0.0
    plasticity: float = 1.0


def _turned(v: Points, angle_rad: float) -> Points:
    """Turned about the origin, counter-clockwise as seen (y points down)."""
    c, s = float(np.cos(angle_rad)), float(np.sin(angle_rad))
    x, y = v[..., 0], v[..., 1]
    return np.stack((c * x + s * y, c * y - s * x), axis=-1)


@dataclass(frozen=True, slots=True)
class Pose:
    """The map between an impression and its master.

    Attributes:
        rotation_rad: how far the finger is turned, counter-clockwise as seen.
        image_centre: the impression's point about which it is turned (x, y).
        master_centre: the master's point that lies there (x, y).
        stretch: the skin's distortion.
    """

    rotation_rad: float
    image_centre: tuple[float, float]
    master_centre: tuple[float, float]
    stretch: Stretch

    def to_master(self, image_xy: Points) -> Points:
        """Where in the master these points of the impression come from."""
        v = np.asarray(image_xy, np.float64)
        turned = _turned(v + self._slip(v) - self.image_centre, -self.rotation_rad)
        return np.asarray(turned + self.master_centre, np.float64)

    def from_master(self, master_xy: Points) -> Points:
        """Where in the impression these points of the master show (to 0.01 px)."""
        there = np.asarray(master_xy, np.float64) - self.master_centre
        turned = _turned(there, self.rotation_rad) + np.asarray(self.image_centre, np.float64)
        v = turned
        for _ in range(FIXED_POINT_ROUNDS):
            v = np.asarray(turned - self._slip(v), np.float64)
        return v

    def turn_at(self, image_xy: Points) -> NDArray[np.float64]:
        """Local rotation, radians counter-clockwise: master's angle + this = impression's angle."""
        v = np.asarray(image_xy, np.float64)
        step = np.array([0.5, 0.0])
        d = self.to_master(v + step) - self.to_master(v - step)
        return np.asarray(np.arctan2(d[..., 1], d[..., 0]), np.float64)

    def _slip(self, v: Points) -> Points:
        """How far the skin at these points lags: to be added to undo the distortion."""
        s = self.stretch
        x, y = v[..., 0] - s.centre[0], v[..., 1] - s.centre[1]
        distance = np.sqrt((x / s.radii[0]) ** 2 + (y / s.radii[1]) ** 2) - 1
        brake = 0.5 * (1 - np.cos(np.pi * np.clip(distance / s.plasticity, 0, 1)))
        c, sine = float(np.cos(s.twist_rad)) - 1, float(np.sin(s.twist_rad))
        moved_x = c * x + sine * y + s.pull[0]
        moved_y = c * y - sine * x + s.pull[1]
        return np.stack((moved_x * brake, moved_y * brake), axis=-1)
