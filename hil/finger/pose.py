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


def _rotation(angle_rad: float) -> Points:
    """Counter-clockwise as seen, y downwards; for row vectors times the transpose."""
    c, s = float(np.cos(angle_rad)), float(np.sin(angle_rad))
    return np.array([[c, s], [-s, c]])


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
        v = v + self._slip(v)
        return (v - self.image_centre) @ _rotation(-self.rotation_rad).T + self.master_centre

    def from_master(self, master_xy: Points) -> Points:
        """Where in the impression these points of the master show (to 0.01 px)."""
        turned = (np.asarray(master_xy, np.float64) - self.master_centre) @ _rotation(
            self.rotation_rad
        ).T + self.image_centre
        v = turned
        for _ in range(30):
            v = turned - self._slip(v)
        return v

    def turn_at(self, image_xy: Points) -> NDArray[np.float64]:
        """Local rotation, radians counter-clockwise: master's angle + this = impression's angle."""
        v = np.asarray(image_xy, np.float64)
        step = np.array([0.5, 0.0])
        d = self.to_master(v + step) - self.to_master(v - step)
        return np.asarray(np.arctan2(d[..., 1], d[..., 0]), np.float64)

    def _slip(self, v: Points) -> Points:
        s = self.stretch
        from_centre = v - s.centre
        distance = np.sqrt(((from_centre / s.radii) ** 2).sum(axis=-1)) - 1
        brake = 0.5 * (1 - np.cos(np.pi * np.clip(distance / s.plasticity, 0, 1)))
        moved = from_centre @ (_rotation(s.twist_rad) - np.eye(2)).T + s.pull
        return np.asarray(moved * brake[..., None], np.float64)
